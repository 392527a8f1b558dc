import test from 'ava';
import type { ControlFrame, FrameOf } from '../../protocol/frames.ts';
import { limits } from '../../protocol/limits.ts';
import { unbounded } from '../../protocol/ranges.ts';
import { chunkChecksums } from '../../protocol/segments.ts';
import { transferLimits } from '../../transfer/limits.ts';
import type { ChunkSource } from '../../transfer/storage.ts';
import { join, type RawPeer, rawDaemon, TestDaemon } from './helpers/ends.ts';
import {
  Counts,
  contentOf,
  newSending,
  offerOf,
  sourceOf,
  type UploadOptions,
  upload,
} from './helpers/files.ts';
import { failureOf, turns, until } from './helpers/outcome.ts';
import { WrappedSource } from './helpers/wrapped-storage.ts';

const chunkBytes = limits.chunkBytesMin;

/** A receiver that is spoken by hand, and the client that sends to it. */
async function handReceiver(source: ChunkSource, options: UploadOptions = {}, told = {}) {
  const { peer, connection } = rawDaemon();
  peer.greet(told);
  await connection.ready;
  const request = connection.open({ request: 0, ...offerOf(source, { chunkBytes, ...options }) });
  const counts = new Counts();
  const sending = newSending(source, { chunkBytes, ...options }, counts);
  const done = sending.serve(request);
  done.catch(() => undefined);
  await peer.next('offer');
  let round = 0;
  const want = (ranges: [number, number][], last = false): ControlFrame => {
    round += 1;
    const transfer = new Uint8Array(16);
    return {
      type: 'want',
      request: 1,
      round,
      transfer,
      epoch: 1,
      last,
      ranges: ranges.map(([start, end]) => ({ start, end })),
    };
  };
  return { peer, connection, request, counts, done, want };
}

/** Indexes of the chunks up to the next end, and that end. */
async function untilEnd(peer: RawPeer): Promise<{ indexes: number[]; end: FrameOf<'end'> }> {
  await until(() => peer.heard.some(({ type }) => type === 'end' || type === 'error'), 'an end');
  const indexes: number[] = [];
  for (;;) {
    const frame = peer.heard.shift();
    if (frame?.type === 'chunk') indexes.push(frame.index);
    if (frame?.type === 'end') return { indexes, end: frame };
    if (frame === undefined) throw new Error('No end came.');
  }
}

/** What the receiver stored is what the `end` proved, or the sender would not believe it. */
const complete = (request: number, { digest }: FrameOf<'end'>): ControlFrame => ({
  type: 'complete',
  request,
  outcome: 'stored',
  digest,
});

test('exactly what is wanted is sent, then the end of that round', async (t) => {
  const content = contentOf(10 * chunkBytes + 1);
  const { peer, done, want, connection } = await handReceiver(sourceOf(content));
  peer.say(
    want([
      [2, 4],
      [7, 8],
      [10, unbounded],
    ]),
  );
  const first = await untilEnd(peer);
  t.deepEqual(
    first.indexes.sort((a, b) => a - b),
    [2, 3, 7, 10],
  );
  t.deepEqual([first.end.round, first.end.size, first.end.digest], [1, content.length, undefined]);
  peer.say(want([[0, 1]], true));
  const second = await untilEnd(peer);
  t.deepEqual(second.indexes, [0]);
  t.is(second.end.round, 2);
  t.not(second.end.digest, undefined, 'a digest of the whole, though only part of it was sent');
  peer.say(complete(1, second.end));
  t.is((await done).outcome, 'stored');
  connection.close();
});

test('a want without ranges is answered by the digest alone', async (t) => {
  const content = contentOf(3 * chunkBytes);
  const { peer, want, counts, connection } = await handReceiver(sourceOf(content));
  peer.say(want([], true));
  const { indexes, end } = await untilEnd(peer);
  t.deepEqual(indexes, []);
  t.not(end.digest, undefined);
  t.is(counts.bytes, 0);
  connection.close();
});

test('a chunk wanted again before it left is sent once, after it left it is sent again and counted', async (t) => {
  const { peer, want, counts, connection } = await handReceiver(
    sourceOf(contentOf(5 * chunkBytes)),
  );
  peer.say(want([[0, 5]]), want([[1, 3]]));
  const { indexes, end } = await untilEnd(peer);
  t.is(end.round, 2, 'a round that was overtaken has no end');
  t.true(indexes.length >= 5 && indexes.length <= 7);
  peer.say(want([[4, 5]]));
  t.deepEqual((await untilEnd(peer)).indexes, [4]);
  await turns(3);
  t.is(counts.repeated, indexes.length - 5 + 1);
  connection.close();
});

test('compare is answered with sums, in order and within what was asked, while chunks flow', async (t) => {
  const content = contentOf(300 * chunkBytes);
  const sums = chunkChecksums(content, chunkBytes);
  const { peer, want, connection } = await handReceiver(sourceOf(content));
  peer.say(want([[299, 300]], true), {
    type: 'compare',
    request: 1,
    level: 'chunk',
    ranges: [
      { start: 5, end: 105 },
      { start: 200, end: 201 },
    ],
  });
  const { end } = await untilEndKeepingSums(peer);
  const heard = collected;
  const got = new Map<number, bigint>();
  let last = -1;
  for (const frame of heard) {
    t.true(frame.first > last);
    for (const [i, sum] of frame.checksums.entries()) got.set((last = frame.first + i), sum);
  }
  t.is(got.size, 101);
  for (const [index, sum] of got) t.is<bigint | undefined, bigint | undefined>(sum, sums[index]);
  t.not(end.digest, undefined);
  connection.close();
});

let collected: FrameOf<'sums'>[] = [];
async function untilEndKeepingSums(peer: RawPeer): Promise<{ end: FrameOf<'end'> }> {
  await until(() => peer.heard.some(({ type }) => type === 'end'), 'an end');
  collected = peer.heard.filter((frame): frame is FrameOf<'sums'> => frame.type === 'sums');
  return await untilEnd(peer);
}

test('what is wanted during a long comparison does not wait for its end', async (t) => {
  const content = contentOf(600 * chunkBytes);
  let blocked = true;
  let release = (): void => undefined;
  const source = new (class extends WrappedSource {
    override async read(buffer: Uint8Array, position: number): Promise<number> {
      // The far part of the source can't be read yet.
      if (blocked && position >= 512 * chunkBytes) {
        await new Promise<void>((resolve) => {
          release = resolve;
        });
      }
      return await super.read(buffer, position);
    }
  })(sourceOf(content));
  const { peer, want, connection } = await handReceiver(source);
  peer.say({ type: 'compare', request: 1, level: 'segment', ranges: [{ start: 4, end: 5 }] });
  peer.say(want([[0, 1]], true));
  await peer.next('chunk');
  await turns();
  // The sender owes the digest and waits for the comparison: a new want must not wait with it.
  peer.say(want([[1, 2]], true));
  t.is((await peer.next('chunk')).index, 1);
  blocked = false;
  release();
  const { end } = await untilEnd(peer);
  t.is(end.round, 2);
  connection.close();
});

test('what a stream has given cannot be compared: of that there is no end', async (t) => {
  const source = Object.assign(sourceOf(contentOf(5 * chunkBytes)), { rewindable: false });
  const { peer, done, connection } = await handReceiver(source);
  peer.say({ type: 'compare', request: 1, level: 'chunk', ranges: [{ start: 0, end: 1 }] });
  t.is(await failureOf(done), 'protocol');
  t.is((await connection.closed)?.failure, 'protocol');
});

test('wants and compares that can not be are a breach', async (t) => {
  const cases: ((want: (ranges: [number, number][]) => ControlFrame) => ControlFrame[])[] = [
    (want) => [want([[5, 6]])],
    (want) => [want([[unbounded - 1, unbounded]])],
    () => [{ type: 'compare', request: 1, level: 'chunk', ranges: [{ start: 4, end: 6 }] }],
    () => [{ type: 'compare', request: 1, level: 'segment', ranges: [{ start: 1, end: 2 }] }],
    () => [{ type: 'done', request: 1 }],
    (want) => [
      want([]),
      {
        type: 'want',
        request: 1,
        round: 1,
        transfer: new Uint8Array(16),
        epoch: 1,
        last: false,
        ranges: [],
      },
    ],
  ];
  for (const [i, frames] of cases.entries()) {
    const { peer, want, done, connection } = await handReceiver(
      sourceOf(contentOf(5 * chunkBytes)),
    );
    peer.say(...frames(want));
    t.is(await failureOf(done), 'protocol', `case ${i}`);
    t.is((await connection.closed)?.failure, 'protocol');
  }
});

test('a receiver that wants in too many pieces is cut off', async (t) => {
  const chunks = 4 * transferLimits.rangesHeld;
  const source = new (class extends WrappedSource {
    override get size(): number {
      return chunks * chunkBytes;
    }

    override async read(): Promise<number> {
      return await new Promise(() => undefined);
    }
  })(sourceOf(contentOf(1)));
  const { peer, want, done } = await handReceiver(source);
  const perFrame = limits.ranges;
  for (let first = 0; first < chunks; first += 2 * perFrame) {
    const ranges = Array.from({ length: perFrame }, (_, i): [number, number] => [
      first + 2 * i,
      first + 2 * i + 1,
    ]);
    peer.say(want(ranges));
    await turns(1);
  }
  t.is(await failureOf(done), 'protocol');
});

test('nothing is sent beyond what the receiver takes', async (t) => {
  const inFlightBytes = 10 * chunkBytes;
  const content = contentOf(64 * chunkBytes);
  const { peer, want, connection } = await handReceiver(sourceOf(content), {}, { inFlightBytes });
  peer.say(want([[0, unbounded]], true));
  const chunks = (): number => peer.heard.filter(({ type }) => type === 'chunk').length;
  await until(() => chunks() >= 10, 'a window of chunks');
  await turns(30);
  t.is(chunks(), 10);
  peer.say({ type: 'credit', request: 0, consumed: 3 * chunkBytes });
  await turns(30);
  t.true(chunks() <= 13);
  for (let consumed = 4; consumed <= 64; consumed += 1) {
    peer.say({ type: 'credit', request: 0, consumed: Math.min(consumed, chunks()) * chunkBytes });
    await turns(2);
    t.true(chunks() <= Math.min(64, consumed + 10));
  }
  await peer.next('end');
  connection.close();
});

test('a receiver that leaves is answered at once, and nothing follows', async (t) => {
  for (const last of [
    { type: 'cancel', request: 1 },
    { type: 'error', request: 1, failure: 'no-space', message: 'The disk is full.' },
  ] as const) {
    const inFlightBytes = 4 * chunkBytes;
    const content = contentOf(64 * chunkBytes);
    const { peer, want, done, connection } = await handReceiver(
      sourceOf(content),
      {},
      { inFlightBytes },
    );
    peer.say(want([[0, unbounded]], true));
    await peer.next('chunk');
    peer.say(last);
    await peer.next('cancelled');
    t.is(await failureOf(done), last.type === 'cancel' ? 'cancelled' : 'no-space');
    peer.say({ type: 'credit', request: 0, consumed: 4 * chunkBytes });
    await turns(20);
    t.deepEqual(
      peer.heard.map(({ type }) => type),
      [],
      'nothing came after the last word',
    );
    // The window has room for the next request.
    const second = sourceOf(contentOf(3 * chunkBytes));
    const request = connection.open({ request: 0, ...offerOf(second, { chunkBytes }) });
    const serving = newSending(second, { chunkBytes }).serve(request);
    const transfer = new Uint8Array(16);
    const ranges = [{ start: 0, end: 3 }];
    peer.say({ type: 'want', request: 2, round: 1, transfer, epoch: 1, last: true, ranges });
    const { indexes, end } = await untilEnd(peer);
    t.is(indexes.length, 3);
    peer.say(complete(2, end));
    t.is((await serving).outcome, 'stored');
    connection.close();
  }
});

test('a source that fails to read ends its request alone', async (t) => {
  const { TransferError } = await import('../../protocol/errors.ts');
  for (const [thrown, failure] of [
    [new TransferError('io', 'The disk is broken.'), 'io'],
    [new Error('EIO /home/secret'), 'internal'],
  ] as const) {
    const source = new (class extends WrappedSource {
      override async read(): Promise<number> {
        throw thrown;
      }
    })(sourceOf(contentOf(3 * chunkBytes)));
    const { peer, want, done, connection } = await handReceiver(source);
    peer.say(want([[0, 3]], true));
    t.is(await failureOf(done), failure);
    await until(() => peer.heard.some(({ type }) => type === 'error'));
    const error = peer.heard.find((frame): frame is FrameOf<'error'> => frame.type === 'error');
    t.is(error?.failure, failure);
    t.is(error?.request, 1);
    t.notRegex(error?.message ?? '', /secret/);
    t.true(connection.isOpen);
    connection.close();
  }
});

test('what was handed to the socket counts as sent, though the connection is lost before it left', async (t) => {
  const { connection, peer, link } = rawDaemon({
    toDaemon: { stallAt: 100_000, bufferBytes: 1_000 },
  });
  peer.greet();
  await connection.ready;
  const source = sourceOf(contentOf(2_000_000));
  const request = connection.open({ request: 0, ...offerOf(source) });
  const counts = new Counts();
  const done = newSending(source, {}, counts).serve(request);
  const range = { start: 0, end: 31 };
  const transfer = new Uint8Array(16);
  await peer.next('offer');
  peer.say({ type: 'want', request: 1, round: 1, transfer, epoch: 1, last: true, ranges: [range] });
  await until(() => link.toDaemon.deliveredBytes >= 100_000, 'the stall');
  link.cut();
  t.is(await failureOf(done), 'connection-lost');
  t.true(counts.bytes >= link.toDaemon.deliveredBytes - 1_000, `${counts.bytes} counted`);
});

/** Notes how far it is read before what was read first has left. */
class AheadSource extends WrappedSource {
  readonly readsInThread: boolean;
  readonly counts = new Counts();
  mostBytes = 0;

  constructor(content: Uint8Array, readsInThread: boolean) {
    super(sourceOf(content));
    this.readsInThread = readsInThread;
  }

  override async read(buffer: Uint8Array, positionBytes: number): Promise<number> {
    this.mostBytes = Math.max(this.mostBytes, positionBytes + buffer.length - this.counts.bytes);
    return await super.read(buffer, positionBytes);
  }
}

for (const readsInThread of [true, false]) {
  test(`a source is read ahead unless that stops the thread: ${readsInThread}`, async (t) => {
    const { sendBatchBytes } = transferLimits;
    const source = new AheadSource(contentOf(16 * sendBatchBytes), readsInThread);
    // Only a reader that confirms gets large batches.
    const daemonLimits = { inFlightBytes: 4 * sendBatchBytes };
    const { client } = join(new TestDaemon(), { daemonLimits });
    const { outcome } = await upload(client, source, {}, source.counts);
    t.is(outcome, 'stored');
    t.is(source.mostBytes > sendBatchBytes, !readsInThread, `${source.mostBytes}`);
    client.close();
  });
}
