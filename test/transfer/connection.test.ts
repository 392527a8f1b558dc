import { createHook } from 'node:async_hooks';
import test, { type ExecutionContext } from 'ava';
import { FerryError, type ProtocolError, TransferError } from '../../protocol/errors.ts';
import { type ControlFrame, encodeFrame } from '../../protocol/frames.ts';
import { encodeHeader, headerBytes } from '../../protocol/header.ts';
import { limits } from '../../protocol/limits.ts';
import { encodePreamble, preambleBytes, versions } from '../../protocol/preamble.ts';
import { newHello } from '../../transfer/greeting.ts';
import { transferLimits } from '../../transfer/limits.ts';
import type { Request } from '../../transfer/request.ts';
import {
  chunkFrame,
  join,
  newId,
  newSession,
  RawPeer,
  rawClient,
  rawDaemon,
  TestDaemon,
} from './helpers/ends.ts';
import { answerOf, contentOf, offerOf, smallFile, sourceOf } from './helpers/files.ts';
import type { Packets } from './helpers/link.ts';
import { failureOf, turns, until } from './helpers/outcome.ts';

const stat = (request: number, path = ''): ControlFrame => ({ type: 'stat', request, path });
const helloOf = (): ControlFrame => ({ type: 'hello', request: 0, ...newHello(newSession()) });

/** The error that a hand-spoken peer is told before the end; undefined when it is told nothing. */
async function toldAtTheEnd(peer: RawPeer): Promise<string | undefined> {
  await peer.ended;
  const errors = peer.heard.filter((frame) => frame.type === 'error' && frame.request === 0);
  const [error] = errors;
  return error?.type === 'error' ? error.failure : undefined;
}

// ---- the greeting ------------------------------------------------------------------------------

for (const packets of ['as written', 'one byte', 'random', 'held back'] as Packets[]) {
  test(`both greet and answer with packets ${packets}`, async (t) => {
    const daemon = new TestDaemon();
    const {
      client,
      daemon: ours,
      link,
    } = join(daemon, { toDaemon: { packets }, toClient: { packets } });
    // The first question leaves right behind the hello.
    const answer = answerOf(client.open(stat(0)), 'entry');
    t.is((await client.ready).software, (await ours.ready).software, link.describe);
    t.is((await answer).entry.kind, 'directory', link.describe);
    t.true(client.isOpen);
    client.close();
    t.is(await client.closed, undefined);
  });
}

test('what is no preamble is closed without a word', async (t) => {
  for (const bytes of ['GET / HTTP/1.1\r\n\r\n', '\x16\x03\x01\x02\x00\x01', '\0', '\x89FERRYxx']) {
    const { peer, connection } = rawClient(new TestDaemon());
    peer.say(Buffer.from(bytes, 'latin1'));
    t.is((await connection.closed)?.failure, 'protocol');
    await peer.ended;
    t.is(peer.bytes.length, 0);
    await t.throwsAsync(connection.ready);
  }
});

test('a daemon that speaks another version says its range and closes; the client says both', async (t) => {
  const { peer, connection } = rawClient(new TestDaemon());
  peer.say(encodePreamble({ lowest: 5, highest: 6, extensionBytes: 0 }), helloOf());
  t.is((await connection.closed)?.failure, 'version');
  await peer.ended;
  t.is(Buffer.compare(peer.bytes.subarray(0, preambleBytes), encodePreamble(versions)), 0);
  const [error, ...rest] = peer.heard;
  t.true(
    error?.type === 'error' && error.failure === 'version' && /1 to 1.*5 to 6/.test(error.message),
  );
  t.deepEqual(rest, []);

  const other = rawDaemon();
  other.peer.say(encodePreamble({ lowest: 5, highest: 6, extensionBytes: 0 }));
  const reason = await other.connection.closed;
  t.is(reason?.failure, 'version');
  t.regex(reason?.message ?? '', /1 to 1.*5 to 6/);
});

test('an unknown critical field of a hello ends the connection, an unknown other one is skipped', async (t) => {
  for (const [critical, failure] of [
    [true, 'protocol'],
    [false, undefined],
  ] as const) {
    const { peer, connection } = rawClient(new TestDaemon());
    const hello = Buffer.from(encodeFrame(helloOf())).subarray(headerBytes);
    // One field more, at the end of the list: tag 99, no bytes.
    const payload = Buffer.concat([hello, Buffer.from([99, critical ? 0x80 : 0, 0, 0])]);
    payload.writeUInt16LE(payload.readUInt16LE(0) + 1, 0);
    peer.say(encodePreamble(versions), reframed(payload), encodeFrame(stat(1)));
    if (failure === undefined) t.is((await peer.next('entry')).request, 1);
    else t.is((await connection.closed)?.failure, failure);
    connection.close();
  }
});

/** A hello frame with this payload. */
function reframed(payload: Uint8Array): Uint8Array {
  // A chunk carries every payload, and gets its checksum right; then it says that it is a hello.
  const chunk = chunkFrame(0, 0, payload);
  const bytes = new Uint8Array(chunk);
  return asType(bytes, 1);
}

function asType(frame: Uint8Array, type: number): Uint8Array {
  const { length } = frame;
  const header = { type, flags: 0, length: length - headerBytes, request: 0, index: 0 };
  const view = new DataView(frame.buffer);
  encodeHeader({ ...header, checksum: view.getBigUint64(24, true) }, view, 0);
  return frame;
}

test('any frame before the hello is an error', async (t) => {
  for (const frame of [
    encodeFrame(stat(1)),
    encodeFrame({ type: 'ping', request: 0, token: 1n }),
    chunkFrame(1, 0, new Uint8Array(9)),
  ]) {
    const { peer } = rawClient(new TestDaemon());
    peer.say(encodePreamble(versions), frame);
    t.is(await toldAtTheEnd(peer), 'protocol');
  }
});

test('a second hello is an error', async (t) => {
  const { peer } = rawClient(new TestDaemon());
  peer.greet();
  peer.say(helloOf());
  t.is(await toldAtTheEnd(peer), 'protocol');
});

test('an error in the place of the hello is what the client reports', async (t) => {
  const { peer, connection } = rawDaemon();
  const error = { type: 'error', request: 0, failure: 'connections', message: 'Full.' } as const;
  peer.say(encodePreamble(versions), error);
  const reason = await t.throwsAsync<ProtocolError>(connection.ready);
  t.is(reason?.failure, 'connections');
  t.is(reason?.message, 'Full.');
});

test('limits that leave no room end the connection', async (t) => {
  const { peer } = rawClient(new TestDaemon());
  peer.greet({ chunkBytesMax: 1024 });
  t.is(await toldAtTheEnd(peer), 'protocol');
});

test('a peer that does not finish its greeting is closed when its time is over', async (t) => {
  const half = Buffer.concat([encodePreamble(versions), encodeFrame(helloOf())]);
  for (const bytes of [0, 3, preambleBytes, half.length - 1]) {
    const { peer, connection } = rawClient(new TestDaemon(), {
      daemonOptions: { greetingMs: 30, tickMs: 5 },
    });
    peer.say(half.subarray(0, bytes));
    t.is((await connection.closed)?.failure, 'timeout');
  }
});

test('a greeting that trickles in is closed all the same', async (t) => {
  const { peer, connection } = rawClient(new TestDaemon(), {
    daemonOptions: { greetingMs: 60, tickMs: 5 },
  });
  const wire = Buffer.concat([encodePreamble(versions), encodeFrame(helloOf())]);
  let at = 0;
  const timer = setInterval(() => {
    if (at < wire.length - 1) peer.say(wire.subarray(at, (at += 1)));
  }, 5);
  t.is((await connection.closed)?.failure, 'timeout');
  clearInterval(timer);
});

// ---- liveness ----------------------------------------------------------------------------------

const hasty = { tickMs: 5, heartbeatMs: 20, silenceMs: 100 };

test('idle connections keep each other alive with pings', async (t) => {
  const patient = { ...hasty, silenceMs: 60_000 };
  const { client, daemon, link } = join(new TestDaemon(), {
    clientOptions: patient,
    daemonOptions: patient,
  });
  await client.ready;
  for (let beat = 0; beat < 5; beat += 1) {
    const { deliveredBytes } = link.toDaemon;
    const heardAtMs = [client.heardAtMs, daemon.heardAtMs];
    await until(() => client.heardAtMs > (heardAtMs[0] as number), 'a sign of life');
    await until(() => daemon.heardAtMs > (heardAtMs[1] as number), 'a sign of life');
    t.true(link.toDaemon.deliveredBytes > deliveredBytes);
  }
  t.true(client.isOpen && daemon.isOpen);
  t.true((client.pings.roundTripMs ?? -1) >= 0);
  client.close();
});

test('a peer that falls silent is given up', async (t) => {
  const { client, daemon, link } = join(new TestDaemon(), {
    clientOptions: hasty,
    daemonOptions: hasty,
  });
  await client.ready;
  link.cut('silence');
  const reasons = await Promise.all([client.closed, daemon.closed]);
  t.deepEqual(
    reasons.map((reason) => reason?.failure),
    ['timeout', 'timeout'],
  );
  t.true(reasons[0]?.retryable);
});

test('a side that says nothing but is answered nothing either still pings, time after time', async (t) => {
  const { peer, connection } = rawClient(new TestDaemon(), {
    daemonOptions: { tickMs: 2, heartbeatMs: 4, silenceMs: 10_000 },
  });
  peer.greet();
  await until(() => peer.heard.filter(({ type }) => type === 'ping').length > 20, 'twenty pings');
  const pings = peer.heard.filter((frame) => frame.type === 'ping');
  t.is(
    new Set(pings.map((frame) => (frame.type === 'ping' ? frame.token : 0n))).size,
    pings.length,
  );
  connection.close();
});

test('a ping is answered with its own token, also while a request goes on', async (t) => {
  const { peer, connection } = rawClient(new TestDaemon());
  peer.greet();
  peer.say({ type: 'ping', request: 0, token: 2n ** 64n - 1n }, stat(1), {
    type: 'ping',
    request: 0,
    token: 5n,
  });
  t.is((await peer.next('pong')).token, 2n ** 64n - 1n);
  t.is((await peer.next('pong')).token, 5n);
  connection.close();
});

test('a request that does not come forward ends with a timeout, and the connection goes on', async (t) => {
  const { client } = join(new TestDaemon(), {
    daemonOptions: { tickMs: 5, progressMs: 40 },
  });
  await client.ready;
  const source = sourceOf(contentOf(100));
  const request = client.open({ request: 0, ...offerOf(source) });
  // The daemon wants the chunk, and never gets it.
  t.is(await failureOf(answerOf(request, 'complete')), 'timeout');
  t.is((await answerOf(client.open(stat(0)), 'entry')).entry.kind, 'directory');
  client.close();
});

test('a page whose contents never come ends with a timeout too', async (t) => {
  const { client } = join(new TestDaemon(), { daemonOptions: { tickMs: 5, progressMs: 40 } });
  await client.ready;
  const { entry } = smallFile('a', 'abc');
  const { policy } = offerOf(sourceOf(contentOf(1)));
  const request = client.open({
    type: 'offers',
    request: 0,
    operation: newId(),
    base: '',
    policy: policy as NonNullable<typeof policy>,
    eager: false,
    entries: [entry],
  });
  t.is(await failureOf(answerOf(request, 'results')), 'timeout');
  client.close();
});

// ---- requests ----------------------------------------------------------------------------------

test('request ids may have gaps, and never go down', async (t) => {
  for (const [ids, failure] of [
    [[1, 2, 3], undefined],
    [[5, 900, 4_294_967_295], undefined],
    [[2, 1], 'protocol'],
    [[3, 3], 'protocol'],
  ] as const) {
    const { peer, connection } = rawClient(new TestDaemon());
    peer.greet();
    for (const id of ids) {
      peer.say(stat(id));
      if (id !== ids.at(-1) || failure === undefined) t.is((await peer.next('entry')).request, id);
    }
    if (failure !== undefined) t.is((await connection.closed)?.failure, failure);
    connection.close();
  }
});

test('a frame that opens nothing, or is for no request, is an error', async (t) => {
  const done: ControlFrame = { type: 'done', request: 1 };
  const end: ControlFrame = { type: 'end', request: 1, round: 0, size: 0 };
  for (const frame of [
    encodeFrame(done),
    encodeFrame(end),
    chunkFrame(1, 0, new Uint8Array(1)),
    encodeFrame({ type: 'cancel', request: 1 }),
  ]) {
    const { peer } = rawClient(new TestDaemon());
    peer.greet();
    peer.say(frame);
    t.is(await toldAtTheEnd(peer), 'protocol');
  }
});

test('a daemon that opens a request is an error', async (t) => {
  const { peer, connection } = rawDaemon();
  peer.greet();
  await connection.ready;
  peer.say(stat(1));
  t.is((await connection.closed)?.failure, 'protocol');
});

test('frames that may come late are ignored, all others for a closed request are not', async (t) => {
  const { peer, connection } = rawClient(new TestDaemon());
  peer.greet();
  peer.say(stat(1));
  await peer.next('entry');
  peer.say(
    { type: 'cancel', request: 1 },
    { type: 'cancelled', request: 1 },
    { type: 'error', request: 1, failure: 'internal', message: '' },
    { type: 'have', request: 1, received: 1, durable: 0 },
    { type: 'working', request: 1, phase: 'hashing', done: 0, total: 0 },
    stat(2),
  );
  t.is((await peer.next('entry')).request, 2);
  peer.say({ type: 'complete', request: 1, outcome: 'stored' });
  t.is((await connection.closed)?.failure, 'protocol');
});

test('as many requests as were told may be open, one more is an error', async (t) => {
  const held: Request[] = [];
  const { peer, connection } = rawClient(new TestDaemon(), {
    daemonLimits: { requests: 3 },
    daemonOptions: { onRequest: (request) => void held.push(request) },
  });
  peer.greet();
  peer.say(stat(1), stat(2), stat(3));
  await until(() => held.length === 3);
  t.is(connection.openRequests, 3);
  held[0]?.fail(new FerryError('not-found', 'Gone.'));
  peer.say(stat(4));
  await until(() => held.length === 4);
  t.true(connection.isOpen, 'one was closed, so one may be opened');
  peer.say(stat(5));
  t.is((await connection.closed)?.failure, 'protocol');
});

test('as many pages as were told may be open, one more is an error', async (t) => {
  const { peer, connection } = rawClient(new TestDaemon(), {
    daemonLimits: { pages: 2 },
    daemonOptions: { onRequest: () => undefined },
  });
  peer.greet();
  const page = (type: 'fetch' | 'verify', request: number): ControlFrame => ({
    type,
    request,
    base: '',
    paths: [],
  });
  peer.say(page('fetch', 1), stat(2), page('verify', 3), stat(4));
  await until(() => connection.openRequests === 4);
  peer.say(page('verify', 5));
  t.is((await connection.closed)?.failure, 'protocol');
});

test.serial(
  'once its link is closed a connection has no timer, not even one that keeps nobody',
  async (t) => {
    // No other test runs beside a serial one: all these timers are of this connection.
    const timers = new Set<number>();
    const hook = createHook({
      init: (id, type) => void (type === 'Timeout' && timers.add(id)),
      destroy: (id) => void timers.delete(id),
    }).enable();
    const { peer, connection } = rawClient(new TestDaemon());
    t.true(timers.size > 0);
    connection.close();
    await peer.ended;
    // In far less than such a timer takes.
    for (let i = 0; i < 20 && timers.size > 0; i += 1) await turns();
    hook.disable();
    t.is(timers.size, 0);
  },
);

test('a connection that is closed opens nothing any more', async (t) => {
  const { client } = join(new TestDaemon());
  await client.ready;
  const request = client.open(stat(0));
  client.close();
  t.is(await failureOf(answerOf(request, 'entry')), 'connection-lost');
  t.throws(() => client.open(stat(0)), { instanceOf: FerryError });
});

test('what the peer is told and what its own side reports is the same failure', async (t) => {
  const { client, daemon } = join(new TestDaemon());
  await client.ready;
  const request = client.open(stat(0));
  daemon.close(new FerryError('stopping', 'The daemon is stopping.'));
  t.is(await failureOf(answerOf(request, 'entry')), 'stopping');
  t.is((await client.closed)?.failure, 'stopping');
});

// ---- damage ------------------------------------------------------------------------------------

test('a damaged header or control payload ends the connection as corrupt, which may be tried again', async (t) => {
  const frame = Buffer.from(encodeFrame(stat(1, 'some/path')));
  for (let at = 0; at < frame.length; at += 1) {
    const { peer, connection } = rawClient(new TestDaemon());
    const damaged = Buffer.from(frame);
    damaged[at] = (damaged[at] as number) ^ (1 << (at % 8));
    peer.greet();
    peer.say(damaged);
    const reason = await connection.closed;
    t.is(reason?.failure, 'corrupt', `byte ${at}`);
    t.true(reason?.retryable);
    t.is(await toldAtTheEnd(peer), 'corrupt');
  }
});

test('a frame that announces too much is refused before its payload came', async (t) => {
  const tooLong = (type: number, length: number): Uint8Array => {
    const bytes = new Uint8Array(headerBytes);
    const header = { type, flags: 0, length, request: 1, index: 0, checksum: 0n };
    encodeHeader(header, new DataView(bytes.buffer), 0);
    return bytes;
  };
  for (const [type, length] of [
    [0x11, limits.controlBytes + 1],
    [0x11, 0xffff_ffff],
    [0x2f, limits.chunkBytesMax + 1],
    [0x2f, 0xffff_ffff],
  ] as const) {
    const { peer } = rawClient(new TestDaemon());
    peer.greet();
    peer.say(tooLong(type, length));
    t.is(await toldAtTheEnd(peer), 'protocol');
  }
});

test('a peer that confirms more than it was sent is cut off', async (t) => {
  const { peer } = rawClient(new TestDaemon());
  peer.greet();
  peer.say({ type: 'credit', request: 0, consumed: 1 });
  t.is(await toldAtTheEnd(peer), 'protocol');
});

test('a peer that sends more than it may is cut off', async (t) => {
  const { peer } = rawClient(new TestDaemon(), {
    daemonLimits: { inFlightBytes: 100_000 },
    // Nobody takes what comes: it stays in flight.
    daemonOptions: {
      onRequest: (request) =>
        request.listen({
          onFrame: () => undefined,
          onChunks: () => undefined,
          onFailed: () => undefined,
        }),
    },
  });
  peer.greet();
  const { policy } = offerOf(sourceOf(contentOf(1)));
  const offers = {
    operation: newId(),
    base: '',
    policy: policy as NonNullable<typeof policy>,
    eager: true,
  };
  peer.say({ type: 'offers', request: 1, ...offers, entries: [] });
  peer.say(chunkFrame(1, 0, new Uint8Array(65_536)), chunkFrame(1, 1, new Uint8Array(34_464)));
  await turns();
  t.false(peer.stream.destroyed, 'exactly what is allowed');
  peer.say(chunkFrame(1, 2, new Uint8Array(1)));
  t.is(await toldAtTheEnd(peer), 'protocol');
});

test('chunks of one read are heard together in order, but not all that a read may hold', async (t) => {
  const runs: number[][] = [];
  const { peer } = rawClient(new TestDaemon(), {
    daemonOptions: {
      onRequest: (request) =>
        request.listen({
          onFrame: () => undefined,
          onChunks: ({ first, payloads }) => {
            runs.push(payloads.map((_, i) => first.index + i));
          },
          onFailed: () => undefined,
        }),
    },
  });
  peer.greet();
  const { policy } = offerOf(sourceOf(contentOf(1)));
  peer.say({
    type: 'offers',
    request: 1,
    operation: newId(),
    base: '',
    policy: policy as NonNullable<typeof policy>,
    eager: true,
    entries: [],
  });
  const count = 1000;
  const chunks = Array.from({ length: count }, (_, i) => chunkFrame(1, i, new Uint8Array(1)));
  peer.say(Buffer.concat(chunks));
  await until(() => runs.flat().length === count, 'all chunks');
  t.deepEqual(runs.flat(), [...chunks.keys()]);
  t.is(Math.max(...runs.map(({ length }) => length)), transferLimits.arrivedChunks);
});

// ---- peers that don't read -----------------------------------------------------------------------

test('a peer that asks and never reads its answers is closed before they pile up', async (t) => {
  const { peer, connection, link } = rawClient(new TestDaemon(), {
    toClient: { stallAt: 1000, bufferBytes: 4096 },
  });
  peer.greet();
  const count = 200;
  const pings = Buffer.concat(
    Array.from({ length: count }, (_, i) =>
      encodeFrame({ type: 'ping', request: 0, token: BigInt(i) }),
    ),
  );
  const { replyQueueBytes, queuedFrameBytes } = transferLimits;
  const most = Math.ceil(replyQueueBytes / (pings.length + count * queuedFrameBytes)) + 3;
  await connection.ready;
  let said = 0;
  for (; connection.isOpen && said < 2 * most; said += 1) {
    peer.say(pings);
    await turns(3);
  }
  t.true(said > most / 2 && said <= most, `${said} of at most ${most}`);
  t.is((await connection.closed)?.failure, 'timeout');
  t.true(link.toClient.deliveredBytes <= 1000);
});

test('many who never read their answers share one limit, and who reads is not counted among them', async (t) => {
  const daemon = new TestDaemon();
  const stalled = { stallAt: 1000, bufferBytes: 4096 };
  const { queuedFrameBytes, repliesBytes, repliesLeastBytes } = transferLimits;
  const { client } = join(daemon);
  await client.ready;
  const ping = encodeFrame({ type: 'ping', request: 0, token: 1n });
  const answerBytes = ping.length + queuedFrameBytes;
  // Each stays below its own limit: only all together are too much.
  const each = Buffer.concat(
    Array.from({ length: Math.floor((3 * repliesLeastBytes) / answerBytes) }, () => ping),
  );
  const count = Math.ceil(repliesBytes / (3 * repliesLeastBytes)) + 5;
  const crowd = Array.from({ length: count }, () => rawClient(daemon, { toClient: stalled }));
  for (const { peer, connection } of crowd) {
    peer.greet();
    await connection.ready;
    peer.say(each);
    await turns(3);
  }
  const ended = crowd.filter(({ connection }) => !connection.isOpen);
  t.true(ended.length >= 3 && ended.length < count / 2, `${ended.length} of ${count}`);
  for (const { connection } of ended) t.is((await connection.closed)?.failure, 'timeout');
  for (let i = 0; i < 20; i += 1) client.ping();
  await turns(20);
  t.true(client.isOpen);
  t.true(client.pings.roundTripMs !== undefined);
  client.close();
  for (const { peer } of crowd) peer.stream.destroy();
});

test('a reader that is merely slow keeps its connection, however much content waits for it', async (t) => {
  const daemon = new TestDaemon();
  const files = Array.from({ length: 32 }, (_, i) => smallFile(`f${i}`, contentOf(65_536, i)));
  await daemon.storage.putSmall('', files);
  const { peer, connection, link } = rawClient(daemon, {
    toClient: { stallAt: 2000, bufferBytes: 4096 },
  });
  peer.greet();
  const paths = files.map(({ entry }) => entry.path);
  for (let request = 1; request <= limits.pages; request += 1) {
    peer.say({ type: 'fetch', request, base: '', paths });
  }
  await turns(50);
  t.true(link.toClient.writtenBytes > 2000, 'the daemon has begun to send');
  for (let i = 0; i < 20; i += 1) peer.say({ type: 'ping', request: 0, token: BigInt(i) });
  await turns(20);
  t.true(connection.isOpen);
  connection.close();
});

test('two ends that flood each other do not wait for each other for ever', async (t) => {
  const small = { bufferBytes: 10_000, packets: 'random', packetBytes: 3000 } as const;
  const daemon = new TestDaemon();
  const { client, link } = join(daemon, { toDaemon: small, toClient: small });
  await client.ready;
  const answers = [];
  for (let i = 0; i < limits.requests; i += 1)
    answers.push(answerOf(client.open(stat(0)), 'entry'));
  for (let i = 0; i < 300; i += 1) client.ping();
  t.is((await Promise.all(answers)).length, limits.requests, link.describe);
  client.close();
});

// ---- goodbye -------------------------------------------------------------------------------------

test('after a goodbye what is under way goes on, and a new request is told that the daemon stops', async (t) => {
  const held: Request[] = [];
  const { peer, connection } = rawClient(new TestDaemon(), {
    daemonOptions: { onRequest: (request) => void held.push(request) },
  });
  peer.greet();
  peer.say(stat(1));
  await until(() => held.length === 1);
  connection.goodbye();
  await peer.next('goodbye');
  peer.say(stat(2));
  await t.throwsAsync(peer.next('entry'), { message: /stopping/ });
  t.is(held.length, 1);
  const { entry } = smallFile('', '');
  held[0]?.say({ type: 'entry', request: 1, entry });
  t.is((await peer.next('entry')).request, 1);
  t.is(connection.openRequests, 0);
  peer.stream.end();
  t.is(await connection.closed, undefined, 'an end that was announced is no loss');
});

test('a client that heard goodbye takes the connection for closed to new requests', async (t) => {
  const { client, daemon } = join(new TestDaemon());
  await client.ready;
  daemon.goodbye();
  daemon.goodbye();
  await until(() => !client.isOpen);
  daemon.close();
  t.is(await client.closed, undefined);
});

test('a link that breaks ends every request with connection-lost, by reset or by end', async (t) => {
  for (const style of ['reset', 'end'] as const) {
    const { client, daemon, link } = join(new TestDaemon(), {
      daemonOptions: { onRequest: () => undefined },
    });
    await client.ready;
    const answers = [1, 2, 3].map(() => failureOf(answerOf(client.open(stat(0)), 'entry')));
    await until(() => daemon.openRequests === 3);
    link.cut(style);
    t.deepEqual(await Promise.all(answers), Array(3).fill('connection-lost'));
    t.is((await client.closed)?.failure, 'connection-lost');
    t.is((await daemon.closed)?.failure, 'connection-lost');
    t.is(daemon.openRequests, 0);
  }
});

test('features are those that both sides name', async (t: ExecutionContext) => {
  const named = (features: string[]) => ({ hello: { ...newHello(newSession()), features } });
  const { client } = join(new TestDaemon(), {
    clientOptions: named(['a', 'b']),
    daemonOptions: named(['c', 'b']),
  });
  await client.ready;
  t.deepEqual(client.features, ['b']);
  client.close();
});

test('a path that no reader would take is refused here, and the connection goes on', async (t) => {
  const { client } = join(new TestDaemon());
  await client.ready;
  const path = 'a'.repeat(4_097);
  const error = t.throws(() => client.open({ type: 'stat', request: 0, path }), {
    instanceOf: TransferError,
  });
  t.is(error.failure, 'bad-path');
  t.is(client.openRequests, 0);
  const request = client.open({ type: 'stat', request: 0, path: '' });
  t.is((await answerOf(request, 'entry')).entry.kind, 'directory');
});
