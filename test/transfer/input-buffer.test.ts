import test from 'ava';
import fc from 'fast-check';
import { BufferPool } from '../../transfer/buffer-pool.ts';
import { type Block, InputBuffer } from '../../transfer/input-buffer.ts';
import { transferLimits } from '../../transfer/limits.ts';
import { randomFrom } from './helpers/link.ts';

/** A reader of frames: 4 bytes of length, then so many bytes, each of which tells its place. */
const lengthBytes = 4;

const noise = Uint8Array.from({ length: 65_521 }, (_, k) => (k * 13 + (k >>> 8)) & 0xff);

function wireOf(lengths: readonly number[]): Uint8Array {
  const bytes = new Uint8Array(lengths.reduce((sum, length) => sum + lengthBytes + length, 0));
  const view = new DataView(bytes.buffer);
  let at = 0;
  for (const [i, length] of lengths.entries()) {
    view.setUint32(at, length, true);
    at += lengthBytes;
    for (let k = 0; k < length; k += noise.length) {
      bytes.set(noise.subarray(0, Math.min(noise.length, length - k)), at + k);
    }
    // So that no two frames, and no two parts of one, are alike.
    for (let k = 0; k < length; k += 509) bytes[at + k] = (i * 31 + k / 509) & 0xff;
    at += length;
  }
  return bytes;
}

interface Held {
  readonly block: Block;
  readonly view: Uint8Array;
  readonly copy: Buffer;
}

class Reader {
  readonly input: InputBuffer;
  readonly frames: Buffer[] = [];
  readonly held: Held[] = [];
  resumed = 0;
  /** Whether the next frame is kept under a pin. */
  pins: () => boolean = () => false;
  readonly #blocks = new Set<Block>();

  constructor(pool: BufferPool) {
    this.input = new InputBuffer(pool);
    this.input.onResume = () => {
      this.resumed += 1;
    };
    this.input.parse = (block) => this.#parse(block);
  }

  /** Memory of all blocks that were ever filled. */
  get seenBytes(): number {
    return [...this.#blocks].reduce((sum, { bytes }) => sum + bytes.length, 0);
  }

  #parse(block: Block): number {
    this.#blocks.add(block);
    for (;;) {
      const there = block.end - block.start;
      if (there < lengthBytes) return lengthBytes;
      const length = block.view.getUint32(block.start, true);
      if (there < lengthBytes + length) return lengthBytes + length;
      const view = block.bytes.subarray(
        block.start + lengthBytes,
        block.start + lengthBytes + length,
      );
      block.start += lengthBytes + length;
      this.frames.push(Buffer.from(view));
      if (this.pins()) this.held.push({ block: this.input.pin(), view, copy: Buffer.from(view) });
    }
  }

  /** Lets go of one that is held; gives whether it was still what it was. */
  letGo(place: number): boolean {
    const [held] = this.held.splice(place % this.held.length, 1) as [Held];
    const same = Buffer.compare(held.view, held.copy) === 0;
    this.input.unpin(held.block);
    return same;
  }
}

const anyLength = fc.oneof(
  { weight: 6, arbitrary: fc.nat({ max: 70_000 }) },
  { weight: 2, arbitrary: fc.constantFrom(0, 1, 65_535, 65_536, 65_537) },
  { weight: 1, arbitrary: fc.nat({ max: 400_000 }) },
);

test('any reads, pins and unpins give the same frames as the bytes in one piece', (t) => {
  fc.assert(
    fc.property(
      fc.array(anyLength, { minLength: 1, maxLength: 20 }),
      fc.nat(),
      fc.constantFrom(0, 700 * 1024, 8 * 1024 * 1024),
      fc.constantFrom(1_000, 20_000, 100_000, Infinity),
      (lengths, seed, poolBytes, mostBytes) => {
        const random = randomFrom(seed);
        const wire = wireOf(lengths);
        const reader = new Reader(new BufferPool(poolBytes));
        reader.pins = () => random() < 0.5;
        let goOn = true;
        for (let at = 0; at < wire.length; ) {
          if (reader.held.length > 0 && (!goOn || random() < 0.3)) {
            const before = reader.resumed;
            if (!reader.letGo(Math.floor(random() * 100)))
              throw new Error('A pinned view changed.');
            if (reader.resumed > before) goOn = true;
            if (goOn === reader.input.paused) throw new Error('A wakeup was lost.');
            continue;
          }
          if (!goOn) throw new Error('Reading waits, and nothing is held.');
          const space = reader.input.space();
          if (space.length === 0) throw new Error('There is no space to read into.');
          const most = Math.min(space.length, mostBytes, wire.length - at);
          const count = Math.max(1, random() < 0.3 ? most : Math.floor(random() * most));
          space.set(wire.subarray(at, at + count));
          at += count;
          goOn = reader.input.filled(count);
        }
        while (reader.held.length > 0) {
          if (!reader.letGo(0)) throw new Error('A pinned view changed.');
        }
        t.false(reader.input.paused);
        t.is(reader.frames.length, lengths.length);
        const naive = Buffer.concat(reader.frames.flatMap((frame) => [lengthOf(frame), frame]));
        t.is(Buffer.compare(naive, wire), 0);
      },
    ),
    { numRuns: 100 },
  );
});

function lengthOf(frame: Buffer): Buffer {
  const bytes = Buffer.alloc(lengthBytes);
  bytes.writeUInt32LE(frame.length);
  return bytes;
}

/** After a no, so many records may still come: what TLS had read already. */
const { sealedBytes, recordBytes } = transferLimits;
const lateRecords = sealedBytes / recordBytes;

test('records that are gathered give the same frames, in the space that was handed out before', async (t) => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(anyLength, { minLength: 1, maxLength: 20 }),
      fc.nat(),
      fc.constantFrom(0, 700 * 1024, 8 * 1024 * 1024),
      async (lengths, seed, poolBytes) => {
        const random = randomFrom(seed);
        const wire = wireOf(lengths);
        const reader = new Reader(new BufferPool(poolBytes));
        reader.pins = () => random() < 0.5;
        // Whether the link reads: once told to wait, it does so until it is woken, whatever it hears meanwhile.
        let reads = true;
        let late = 0;
        let space = reader.input.space();
        for (let at = 0; at < wire.length; ) {
          if (random() < 0.1) await new Promise(setImmediate);
          if (reader.held.length > 0 && (late > lateRecords || random() < 0.3)) {
            const before = reader.resumed;
            if (!reader.letGo(Math.floor(random() * 100)))
              throw new Error('A pinned view changed.');
            if (reader.resumed > before) {
              reads = true;
              late = 0;
            }
            if (reads === reader.input.paused) throw new Error('A wakeup was lost.');
            continue;
          }
          if (late > lateRecords) throw new Error('Reading waits, and nothing is held.');
          if (space.length === 0) throw new Error('There is no space to read into.');
          const most = Math.min(space.length, recordBytes, wire.length - at);
          const count = random() < 0.7 ? most : Math.max(1, Math.floor(random() * most));
          space.set(wire.subarray(at, at + count));
          at += count;
          const before = reader.resumed;
          const goOn = reader.input.gathered(count);
          reads = goOn && (reads || reader.resumed > before);
          if (reads === reader.input.paused) throw new Error('A wakeup was lost.');
          late = reads ? 0 : late + 1;
          space = reader.input.space();
        }
        await new Promise(setImmediate);
        while (reader.held.length > 0) {
          if (!reader.letGo(0)) throw new Error('A pinned view changed.');
        }
        t.false(reader.input.paused);
        const naive = Buffer.concat(reader.frames.flatMap((frame) => [lengthOf(frame), frame]));
        t.is(Buffer.compare(naive, wire), 0);
      },
    ),
    { numRuns: 60 },
  );
});

test('pushing pieces of any size gives the same as reading into the space', (t) => {
  fc.assert(
    fc.property(
      fc.array(anyLength, { minLength: 1, maxLength: 20 }),
      fc.integer({ min: 1, max: 2_000_000 }),
      (lengths, pieceBytes) => {
        const wire = wireOf(lengths);
        const reader = new Reader(new BufferPool());
        const step = Math.max(pieceBytes, Math.ceil(wire.length / 1_000));
        for (let at = 0; at < wire.length; at += step) {
          t.true(reader.input.push(wire.subarray(at, at + step)));
        }
        t.deepEqual(
          reader.frames.map(({ length }) => length),
          lengths,
        );
      },
    ),
    { numRuns: 30 },
  );
});

/** Reads on while it may, keeping every frame but those `before`. */
function readUntilPaused(
  frameBytes: number,
  pool: BufferPool,
  { frames = 60, before = [] as number[] } = {},
): { reader: Reader; readBytes: number } {
  const wire = wireOf([...before, ...Array.from({ length: frames }, () => frameBytes)]);
  const reader = new Reader(pool);
  reader.pins = () => reader.frames.length > before.length;
  let at = 0;
  for (let goOn = true; goOn && at < wire.length; ) {
    const space = reader.input.space();
    const count = Math.min(space.length, wire.length - at);
    space.set(wire.subarray(at, at + count));
    at += count;
    goOn = reader.input.filled(count);
  }
  return { reader, readBytes: at };
}

for (const [keeping, large] of [
  ['nothing', 1],
  ['what came last', 2],
] as const) {
  test(`who keeps ${keeping} has so many large blocks when much comes at a time: ${large}`, (t) => {
    const { firstBlockBytes, blockBytes, transferBufferBytes } = transferLimits;
    const pool = new BufferPool();
    const reader = new Reader(pool);
    reader.pins = () => keeping !== 'nothing';
    const wire = wireOf(Array.from({ length: 200 }, () => 65_536));
    const blocks = new Set<unknown>();
    let before = 0;
    for (let at = 0; at < wire.length; ) {
      const space = reader.input.space();
      blocks.add(space.buffer);
      const part = wire.subarray(at, at + space.length);
      space.set(part);
      at += part.length;
      for (; before > 0; before -= 1) t.true(reader.letGo(0));
      t.false(reader.input.paused);
      reader.input.filled(part.length);
      before = reader.held.length;
    }
    t.is(blocks.size, 1 + large);
    t.is(reader.seenBytes, firstBlockBytes + large * blockBytes);
    const rest = transferBufferBytes - 3 * firstBlockBytes - large * blockBytes;
    t.not(pool.take(rest), undefined, 'it took no more than that, and what it is promised');
  });
}

test('a reader whose frames are never let go is paused before memory grows', (t) => {
  const { firstBlockBytes, blockBytes, blocks } = transferLimits;
  const { reader, readBytes } = readUntilPaused(65_536, new BufferPool());
  t.true(reader.input.paused);
  t.true(reader.seenBytes <= firstBlockBytes + blocks * blockBytes, `${reader.seenBytes}`);
  t.true(readBytes <= firstBlockBytes + blocks * blockBytes);
});

test('without room in the pool a reader still gets on, in the little that it always has', (t) => {
  const { reader } = readUntilPaused(65_536, new BufferPool(0));
  t.true(reader.input.paused);
  t.true(reader.seenBytes <= 4 * transferLimits.firstBlockBytes, `${reader.seenBytes}`);
  reader.letGo(0);
  while (reader.held.length > 0) reader.letGo(0);
  t.false(reader.input.paused);
  t.is(reader.resumed, 1, 'woken once, not again and again');
});

test('what TLS had read already when it was told to wait takes no third block', async (t) => {
  const recordsAtOnce = 5;
  // Chunks with their headers, behind a first frame that is anywhere long.
  for (let length = 0; length < recordBytes; length += 512) {
    const reader = new Reader(new BufferPool(0));
    reader.pins = () => true;
    const wire = wireOf([length, 65_564, 65_564, 65_564, 65_564]);
    const blocks = new Set<unknown>();
    let at = 0;
    for (let goOn = true; goOn; await new Promise(setImmediate)) {
      for (let left = recordsAtOnce * recordBytes; left > 0; ) {
        const space = reader.input.space();
        const count = Math.min(space.length, recordBytes, left);
        space.set(wire.subarray(at, at + count));
        goOn = reader.input.gathered(count);
        blocks.add(space.buffer).add(reader.input.space().buffer);
        at += count;
        left -= count;
      }
    }
    t.true(reader.input.paused);
    t.is(blocks.size, 2, `after ${length} bytes`);
    while (reader.held.length > 0) t.true(reader.letGo(0));
    t.false(reader.input.paused);
  }
});

test('whoever was told to wait is woken, also when it is what still came that made room', async (t) => {
  const reader = new Reader(new BufferPool(8 * 1024 * 1024));
  const wire = wireOf(Array.from({ length: 100 }, () => 10_000));
  let at = 0;
  const gather = (): boolean => {
    const space = reader.input.space();
    const count = Math.min(space.length, recordBytes, wire.length - at);
    space.set(wire.subarray(at, at + count));
    at += count;
    return count > 0 && reader.input.gathered(count);
  };
  // The first frame is held, and records come one by one: two small blocks, and no room in them.
  reader.pins = () => reader.frames.length === 1;
  while (gather()) await new Promise(setImmediate);
  t.true(reader.input.paused);
  t.is(reader.resumed, 0);
  // Many at once: now there is a large block.
  while (reader.input.paused && at < wire.length) gather();
  t.false(reader.input.paused);
  t.is(reader.held.length, 1);
  t.is(reader.resumed, 1);
});

test('large frames that are never let go are bounded too, after small ones made small blocks', (t) => {
  const frameBytes = 4 * 1024 * 1024;
  const before = Array.from({ length: 40 }, () => 65_536);
  const { reader } = readUntilPaused(frameBytes, new BufferPool(), { frames: 10, before });
  t.true(reader.input.paused);
  t.true(reader.held.length <= 3, `${reader.held.length}`);
});

test('memory for long frames is given back with the first frame after them', (t) => {
  const MiB = 1024 * 1024;
  const pool = new BufferPool();
  const reader = new Reader(pool);
  const freeMiB = (): number => {
    for (let count = 16; count > 0; count -= 1) {
      const memory = pool.take(count * MiB);
      if (memory === undefined) continue;
      pool.give(memory);
      return count;
    }
    return 0;
  };
  reader.input.longFrames = true;
  reader.input.push(wireOf([10, 4 * MiB, 4 * MiB, 10]));
  t.is(reader.frames.length, 4);
  const during = freeMiB();
  reader.input.longFrames = false;
  reader.input.push(wireOf([10]));
  t.is(reader.frames.length, 5);
  t.true(freeMiB() >= during + 4, `${during} to ${freeMiB()} MiB`);
});

test('what was taken from the pool is given back when nobody can touch it any more', (t) => {
  const { blockBytes, firstBlockBytes } = transferLimits;
  const poolBytes = firstBlockBytes + 2 * blockBytes;
  const pool = new BufferPool(poolBytes);
  const { reader } = readUntilPaused(65_536, pool);
  t.is(pool.take(2 * blockBytes), undefined, 'the reader holds some of it');
  reader.input.release();
  reader.input.release();
  t.is(pool.take(2 * blockBytes), undefined, 'what it holds is pinned');
  while (reader.held.length > 0) t.true(reader.letGo(0));
  t.is(pool.take(poolBytes), undefined, 'the link may still read into a block');
  reader.input.closed();
  reader.input.closed();
  const all = pool.take(poolBytes) as Uint8Array<ArrayBuffer>;
  t.is(all.byteLength, poolBytes);
  t.is(pool.take(1), undefined, 'and no more was given back than was taken');
});

for (const how of ['filled', 'gathered'] as const) {
  test(`what comes after the release is dropped, however much it is, where it is ${how}`, (t) => {
    const { reader } = readUntilPaused(10_000, new BufferPool(0));
    const { length } = reader.frames;
    // The end of the link's last read, and what it had read before it heard that it shall stop.
    let space = reader.input.space();
    reader.input.release();
    for (let left = transferLimits.sealedBytes; left > 0; ) {
      t.not(space.length, 0);
      const count = Math.min(space.length, recordBytes, left);
      space.fill(255, 0, count);
      t.false(reader.input[how](count));
      space = reader.input.space();
      left -= count;
    }
    t.is(reader.frames.length, length);
    while (reader.held.length > 0) t.true(reader.letGo(0));
  });
}

test('views that were handed out stay as they are after the release', (t) => {
  const pool = new BufferPool();
  const { reader } = readUntilPaused(10_000, pool);
  reader.input.closed();
  t.true(reader.held.length > 5);
  // Whoever gets the memory next writes into it.
  const { firstBlockBytes, blockBytes } = transferLimits;
  const scribble = (): void => {
    for (const bytes of [firstBlockBytes, blockBytes, blockBytes, blockBytes]) {
      new Uint8Array(pool.takeLeast(bytes)).fill(255);
    }
  };
  while (reader.held.length > 0) {
    scribble();
    t.true(reader.letGo(0));
  }
  t.is(reader.resumed, 0, 'nobody is woken after the release');
});
