import test from 'ava';
import { Benches } from '../../daemon/benches.ts';
import type { Grant, Scope } from '../../daemon/grant.ts';
import { defaultLimits } from '../../daemon/limits.ts';
import { Shares } from '../../daemon/shares.ts';
import type { FerryError } from '../../protocol/errors.ts';
import type { Bench, BenchReport } from '../../protocol/frames/bench.ts';
import type { Connection } from '../../transfer/connection.ts';
import { DropSink, MadeUpSource } from '../../transfer/measure/made-up.ts';
import { Meter } from '../../transfer/measure/meter.ts';
import { receiveMeasured, sendMeasured } from '../../transfer/measure/transfers.ts';
import { MemoryStorage } from '../../transfer/memory-storage.ts';
import type { Request } from '../../transfer/request.ts';
import { type JoinOptions, join, TestDaemon, testGrant } from '../transfer/helpers/ends.ts';
import { answerOf } from '../transfer/helpers/files.ts';
import { failureOf } from '../transfer/helpers/outcome.ts';

const KiB = 1024;
const chunkBytes = 64 * KiB;
const plain: Bench = {
  part: 'receive',
  store: 'memory',
  path: '',
  chunkBytes,
  checksums: true,
};

interface Setting {
  readonly limits?: Partial<typeof defaultLimits>;
  readonly grant?: Partial<Grant>;
  readonly join?: JoinOptions;
}

function connected({ limits = {}, grant = {}, join: options = {} }: Setting = {}) {
  const storage = new MemoryStorage();
  const shares = new Shares(new Map([['', storage]]));
  const benches = new Benches(shares, { ...defaultLimits, ...limits }, () => 7);
  const daemon = new TestDaemon(storage, { shares, benches });
  daemon.grant = { ...testGrant, ...grant };
  return { storage, client: join(daemon, options).client };
}

function begin(client: Connection, bench: Partial<Bench>) {
  const reports: BenchReport[] = [];
  const request = client.open({ type: 'bench', request: 0, ...plain, ...bench });
  request.onReport = (report) => void reports.push(report);
  return { request, reports };
}

const cut = { chunkBytes, writeBytes: undefined, checksums: true };

async function send(client: Connection, bytes: number, bench: Partial<Bench> = {}) {
  const { request, reports } = begin(client, { size: bytes, ...bench });
  const meter = new Meter(request.carrier);
  const size = chunkBytes;
  const source = new MadeUpSource({ chunkBytes: bench.chunkBytes ?? size, size: bytes });
  const options = { ...cut, meter, onDisk: false, throttle: undefined };
  const checksums = bench.checksums ?? true;
  const measured = { ...options, checksums, chunkBytes: bench.chunkBytes ?? chunkBytes };
  const { outcome } = await sendMeasured(request, source, measured);
  return { outcome, reports, meter };
}

async function receive(request: Request) {
  const offer = await answerOf(request, 'offer');
  const meter = new Meter(request.carrier);
  await receiveMeasured(request, offer, { ...cut, meter, storage: undefined });
  return { offer, meter };
}

for (const store of ['memory', 'disk'] as const) {
  test(`it takes content to its ${store}, drops it, and tells what that took`, async (t) => {
    const { client, storage } = connected();
    const bytes = 20 * chunkBytes + 5;
    const { outcome, reports, meter } = await send(client, bytes, { store });
    t.is(outcome, 'stored');
    t.is(meter.bytes, bytes);
    const last = reports.at(-1);
    t.is(last?.bytes, bytes);
    t.is(last?.cpuUs, 7);
    t.is(last?.chunksRepeated, 0);
    t.is(last?.dataBytes, store === 'disk' ? bytes : 0);
    t.true((last?.memoryBytes ?? 0) > 0);
    t.is(storage.partialCount, 0);
    client.close();
  });

  test(`it sends content from its ${store} until the size is reached`, async (t) => {
    const { client } = connected({ limits: { benchBytes: 3 * chunkBytes } });
    const size = 7 * chunkBytes + 1;
    const { request, reports } = begin(client, { part: 'send', store, size });
    const { offer, meter } = await receive(request);
    t.is(offer.size, size);
    t.is(meter.bytes, size);
    t.is(reports.at(-1)?.bytes, size);
    // A disk is read over and over where not everything may be on it.
    t.is(reports.at(-1)?.dataBytes, store === 'disk' ? 3 * chunkBytes : 0);
    client.close();
  });
}

test('it sends until the time is over, and then proves what it sent', async (t) => {
  const { client } = connected();
  const { request, reports } = begin(client, { part: 'send', durationMs: 30, reportMs: 50 });
  const { offer, meter } = await receive(request);
  t.is(offer.size, undefined);
  t.true(meter.bytes > 0);
  t.is(meter.bytes % chunkBytes, 0);
  t.is(reports.at(-1)?.bytes, meter.bytes);
  client.close();
});

test('it sends no faster than it is asked to', async (t) => {
  const { client } = connected();
  const startedAtMs = performance.now();
  const rate = { bytesPerSecond: 10 * chunkBytes, writeBytes: chunkBytes };
  const { request, reports } = begin(client, { part: 'send', size: 3 * chunkBytes, ...rate });
  await receive(request);
  // 100 ms of it may have been saved up.
  t.true(performance.now() - startedAtMs >= 190);
  t.true((reports.at(-1)?.pacedUs ?? 0) > 100_000);
  client.close();
});

test('it hashes until the size is reached, and says done', async (t) => {
  const { client } = connected();
  const { request, reports } = begin(client, { part: 'hash', size: 4 * chunkBytes });
  await answerOf(request, 'done');
  t.true((reports.at(-1)?.bytes ?? 0) >= 4 * chunkBytes);
  client.close();
});

test('hashing stops when it is cancelled', async (t) => {
  const { client } = connected();
  const { request } = begin(client, { part: 'hash' });
  request.cancel();
  const { entry } = await answerOf(client.open({ type: 'stat', request: 0, path: '' }), 'entry');
  t.is(entry.kind, 'directory');
  client.close();
});

for (const size of [KiB, 100 * KiB, 4096 * KiB]) {
  test(`chunks may have ${size} bytes`, async (t) => {
    const { client } = connected();
    const bytes = 2 * size + 1;
    const { meter, reports } = await send(client, bytes, { chunkBytes: size });
    t.is(meter.bytes, bytes);
    t.is(reports.at(-1)?.bytes, bytes);
    const { request } = begin(client, { part: 'send', size: bytes, chunkBytes: size });
    t.is((await receive(request)).meter.bytes, bytes);
    client.close();
  });
}

test('without checksums nothing is verified in that request, and everything in others', async (t) => {
  const { client } = connected();
  const { outcome } = await send(client, 3 * chunkBytes, { checksums: false });
  t.is(outcome, 'stored');
  // The same chunks, with 0 for their checksums, where checksums were agreed on: never intact.
  const { request } = begin(client, { size: chunkBytes });
  const source = new MadeUpSource({ chunkBytes, size: chunkBytes });
  const meter = new Meter(request.carrier);
  const options = { ...cut, checksums: false, meter, onDisk: false, throttle: undefined };
  t.is(await failureOf(sendMeasured(request, source, options)), 'integrity');
  client.close();
});

const everything: readonly Scope[] = ['read', 'write', 'delete', 'bench'];

test('it takes a token with the scope bench, whatever else it may do', async (t) => {
  const scopes = new Set(everything.filter((scope) => scope !== 'bench'));
  for (const part of ['receive', 'send', 'hash'] as const) {
    const { client } = connected({ grant: { scopes } });
    const { request } = begin(client, { part, size: chunkBytes });
    t.is(await failureOf(answerOf(request, 'done')), 'permission', part);
    client.close();
  }
  const { client } = connected({ grant: { scopes: new Set<Scope>(['bench']) } });
  t.is((await send(client, chunkBytes)).outcome, 'stored');
  client.close();
});

test('a disk outside of what the token reaches is not touched; memory has no place', async (t) => {
  const { client } = connected({ grant: { prefix: 'mine' } });
  const { request } = begin(client, { store: 'disk' });
  t.is(await failureOf(answerOf(request, 'done')), 'permission');
  t.is((await send(client, chunkBytes, { store: 'disk', path: 'mine' })).outcome, 'stored');
  t.is((await send(client, chunkBytes)).outcome, 'stored');
  client.close();
});

async function messageOf(work: Promise<unknown>): Promise<string> {
  return await work.then(
    () => 'it went well',
    (error: unknown) => (error as FerryError).message,
  );
}

test('time, disk and number of benches are bounded by limits with names', async (t) => {
  const timed = connected({ limits: { benchMs: 30 } });
  const { request } = begin(timed.client, {});
  const meter = new Meter(request.carrier);
  const source = new MadeUpSource({ chunkBytes });
  const options = { ...cut, meter, onDisk: false, throttle: undefined };
  t.regex(await messageOf(sendMeasured(request, source, options)), /benchMs of 30 is reached/);
  timed.client.close();

  const full = connected({ limits: { benchBytes: 4 * chunkBytes } });
  const disk = send(full.client, 40 * chunkBytes, { store: 'disk' });
  t.regex(await messageOf(disk), /benchBytes of 262144 is reached/);
  t.is((await send(full.client, 40 * chunkBytes)).outcome, 'stored');
  full.client.close();

  const few = connected({ limits: { benches: 1 } });
  const first = begin(few.client, {});
  await new Promise<void>((resolve) => {
    first.request.listen({ onFrame: () => resolve(), onFailed: () => resolve() });
  });
  const second = begin(few.client, {});
  t.regex(await messageOf(answerOf(second.request, 'done')), /benches of 1 is reached/);
  first.request.cancel();
  few.client.close();
});

test('the content is no memory of others, and no file', async (t) => {
  const source = new MadeUpSource({ chunkBytes: KiB });
  const buffer = new Uint8Array(8 * KiB).fill(0xaa);
  t.is(await source.read(buffer, 0), buffer.length);
  const first = buffer.slice(0, KiB);
  for (let at = 0; at < buffer.length; at += KiB) {
    t.deepEqual(buffer.slice(at, at + KiB), first);
  }
  const again = new Uint8Array(KiB);
  await source.read(again, 5 * KiB);
  t.deepEqual(again, first);
});

test('content that is stopped ends where it was read to', async (t) => {
  const source = new MadeUpSource({ chunkBytes: KiB });
  const buffer = new Uint8Array(2 * KiB);
  t.is(await source.read(buffer, 4 * KiB), 2 * KiB);
  source.stop();
  t.is(await source.read(buffer, 6 * KiB), 0);
  t.is(await source.read(buffer, 0), 2 * KiB);
  const known = new MadeUpSource({ chunkBytes: KiB, size: 3 * KiB });
  known.stop();
  t.is(await known.read(buffer, 2 * KiB), KiB);
});

test('what is dropped leaves its checksums alone', async (t) => {
  const sink = new DropSink();
  await sink.write(0, [new Uint8Array(4)], [7n]);
  t.true(sink.ledger.held.has(0));
  sink.forget(0);
  t.false(sink.ledger.held.has(0));
  t.is(await sink.read(), 0);
});
