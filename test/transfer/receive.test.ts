import test, { type ExecutionContext } from 'ava';
import fc from 'fast-check';
import { checksum, digestOf, fold } from '../../protocol/checksum.ts';
import { TransferError } from '../../protocol/errors.ts';
import { defaultPolicy } from '../../protocol/frames/transfer.ts';
import type { ControlFrame, Frame, FrameOf } from '../../protocol/frames.ts';
import { limits } from '../../protocol/limits.ts';
import { unbounded } from '../../protocol/ranges.ts';
import { chunkChecksums, chunkCount } from '../../protocol/segments.ts';
import { atOnce } from '../../transfer/at-once.ts';
import { transferLimits } from '../../transfer/limits.ts';
import { DropSink } from '../../transfer/measure/made-up.ts';
import { MemoryStorage } from '../../transfer/memory-storage.ts';
import { Receiving } from '../../transfer/receive.ts';
import { receiveFile } from '../../transfer/receive-file.ts';
import type { ChunkSink, Storage } from '../../transfer/storage.ts';
import { wrap } from '../../transfer/wrap.ts';
import {
  chunkFrame,
  type JoinOptions,
  type RawPeer,
  rawClient,
  TestDaemon,
} from './helpers/ends.ts';
import { contentOf, load, offerOf, sourceOf, type UploadOptions } from './helpers/files.ts';
import { randomFrom } from './helpers/link.ts';
import { turns, until } from './helpers/outcome.ts';

const chunkBytes = limits.chunkBytesMin;

function digest(content: Uint8Array): bigint {
  const sums = chunkChecksums(content, chunkBytes);
  const segments: bigint[] = [];
  for (let at = 0; at < sums.length; at += limits.segmentChunks) {
    segments.push(fold(sums.subarray(at, at + limits.segmentChunks)));
  }
  return digestOf(segments, content.length);
}

/** A sender that is spoken by hand, and the daemon that receives from it. */
class HandSender {
  readonly content: Uint8Array;
  readonly storage = new MemoryStorage();
  readonly daemon: TestDaemon;
  readonly ends: ReturnType<typeof rawClient>;
  readonly peer: RawPeer;
  request = 1;

  constructor(content: Uint8Array, daemon?: TestDaemon, options?: JoinOptions) {
    this.content = content;
    this.daemon = daemon ?? new TestDaemon(this.storage);
    this.ends = rawClient(this.daemon, options);
    this.peer = this.ends.peer;
    this.peer.greet();
  }

  offer(options: UploadOptions = {}): void {
    const offer = offerOf(sourceOf(this.content), { chunkBytes, ...options });
    this.peer.say({ request: this.request, ...offer });
  }

  chunk(index: number, options: { damage?: boolean } = {}): Uint8Array {
    const payload = this.content.subarray(index * chunkBytes, (index + 1) * chunkBytes);
    return chunkFrame(this.request, index, payload, options);
  }

  all(): Uint8Array[] {
    return Array.from({ length: chunkCount(this.content.length, chunkBytes) }, (_, i) =>
      this.chunk(i),
    );
  }

  end(round: number, changes: Partial<FrameOf<'end'>> = {}): ControlFrame {
    return {
      type: 'end',
      request: this.request,
      round,
      size: this.content.length,
      digest: digest(this.content),
      ...changes,
    };
  }

  /** What the daemon's last word was: of the request, or of the connection. */
  async error(): Promise<{ failure: string; request: number }> {
    const find = (): FrameOf<'error'> | undefined =>
      this.peer.heard.find((frame): frame is FrameOf<'error'> => frame.type === 'error');
    await until(() => find() !== undefined, 'an error');
    const { failure, request } = find() as FrameOf<'error'>;
    return { failure, request };
  }

  async stored(): Promise<boolean> {
    const content = await load(this.daemon.storage, 'file');
    return content !== undefined && Buffer.compare(content, this.content) === 0;
  }

  close(): void {
    this.peer.stream.destroy();
  }
}

/** Receives into sinks that have written a run when the call returns, as a client's files have. */
function receivingAtOnce(storage: Storage, onHave: (bytes: number) => void): JoinOptions {
  const prompt = wrap(storage, {
    openSink: async (...args: Parameters<Storage['openSink']>) => {
      const sink = await storage.openSink(...args);
      return wrap(sink, {
        write: (...run: Parameters<ChunkSink['write']>) => {
          void sink.write(...run);
          return atOnce;
        },
      });
    },
  });
  const options = {
    policy: defaultPolicy,
    transfer: new Uint8Array(16),
    epoch: 0,
    connections: 1,
    onHave,
  };
  return {
    daemonOptions: {
      onRequest: (request, frame) => {
        void receiveFile(request, frame as FrameOf<'offer'>, prompt, 'file', options);
      },
    },
  };
}

async function refused(t: ExecutionContext, sender: HandSender, failure: string): Promise<void> {
  const error = await sender.error();
  t.deepEqual(error, { failure, request: failure === 'protocol' ? 0 : sender.request });
  await turns();
  t.is(await load(sender.storage, 'file'), undefined, 'nothing has the name');
  sender.close();
}

test('chunks may come in any order, before the end of their round', async (t) => {
  await fc.assert(
    fc.asyncProperty(fc.nat({ max: 30_000 }), fc.nat(), async (size, seed) => {
      const random = randomFrom(seed);
      const sender = new HandSender(contentOf(size));
      sender.offer();
      const want = await sender.peer.next('want');
      t.true(want.last);
      const chunks = sender
        .all()
        .map((bytes) => ({ bytes, place: random() }))
        .sort((a, b) => a.place - b.place)
        .map(({ bytes }) => bytes);
      sender.peer.say(...chunks, sender.end(1));
      const complete = await sender.peer.next('complete');
      t.is(complete.outcome, 'stored');
      t.is(complete.digest, digest(sender.content));
      t.true(await sender.stored());
      sender.close();
    }),
    { numRuns: 30 },
  );
});

test('what comes in one read is the same as chunk by chunk: repeated, damaged and out of order', async (t) => {
  const step = fc.record({
    first: fc.nat({ max: 19 }),
    count: fc.integer({ min: 1, max: 6 }),
    damaged: fc.boolean(),
    /** Whether the read ends behind it. */
    last: fc.boolean(),
  });
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 12 }), fc.boolean(), async (steps, isPrompt) => {
      const chunks = 20;
      const storage = new MemoryStorage();
      let heldBytes = 0;
      const sender = new HandSender(
        contentOf(chunks * chunkBytes - 5),
        new TestDaemon(storage),
        isPrompt ? receivingAtOnce(storage, (bytes) => void (heldBytes = bytes)) : {},
      );
      sender.offer();
      await sender.peer.next('want');
      const arrived = new Set<number>();
      const damages = new Map<number, number>();
      let rounds = 1;
      let read: Uint8Array[] = [];
      const whole = { first: 0, count: chunks, damaged: false, last: true };
      for (const { first, count, damaged, last } of [...steps, whole]) {
        for (let i = first; i < Math.min(first + count, chunks); i += 1) {
          const times = damages.get(i) ?? 0;
          const isDamaged = damaged && times < limits.chunkRepeats;
          if (isDamaged && !arrived.has(i)) {
            damages.set(i, times + 1);
            rounds += 1;
          }
          if (!isDamaged) arrived.add(i);
          read.push(sender.chunk(i, { damage: isDamaged }));
        }
        if (last) {
          sender.peer.say(Buffer.concat(read));
          read = [];
        }
      }
      // Each damaged one was asked for, alone: else this answers another round.
      sender.peer.say(sender.end(rounds));
      t.is((await sender.peer.next('complete')).outcome, 'stored');
      t.true(await sender.stored());
      if (isPrompt) t.is(heldBytes, sender.content.length);
      sender.close();
    }),
    { numRuns: 60 },
  );
});

test('what came in a read before a fault is kept', async (t) => {
  const sender = new HandSender(contentOf(8 * chunkBytes));
  sender.offer();
  await sender.peer.next('want');
  const noHeader = new Uint8Array(32).fill(0xff);
  sender.peer.say(Buffer.concat([sender.chunk(0), sender.chunk(1), sender.chunk(2), noHeader]));
  t.deepEqual(await sender.error(), { failure: 'corrupt', request: 0 });
  await sender.peer.ended;
  const again = new HandSender(sender.content, sender.daemon);
  again.offer();
  t.deepEqual((await again.peer.next('want')).ranges, [{ start: 3, end: 8 }]);
  again.close();
});

test('an empty file is asked for with a want without ranges', async (t) => {
  const sender = new HandSender(contentOf(0));
  sender.offer();
  const want = await sender.peer.next('want');
  t.deepEqual([want.ranges, want.last], [[], true]);
  sender.peer.say(sender.end(1));
  t.is((await sender.peer.next('complete')).outcome, 'stored');
  sender.close();
});

test('a chunk that is not wanted any more is dropped, damaged or not, and counted', async (t) => {
  const sender = new HandSender(contentOf(4 * chunkBytes));
  sender.offer();
  await sender.peer.next('want');
  const evil = chunkFrame(1, 2, new Uint8Array(chunkBytes).fill(7));
  sender.peer.say(sender.chunk(2), sender.chunk(2), sender.chunk(2, { damage: true }), evil);
  sender.peer.say(sender.chunk(0), sender.chunk(1), sender.chunk(3), sender.end(1));
  await sender.peer.next('complete');
  t.true(await sender.stored());
  sender.peer.say({ type: 'ping', request: 0, token: 1n });
  await sender.peer.next('pong');
  sender.close();
});

test('every bulk byte is confirmed: what ends the transfer as it arrives', async (t) => {
  const { peer } = rawClient(new TestDaemon(), {
    daemonOptions: {
      onRequest: (request, frame) => {
        const receiving = new Receiving(new DropSink(), frame as FrameOf<'offer'>, {
          transfer: new Uint8Array(16),
          epoch: 0,
          connections: 1,
          onArrived: () => receiving.fail(new TransferError('limit', 'Enough.')),
        });
        receiving.attach(request);
      },
    },
  });
  peer.greet();
  const content = contentOf(3 * chunkBytes);
  peer.say({ request: 1, ...offerOf(sourceOf(content), { chunkBytes }) });
  await peer.next('want');
  const parts = [0, 1, 2].map((i) => content.subarray(i * chunkBytes, (i + 1) * chunkBytes));
  peer.say(Buffer.concat(parts.map((part, i) => chunkFrame(1, i, part))));
  const isAll = (frame: Frame): boolean =>
    frame.type === 'credit' && frame.consumed === content.length;
  await until(() => peer.heard.some(isAll), 'credit');
  t.pass();
});

test('every bulk byte is confirmed, and nothing stays pinned: what comes behind a write that ends the transfer', async (t) => {
  const { openSegments } = transferLimits;
  let pins = 0;
  let pinned = 0;
  const { peer } = rawClient(new TestDaemon(), {
    daemonOptions: {
      onRequest: (request, frame) => {
        const { carrier } = request;
        const [pin, unpin] = [carrier.pin.bind(carrier), carrier.unpin.bind(carrier)];
        carrier.pin = () => {
          pins += 1;
          pinned += 1;
          return pin();
        };
        carrier.unpin = (block) => {
          pinned -= 1;
          unpin(block);
        };
        const options = { transfer: new Uint8Array(16), epoch: 0, connections: 1 };
        new Receiving(new DropSink(), frame as FrameOf<'offer'>, options).attach(request);
      },
    },
  });
  peer.greet();
  const chunks = openSegments + 6;
  const size = chunks * limits.segmentChunks * chunkBytes;
  peer.say({ request: 1, ...offerOf(sourceOf(new Uint8Array()), { chunkBytes }), size });
  await peer.next('want');
  // One in each segment: more segments than may be open.
  const content = contentOf(chunkBytes);
  const frames = Array.from({ length: chunks }, (_, i) =>
    chunkFrame(1, i * limits.segmentChunks, content),
  );
  for (let at = 0; at < chunks; at += 200) {
    peer.say(Buffer.concat(frames.slice(at, at + 200)));
    await turns();
  }
  t.is((await peer.next('error')).failure, 'limit');
  const isAll = (frame: Frame): boolean =>
    frame.type === 'credit' && frame.consumed === chunks * chunkBytes;
  await until(() => peer.heard.some(isAll), 'credit');
  t.true(pins > openSegments);
  t.is(pinned, 0);
});

test('every bulk byte is confirmed: what is used, dropped, damaged, drained', async (t) => {
  const sender = new HandSender(contentOf(4 * chunkBytes));
  sender.offer();
  await sender.peer.next('want');
  sender.peer.say(sender.chunk(0), sender.chunk(0), sender.chunk(1, { damage: true }));
  const confirmed = (): number =>
    sender.peer.heard.reduce((most, frame) => (frame.type === 'credit' ? frame.consumed : most), 0);
  await until(() => confirmed() === 3 * chunkBytes, 'credit');
  sender.peer.say({ type: 'cancel', request: 1 });
  await sender.peer.next('cancelled');
  t.true(sender.ends.connection.isOpen);
  sender.close();
});

test('what comes last is written at once: nothing more comes that it could wait for', async (t) => {
  const sender = new HandSender(contentOf(4 * chunkBytes - 9));
  sender.offer();
  await sender.peer.next('want');
  sender.peer.say(sender.chunk(0), sender.chunk(1), sender.chunk(2), sender.chunk(3));
  // Not the 10 ms in which more of a file is gathered for a write.
  await turns();
  const isAll = (frame: Frame): boolean =>
    frame.type === 'credit' && frame.consumed === sender.content.length;
  t.true(sender.peer.heard.some(isAll));
  sender.close();
});

test('a damaged chunk is asked for again, alone, and never written', async (t) => {
  const sender = new HandSender(contentOf(5 * chunkBytes + 9));
  sender.offer();
  await sender.peer.next('want');
  const all = sender.all();
  all[3] = sender.chunk(3, { damage: true });
  sender.peer.say(...all, sender.end(1));
  const again = await sender.peer.next('want');
  t.deepEqual(again.ranges, [{ start: 3, end: 4 }]);
  t.is(again.round, 2);
  sender.peer.say(sender.chunk(3), sender.end(2));
  await sender.peer.next('complete');
  t.true(await sender.stored());
  sender.close();
});

test('a chunk that arrives damaged four times fails as integrity', async (t) => {
  const sender = new HandSender(contentOf(3 * chunkBytes));
  sender.offer();
  await sender.peer.next('want');
  sender.peer.say(
    sender.chunk(0),
    sender.chunk(1),
    sender.chunk(2, { damage: true }),
    sender.end(1),
  );
  for (let round = 2; round <= 1 + limits.chunkRepeats; round += 1) {
    t.is((await sender.peer.next('want')).round, round);
    sender.peer.say(sender.chunk(2, { damage: true }), sender.end(round));
  }
  await refused(t, sender, 'integrity');
});

test('a digest that differs fails as integrity, and the partial is discarded', async (t) => {
  const sender = new HandSender(contentOf(3 * chunkBytes));
  sender.offer();
  await sender.peer.next('want');
  sender.peer.say(...sender.all(), sender.end(1, { digest: 1n }));
  t.is((await sender.error()).failure, 'integrity');
  await sender.daemon.service.settled();
  t.is(sender.storage.partialCount, 0);
  await refused(t, sender, 'integrity');
});

test('a SHA-256 that differs fails as integrity, and the partial is discarded', async (t) => {
  const sender = new HandSender(contentOf(3 * chunkBytes));
  sender.offer({ sha256: true });
  await sender.peer.next('want');
  sender.peer.say(...sender.all(), sender.end(1, { sha256: new Uint8Array(32) }));
  t.is((await sender.error()).failure, 'integrity');
  await sender.daemon.service.settled();
  t.is(sender.storage.partialCount, 0);
  sender.close();
});

test('an end without the digest that was asked for is a breach', async (t) => {
  for (const [options, changes] of [
    [{}, { digest: undefined }],
    [{ sha256: true }, {}],
  ] as const) {
    const sender = new HandSender(contentOf(chunkBytes));
    sender.offer(options);
    await sender.peer.next('want');
    sender.peer.say(...sender.all(), sender.end(1, changes));
    await refused(t, sender, 'protocol');
  }
});

const breaches: Record<string, (sender: HandSender) => (ControlFrame | Uint8Array)[]> = {
  'a chunk past the end': () => [chunkFrame(1, 3, new Uint8Array(chunkBytes))],
  'a chunk far past the end': () => [chunkFrame(1, Number.MAX_SAFE_INTEGER, new Uint8Array(1))],
  'a damaged chunk past the end': () => [
    chunkFrame(1, 3, new Uint8Array(chunkBytes), { damage: true }),
  ],
  'a short chunk in the middle': () => [chunkFrame(1, 1, new Uint8Array(chunkBytes - 1))],
  'a chunk of one byte more': () => [chunkFrame(1, 1, new Uint8Array(chunkBytes + 1))],
  'a last chunk of one byte more': () => [chunkFrame(1, 2, new Uint8Array(101))],
  'a last chunk of one byte less': () => [chunkFrame(1, 2, new Uint8Array(99))],
  'a chunk of zeros past the end': () => [
    chunkFrame(1, 3, new Uint8Array(chunkBytes), { zero: true }),
  ],
  'a chunk of zeros for a shorter last one': () => [
    chunkFrame(1, 2, new Uint8Array(chunkBytes), { zero: true }),
  ],
  'an end before everything came': (sender) => [sender.chunk(0), sender.end(1)],
  'an end with another size': (sender) => [
    ...sender.all(),
    sender.end(1, { size: sender.content.length + 1 }),
  ],
  'an end of a round that was not asked for': (sender) => [...sender.all(), sender.end(2)],
  'sums that nobody asked for': () => [
    {
      type: 'sums',
      request: 1,
      level: 'chunk',
      first: 0,
      checksums: BigUint64Array.of(1n),
      last: false,
    },
  ],
  'a complete from the sender': () => [{ type: 'complete', request: 1, outcome: 'stored' }],
};
for (const [name, frames] of Object.entries(breaches)) {
  test(`${name} ends the connection`, async (t) => {
    const sender = new HandSender(contentOf(2 * chunkBytes + 100));
    sender.offer();
    await sender.peer.next('want');
    sender.peer.say(...frames(sender));
    await refused(t, sender, 'protocol');
  });
}

test('holes without end are cut off', async (t) => {
  const sender = new HandSender(new Uint8Array(0));
  const size = 4 * transferLimits.rangesHeld * chunkBytes;
  sender.offer({ offer: { size } });
  await sender.peer.next('want');
  const payload = new Uint8Array(chunkBytes);
  const isOpen = (): boolean => sender.ends.connection.isOpen;
  for (let first = 0; isOpen() && first < 1.5 * transferLimits.rangesHeld; first += 1000) {
    const holes = Array.from({ length: 1000 }, (_, i) => chunkFrame(1, 2 * (first + i), payload));
    sender.peer.say(Buffer.concat(holes));
    await turns(4);
  }
  await refused(t, sender, 'protocol');
});

// ---- streams -------------------------------------------------------------------------------------------

const stream = { offer: { size: undefined, rewindable: false } } as const;

test('a stream is asked for without end, and ends where its end says', async (t) => {
  for (const size of [0, 1, chunkBytes, 3 * chunkBytes + 5]) {
    const sender = new HandSender(contentOf(size));
    sender.offer(stream);
    const want = await sender.peer.next('want');
    t.deepEqual(want.ranges, [{ start: 0, end: unbounded }]);
    sender.peer.say(...sender.all(), sender.end(1));
    await sender.peer.next('complete');
    t.true(await sender.stored());
    sender.close();
  }
});

const streamBreaches: Record<string, (sender: HandSender) => (ControlFrame | Uint8Array)[]> = {
  'goes on after a short chunk': () => [
    chunkFrame(1, 0, new Uint8Array(10)),
    chunkFrame(1, 1, new Uint8Array(chunkBytes)),
  ],
  'has two short chunks': () => [
    chunkFrame(1, 3, new Uint8Array(10)),
    chunkFrame(1, 1, new Uint8Array(10)),
  ],
  'has a chunk that is too long': () => [chunkFrame(1, 0, new Uint8Array(chunkBytes + 1))],
  'is longer than any file': () => [chunkFrame(1, 2 ** 45, new Uint8Array(chunkBytes))],
  'ends before its chunks do': (sender) => [
    ...sender.all(),
    sender.end(1, { size: 2 * chunkBytes }),
  ],
  'ends in the middle of a whole chunk': (sender) => [
    sender.chunk(0),
    sender.end(1, { size: chunkBytes - 1 }),
  ],
  'ends after its last chunk': (sender) => [
    ...sender.all(),
    sender.end(1, { size: 3 * chunkBytes }),
  ],
  'ends long after what it sent': (sender) => [
    ...sender.all(),
    sender.end(1, { size: 30 * chunkBytes }),
  ],
};
for (const [name, frames] of Object.entries(streamBreaches)) {
  test(`a stream that ${name} ends the connection`, async (t) => {
    const sender = new HandSender(contentOf(2 * chunkBytes + 100));
    sender.offer(stream);
    await sender.peer.next('want');
    sender.peer.say(...frames(sender));
    await refused(t, sender, 'protocol');
  });
}

test('a stream is told what is durable, so that it can forget it', async (t) => {
  const sender = new HandSender(contentOf(transferLimits.checkpointBytes + 3 * 65_536));
  sender.offer({ ...stream, chunkBytes: 65_536 });
  await sender.peer.next('want');
  const { content } = sender;
  for (let i = 0; i * 65_536 < content.length; i += 1) {
    sender.peer.say(chunkFrame(1, i, content.subarray(i * 65_536, (i + 1) * 65_536)));
  }
  const have = await sender.peer.next('have');
  t.true(have.durable >= transferLimits.checkpointBytes);
  t.true(have.durable <= have.received && have.received <= content.length);
  sender.close();
});

// ---- endings ---------------------------------------------------------------------------------------------

test('after a cancel or an error of the sender the connection serves on', async (t) => {
  for (const last of [
    { type: 'cancel', request: 1 },
    { type: 'error', request: 1, failure: 'source-changed', message: 'Changed.' },
  ] as const) {
    const sender = new HandSender(contentOf(4 * chunkBytes));
    sender.offer();
    await sender.peer.next('want');
    sender.peer.say(sender.chunk(0), last);
    t.is((await sender.peer.next('cancelled')).request, 1);
    sender.request = 2;
    sender.offer();
    const want = await sender.peer.next('want');
    t.deepEqual(want.ranges, [{ start: 1, end: 4 }], 'what came was kept');
    const compare = await sender.peer.next('compare');
    t.deepEqual([compare.level, compare.ranges], ['chunk', [{ start: 0, end: 1 }]]);
    const sums = BigUint64Array.of(checksum(sender.content.subarray(0, chunkBytes)));
    sender.peer.say({
      type: 'sums',
      request: 2,
      level: 'chunk',
      first: 0,
      checksums: sums,
      last: false,
    });
    sender.peer.say(...sender.all().slice(1), sender.end(1));
    await sender.peer.next('complete');
    t.true(await sender.stored());
    sender.close();
  }
});

test('after an error of the receiver what is on its way is drained, then the next request works', async (t) => {
  const sender = new HandSender(contentOf(4 * chunkBytes));
  sender.offer();
  await sender.peer.next('want');
  const late = sender.all();
  // Another offer of the same session fences the first one off.
  sender.request = 2;
  sender.offer();
  t.deepEqual(await sender.error(), { failure: 'fenced', request: 1 });
  sender.peer.say(...late, { type: 'cancelled', request: 1 });
  const heard = (type: string) => () => sender.peer.heard.some((frame) => frame.type === type);
  await until(heard('want'), 'the second want');
  sender.peer.say(...sender.all(), sender.end(1));
  await until(heard('complete'), 'complete');
  t.true(await sender.stored());
  sender.close();
});

test('it is not complete before the sender confirmed what was held', async (t) => {
  const sender = new HandSender(contentOf(2 * chunkBytes));
  sender.offer();
  await sender.peer.next('want');
  sender.peer.say(sender.chunk(0), { type: 'cancel', request: 1 });
  await sender.peer.next('cancelled');
  sender.request = 2;
  sender.offer();
  await sender.peer.next('compare');
  sender.peer.say(sender.chunk(1), sender.end(1));
  await turns(50);
  t.false(sender.peer.heard.some(({ type }) => type === 'complete'));
  t.is(await load(sender.storage, 'file'), undefined);
  // It has changed meanwhile: the chunk is wanted again.
  const other = BigUint64Array.of(1n);
  sender.peer.say({
    type: 'sums',
    request: 2,
    level: 'chunk',
    first: 0,
    checksums: other,
    last: false,
  });
  const again = await sender.peer.next('want');
  t.deepEqual(again.ranges, [{ start: 0, end: 2 }]);
  sender.peer.say(sender.chunk(0), sender.chunk(1), sender.end(2));
  await sender.peer.next('complete');
  t.true(await sender.stored());
  sender.close();
});
