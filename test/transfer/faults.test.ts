/**
 * Whole transfers over links that fail: whatever happens, a name shows nothing or the whole file, and
 * going on until it works gives the right one.
 */
import { Readable } from 'node:stream';
import test from 'ava';
import { FerryError } from '../../protocol/errors.ts';
import type { Complete } from '../../protocol/frames/transfer.ts';
import { limits } from '../../protocol/limits.ts';
import { StreamSource } from '../../transfer/local/stream-source.ts';
import { MemoryStorage } from '../../transfer/memory-storage.ts';
import type { Request } from '../../transfer/request.ts';
import type { Sending } from '../../transfer/send.ts';
import type { ChunkSource } from '../../transfer/storage.ts';
import { type JoinOptions, join, newId, newSession, TestDaemon } from './helpers/ends.ts';
import {
  Arrivals,
  Counts,
  contentOf,
  download,
  load,
  mtimeNs,
  newSending,
  offerOf,
  sha256,
  sourceOf,
  store,
  type UploadOptions,
  upload,
} from './helpers/files.ts';
import { type Packets, randomFrom } from './helpers/link.ts';
import { failureOf, turns, until } from './helpers/outcome.ts';

const MiB = 1024 * 1024;
const chunkBytes = limits.chunkBytesMin;

const same = (actual: Uint8Array | undefined, expected: Uint8Array): boolean =>
  actual !== undefined && Buffer.compare(actual, expected) === 0;

/** Uploads as a client does: again on a new link whenever one breaks, under the same operation id. */
async function uploadOverLinks(
  daemon: TestDaemon,
  source: ChunkSource,
  links: (attempt: number) => JoinOptions,
  options: UploadOptions = {},
  counts = new Counts(),
): Promise<{ complete: Complete; attempts: number }> {
  const session = newSession();
  const operation = newId();
  const sending: Sending = newSending(source, options, counts);
  for (let attempt = 1; ; attempt += 1) {
    const joined = join(daemon, { session, ...links(attempt) });
    try {
      const request = joined.client.open({
        request: 0,
        ...offerOf(source, { operation, ...options }),
      });
      const complete = await sending.serve(request);
      joined.client.close();
      return { complete, attempts: attempt };
    } catch (error) {
      joined.client.close();
      if (!(error instanceof FerryError) || !error.retryable || attempt > 200) {
        throw new Error(`Attempt ${attempt}: ${joined.link.describe}`, { cause: error });
      }
    }
  }
}

// ---- cuts at every byte ------------------------------------------------------------------------------

const tiny = contentOf(chunkBytes + 5);

/** How many bytes an undisturbed session has, each way, and where its first chunk's content begins. */
async function sessionBytes(): Promise<{ up: number; down: number; content: number }> {
  const { client, link } = join(new TestDaemon());
  await upload(client, sourceOf(tiny), { chunkBytes });
  await turns(5);
  client.close();
  const content = Buffer.concat(link.toDaemon.packets).indexOf(tiny.subarray(0, chunkBytes));
  return { up: link.toDaemon.deliveredBytes, down: link.toClient.deliveredBytes, content };
}

for (const way of ['toDaemon', 'toClient'] as const) {
  test(`an upload cut at every byte ${way} stores nothing or the whole, and goes on`, async (t) => {
    const { up, down, content } = await sessionBytes();
    t.true(content > 200);
    const length = way === 'toDaemon' ? up : down;
    t.true(length > 300);
    let stored = 0;
    for (let cutAt = 0; cutAt <= length; cutAt += 1) {
      // Within the content one byte is like another.
      const isAlike = way === 'toDaemon' && cutAt > content + 2 && cutAt < content + chunkBytes - 2;
      if (isAlike && cutAt % 40 !== 0) continue;
      const cutStyle = cutAt % 2 === 0 ? 'reset' : 'end';
      const storage = new MemoryStorage();
      const daemon = new TestDaemon(storage);
      const operation = newId();
      const { client, daemon: ours, link } = join(daemon, { [way]: { cutAt, cutStyle } });
      const source = sourceOf(tiny);
      const first = failureOf(upload(client, source, { chunkBytes, operation }));
      await first;
      client.close();
      await ours.closed;
      await daemon.service.settled();
      const there = await load(storage, 'file');
      if (there !== undefined) {
        stored += 1;
        if (!same(there, tiny)) throw new Error(`A part is visible: ${link.describe}`);
      }
      const second = join(daemon);
      const { outcome } = await upload(second.client, source, { chunkBytes, operation });
      second.client.close();
      // Under the same operation id it is stored once, however often it is asked for.
      if (outcome !== 'stored' || !same(await load(storage, 'file'), tiny)) {
        throw new Error(`The second attempt failed: ${link.describe}`);
      }
    }
    // What was cut off on its way up can't have been stored; an answer may get lost on its way down.
    t.is(stored > 0, way === 'toClient');
    t.true(stored < length);
  });
}

test('a download cut at every fifth byte leaves nothing or the whole, and goes on', async (t) => {
  const daemon = new TestDaemon();
  await store(daemon.storage, 'file', contentOf(500));
  for (let cutAt = 0; cutAt <= 1200; cutAt += 5) {
    const here = new MemoryStorage();
    const { client, link } = join(daemon, {
      toClient: { cutAt, cutStyle: cutAt % 2 === 0 ? 'reset' : 'end' },
    });
    await failureOf(download(client, here));
    client.close();
    const there = await load(here, 'file');
    t.true(there === undefined || same(there, contentOf(500)), link.describe);
    const second = join(daemon);
    await download(second.client, here);
    second.client.close();
    if (!same(await load(here, 'file'), contentOf(500))) throw new Error(link.describe);
  }
  t.pass();
});

for (const packets of ['one byte', 'random', 'held back'] as Packets[]) {
  test(`a session in packets ${packets} says the same as one that is not disturbed`, async (t) => {
    const said = async (kind: Packets): Promise<[Buffer, Buffer]> => {
      const daemon = new TestDaemon();
      const { client, link } = join(daemon, {
        toDaemon: { packets: kind },
        toClient: { packets: kind },
      });
      const counts = new Counts();
      const { outcome } = await upload(client, sourceOf(tiny), { chunkBytes }, counts);
      t.is(outcome, 'stored', link.describe);
      t.is(counts.bytes, tiny.length);
      t.true(same(await load(daemon.storage, 'file'), tiny));
      client.close();
      await until(() => link.daemon.destroyed);
      return [Buffer.concat(link.toDaemon.packets), Buffer.concat(link.toClient.packets)];
    };
    const [plain, odd] = [await said('as written'), await said(packets)];
    // Ids, nonces and credits differ from run to run; what the client says is the same in length.
    t.is(odd[0].length, plain[0].length);
  });
}

// ---- damage -------------------------------------------------------------------------------------------

test('bits that flip again and again on the way are repaired, and counted', async (t) => {
  for (const flipEvery of [500_009, 1_000_003]) {
    const content = contentOf(3 * MiB + 17, flipEvery);
    const daemon = new TestDaemon();
    const counts = new Counts();
    // Where it hits a header the link is lost, and the next one starts elsewhere.
    const links = (attempt: number): JoinOptions => ({
      seed: attempt,
      toDaemon: { flipEvery, flipFrom: 1000 + 7919 * attempt },
    });
    const { complete } = await uploadOverLinks(
      daemon,
      sourceOf(content),
      links,
      { sha256: true },
      counts,
    );
    t.is(Buffer.from(complete.sha256 ?? []).toString('hex'), sha256(content));
    t.true(same(await load(daemon.storage, 'file'), content));
    t.true(counts.repeated > 0 && counts.bytes > content.length);
  }
});

test('bits that flip on the way down are repaired, and counted', async (t) => {
  const content = contentOf(2 * MiB);
  const daemon = new TestDaemon();
  await store(daemon.storage, 'file', content);
  const here = new MemoryStorage();
  const arrivals = new Arrivals();
  for (let attempt = 1; attempt < 50; attempt += 1) {
    const { client } = join(daemon, {
      seed: attempt,
      toClient: { flipEvery: 250_007, flipFrom: 900 + 5003 * attempt },
    });
    const failure = await failureOf(download(client, here, {}, arrivals));
    client.close();
    if (failure === undefined) break;
    t.true(['corrupt', 'connection-lost'].includes(failure), failure);
  }
  t.true(same(await load(here, 'file'), content));
  t.true(arrivals.repeated > 0);
});

test('one flipped bit anywhere in a session is repaired or ends the connection, never stored', async (t) => {
  const { up } = await sessionBytes();
  const random = randomFrom(1);
  const outcomes = new Map<string, number>();
  for (let at = 0; at < up; at += 1 + Math.floor(random() * 4)) {
    const daemon = new TestDaemon();
    const { client, link } = join(daemon, { seed: at, toDaemon: { flipAt: [at] } });
    const outcome = (await failureOf(upload(client, sourceOf(tiny), { chunkBytes }))) ?? 'stored';
    outcomes.set(outcome, (outcomes.get(outcome) ?? 0) + 1);
    client.close();
    await daemon.service.settled();
    const there = await load(daemon.storage, 'file');
    if (there !== undefined && !same(there, tiny)) throw new Error(link.describe);
    if (outcome === 'stored' && there === undefined) throw new Error(link.describe);
  }
  // In the preamble: not ours, or another version. In what follows: damage, that's known as such.
  for (const [outcome] of outcomes) {
    t.true(
      ['stored', 'corrupt', 'connection-lost', 'protocol', 'version'].includes(outcome),
      outcome,
    );
  }
  t.true((outcomes.get('stored') ?? 0) > 100);
  t.true((outcomes.get('corrupt') ?? 0) > 20);
});

// ---- links that break in the middle ---------------------------------------------------------------------

test('an upload over links that break again and again resends no more than was on its way', async (t) => {
  const content = contentOf(6 * MiB, 3);
  for (const cutStyle of ['reset', 'end'] as const) {
    const daemon = new TestDaemon();
    const counts = new Counts();
    const inFlightBytes = 256 * 1024;
    const links = (attempt: number): JoinOptions => ({
      seed: attempt,
      daemonLimits: { inFlightBytes },
      toDaemon: { cutAt: 700_000 + attempt, cutStyle, packets: 'random', packetBytes: 60_000 },
    });
    const { attempts } = await uploadOverLinks(daemon, sourceOf(content), links, {}, counts);
    t.true(attempts >= 9);
    t.true(same(await load(daemon.storage, 'file'), content));
    const perAttempt = (counts.bytes - content.length) / attempts;
    // What was in flight, and what the socket had taken already.
    t.true(perAttempt <= inFlightBytes + 65_536, `${perAttempt} bytes again for each break`);
  }
});

test('slow, late, narrow links change nothing', async (t) => {
  const content = contentOf(500_000);
  const daemon = new TestDaemon();
  const slow = { delayMs: 1, packets: 'random', packetBytes: 90_000, bufferBytes: 20_000 } as const;
  const { client, link } = join(daemon, { toDaemon: slow, toClient: slow });
  await upload(client, sourceOf(content));
  const here = new MemoryStorage();
  await download(client, here);
  t.true(same(await load(here, 'file'), content), link.describe);
  client.close();
});

for (const size of [0, 1, 65_536, 200_000, 3 * MiB]) {
  test(`a stream of ${size} bytes over links that break arrives whole, with its SHA-256`, async (t) => {
    const content = contentOf(size);
    for (const cutAt of [400, 480, 700, 66_500, 150_000, 201_200, 202_000, 1_100_003]) {
      const pieces = Readable.from(
        (function* () {
          for (let at = 0; at < size; at += 50_021) yield content.subarray(at, at + 50_021);
        })(),
      );
      const source = new StreamSource(pieces, { name: 'standard input', mtimeNs, mode: 0o644 });
      const daemon = new TestDaemon();
      const counts = new Counts();
      const links = (attempt: number): JoinOptions =>
        attempt > 8 ? {} : { seed: attempt, toDaemon: { cutAt: cutAt + attempt } };
      const { complete } = await uploadOverLinks(daemon, source, links, { sha256: true }, counts);
      t.is(complete.outcome, 'stored');
      t.is(Buffer.from(complete.sha256 ?? []).toString('hex'), sha256(content));
      t.true(same(await load(daemon.storage, 'file'), content));
      await source.close();
    }
  });
}

test('a stream whose every byte was received before the end was heard is completed on the next link', async (t) => {
  const content = contentOf(3 * chunkBytes + 9);
  const stream = () =>
    new StreamSource(Readable.from([Buffer.from(content)]), {
      name: 'input',
      mtimeNs,
      mode: 0o644,
    });
  const probe = join(new TestDaemon());
  await upload(probe.client, stream(), { chunkBytes });
  await turns(3);
  probe.client.close();
  const length = probe.link.toDaemon.deliveredBytes;
  for (let cutAt = length - 120; cutAt <= length; cutAt += 1) {
    const daemon = new TestDaemon();
    const links = (attempt: number): JoinOptions => (attempt === 1 ? { toDaemon: { cutAt } } : {});
    const { complete } = await uploadOverLinks(daemon, stream(), links, { chunkBytes });
    t.is(complete.outcome, 'stored', `cut at ${cutAt}`);
    t.true(same(await load(daemon.storage, 'file'), content));
  }
});

// ---- several connections -----------------------------------------------------------------------------------

async function overSeveral(
  daemon: TestDaemon,
  content: Uint8Array,
  links: JoinOptions[],
  options: UploadOptions,
): Promise<{ failure: string | undefined; sent: number[]; outcomes: string[] }> {
  const session = newSession();
  const joined = links.map((link) => join(daemon, { session, ...link }));
  await Promise.all(joined.map(({ client }) => client.ready));
  const source = sourceOf(content);
  const [first, ...others] = joined;
  const before = joined.map(({ link }) => link.toDaemon.deliveredBytes);
  const joins: Promise<unknown>[] = [];
  const outcomes: string[] = [];
  const counts = new Counts();
  const sending = newSending(source, options, counts);
  let begun = false;
  Object.assign(sending.options, {
    onWant: ({ transfer, epoch }: { transfer: Uint8Array; epoch: number }) => {
      if (begun) return;
      begun = true;
      for (const { client } of others) {
        const request: Request = client.open({ type: 'join', request: 0, transfer, epoch });
        joins.push(
          sending.serve(request).then(
            ({ outcome }) => outcomes.push(outcome),
            (error: FerryError) => outcomes.push(error.failure),
          ),
        );
      }
    },
  });
  const main = first as (typeof joined)[number];
  const offer = offerOf(source, { ...options, connections: links.length });
  const failure = await failureOf(sending.serve(main.client.open({ request: 0, ...offer })));
  await Promise.all(joins);
  for (const { client } of joined) client.close();
  const sent = joined.map(({ link }, i) => link.toDaemon.deliveredBytes - (before[i] as number));
  return { failure, sent, outcomes };
}

const large = contentOf(3000 * chunkBytes + 11, 5);

test('three connections share the work, the first one completes', async (t) => {
  const daemon = new TestDaemon();
  const slow = { packets: 'random', packetBytes: 30_000, bufferBytes: 30_000 } as const;
  const links = [1, 2, 3].map((seed) => ({
    seed,
    toDaemon: slow,
    daemonLimits: { inFlightBytes: 200_000 },
  }));
  const { failure, sent, outcomes } = await overSeveral(daemon, large, links, { chunkBytes });
  t.is(failure, undefined);
  t.deepEqual(outcomes, ['released', 'released']);
  t.true(same(await load(daemon.storage, 'file'), large));
  for (const bytes of sent) t.true(bytes > large.length / 10, sent.join());
});

test('when one of three connections breaks, the others bring what it had to', async (t) => {
  for (const [broken, cutAt] of [
    [1, 100_000],
    [1, 900],
    [2, 600_000],
  ] as const) {
    const daemon = new TestDaemon();
    const links = [0, 1, 2].map((i) => ({
      seed: i,
      daemonLimits: { inFlightBytes: 200_000 },
      toDaemon: {
        packets: 'random',
        packetBytes: 30_000,
        bufferBytes: 30_000,
        ...(i === broken ? { cutAt } : {}),
      } as const,
    }));
    const { failure, outcomes } = await overSeveral(daemon, large, links, { chunkBytes });
    t.is(failure, undefined);
    t.deepEqual(outcomes.sort(), ['connection-lost', 'released']);
    t.true(same(await load(daemon.storage, 'file'), large));
  }
});

test('when the first of three connections breaks, the next attempt goes on from what all brought', async (t) => {
  const daemon = new TestDaemon();
  const links = [0, 1, 2].map((i) => ({
    seed: i,
    daemonLimits: { inFlightBytes: 200_000 },
    toDaemon: {
      packets: 'random',
      packetBytes: 30_000,
      bufferBytes: 30_000,
      ...(i === 0 ? { cutAt: 500_000 } : {}),
    } as const,
  }));
  const { failure } = await overSeveral(daemon, large, links, { chunkBytes });
  t.is(failure, 'connection-lost');
  await daemon.service.settled();
  const counts = new Counts();
  const { client } = join(daemon);
  await upload(client, sourceOf(large), { chunkBytes }, counts);
  t.true(counts.bytes < large.length / 2, `${counts.bytes}`);
  t.true(same(await load(daemon.storage, 'file'), large));
  client.close();
});
