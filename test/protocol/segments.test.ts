import test from 'ava';
import fc from 'fast-check';
import {
  chunkChecksums,
  chunkCount,
  chunkLength,
  Ledger,
  segmentCount,
  segmentOf,
} from '../../protocol/segments.ts';
import { xxh64 } from './helpers/xxh64.ts';

const segmentChunks = 128;

function hash(values: readonly bigint[]): bigint {
  const bytes = new Uint8Array(8 * values.length);
  const view = new DataView(bytes.buffer);
  for (const [i, value] of values.entries()) view.setBigUint64(8 * i, value, true);
  return xxh64(bytes);
}

/** Keeps every checksum, and computes everything anew. */
class NaiveLedger {
  readonly sums = new Map<number, bigint>();

  segment(segment: number, chunks: number): bigint | undefined {
    const first = segment * segmentChunks;
    const count = Math.min(segmentChunks, chunks - first);
    const sums = Array.from({ length: count }, (_, i) => this.sums.get(first + i));
    return sums.includes(undefined) ? undefined : hash(sums.filter((sum) => sum !== undefined));
  }

  digest(chunks: number, sizeBytes: number): bigint | undefined {
    const count = Math.ceil(chunks / segmentChunks);
    const sums = Array.from({ length: count }, (_, i) => this.segment(i, chunks));
    if (sums.includes(undefined)) return undefined;
    return hash([...sums.filter((sum) => sum !== undefined), BigInt(sizeBytes)]);
  }
}

const sumOf = (index: number): bigint => xxh64(Uint8Array.of(index & 255, index >> 8));

test('a Ledger agrees with one that keeps everything', (t) => {
  const property = fc.property(
    fc.integer({ min: 0, max: 400 }),
    fc.array(fc.oneof({ weight: 5, arbitrary: fc.nat() }, fc.constant('forget' as const)), {
      maxLength: 20,
    }),
    fc.nat(),
    (chunks, steps, seed) => {
      const ledger = new Ledger();
      const naive = new NaiveLedger();
      const add = (index: number): void => {
        ledger.add(index, sumOf(index));
        naive.sums.set(index, sumOf(index));
      };
      for (const step of steps) {
        if (chunks === 0) break;
        if (step === 'forget') {
          const segment = segmentOf(seed % chunks);
          ledger.forgetSegment(segment);
          for (let i = 0; i < segmentChunks; i += 1) naive.sums.delete(segment * segmentChunks + i);
          continue;
        }
        // A run of chunks, as they arrive: long enough that segments get full.
        const first = step % chunks;
        for (let i = first; i < Math.min(chunks, first + 100); i += 1) add(i);
      }
      compare(ledger, naive, chunks);
      for (let i = 0; i < chunks; i += 1) add((i * 7 + seed) % chunks);
      for (let i = 0; i < chunks; i += 1) add(i);
      compare(ledger, naive, chunks);
    },
  );
  function compare(ledger: Ledger, naive: NaiveLedger, chunks: number): void {
    const sizeBytes = chunks * 1024;
    for (let segment = 0; segment < segmentCount(chunks); segment += 1) {
      t.is(ledger.segmentChecksum(segment, chunks), naive.segment(segment, chunks));
    }
    t.is(ledger.digest(sizeBytes, 1024), naive.digest(chunks, sizeBytes));
    t.is(ledger.held.size, naive.sums.size);
  }
  fc.assert(property, { numRuns: 100 });
});

test('a run is recorded as its chunks one by one would be', (t) => {
  const index = fc.nat(4 * segmentChunks);
  const steps = fc.oneof(
    { weight: 6, arbitrary: fc.tuple(fc.constant('run' as const), index, fc.nat(300)) },
    fc.tuple(fc.constant('forget' as const), fc.nat(3), fc.nat()),
    // As one is read from a journal, whole or the last of its file.
    fc.tuple(
      fc.constant('segment' as const),
      fc.nat(3),
      fc.integer({ min: 1, max: segmentChunks }),
    ),
  );
  const property = fc.property(fc.array(steps, { maxLength: 30 }), (todo) => {
    const [byRun, byOne] = [new Ledger(), new Ledger()];
    for (const [at, [step, where, count]] of todo.entries()) {
      if (step === 'forget') for (const each of [byRun, byOne]) each.forgetSegment(where);
      if (step === 'segment') {
        for (const each of [byRun, byOne]) each.addSegment(where, BigInt(at), count);
      }
      if (step !== 'run') continue;
      // Another time a chunk has another checksum.
      const sums = Array.from({ length: count }, (_, i) => BigInt(at * 1000 + i));
      byRun.addRun(where, at % 2 === 0 ? sums : BigUint64Array.from(sums));
      // Those known already first: all of a segment is replaced that was open when the run came.
      const isKnown = sums.map((_, i) => byOne.held.has(where + i));
      for (const known of [true, false]) {
        for (const [i, sum] of sums.entries()) if (isKnown[i] === known) byOne.add(where + i, sum);
      }
    }
    t.deepEqual([...byRun.held], [...byOne.held]);
    t.deepEqual([...byRun.foldedRuns()], [...byOne.foldedRuns()]);
    t.deepEqual(new Set(byRun.openSegments), new Set(byOne.openSegments));
    for (const segment of byRun.openSegments) {
      t.deepEqual([...byRun.openChunks(segment)], [...byOne.openChunks(segment)]);
    }
  });
  fc.assert(property, { numRuns: 200 });
});

test('a segment in which a chunk is missing has no checksum, whatever lies past the end', (t) => {
  const ledger = new Ledger();
  ledger.add(0, 1n);
  ledger.add(5, 2n);
  t.is(ledger.segmentChecksum(0, 2), undefined);
  t.is(ledger.segmentChecksum(0, 1), hash([1n]));
  t.is(ledger.segmentChecksum(1, 200), undefined);
});

test('a checksum that came again replaces the first while its segment is open', (t) => {
  const ledger = new Ledger();
  ledger.add(0, 1n);
  ledger.add(0, 2n);
  t.is(ledger.segmentChecksum(0, 1), hash([2n]));
  for (let i = 1; i < segmentChunks; i += 1) ledger.add(i, BigInt(i));
  const whole = ledger.segmentChecksum(0, segmentChunks);
  ledger.add(0, 3n);
  t.is(ledger.segmentChecksum(0, segmentChunks), whole);
});

test('a segment may be known by its checksum alone', (t) => {
  const ledger = new Ledger();
  ledger.add(20 * segmentChunks, 9n);
  ledger.addSegment(20, 77n, segmentChunks);
  ledger.addSegment(21, 78n, 3);
  t.is(ledger.segmentChecksum(20, 22 * segmentChunks), 77n);
  t.is(ledger.segmentChecksum(21, 21 * segmentChunks + 3), 78n);
  t.is(ledger.segmentChecksum(21, 21 * segmentChunks + 4), undefined);
  t.deepEqual([...ledger.openChunks(20)], []);
  t.deepEqual([...ledger.held], [{ start: 20 * segmentChunks, end: 21 * segmentChunks + 3 }]);
  ledger.forgetSegment(20);
  t.is(ledger.segmentChecksum(20, 22 * segmentChunks), undefined);
  t.false(ledger.held.has(20 * segmentChunks));
});

test('segments far from each other take no memory for what lies between', (t) => {
  const ledger = new Ledger();
  // The last one of the largest file of small chunks: whoever offers it may send it first.
  const far = 2 ** 36;
  ledger.addSegment(far, 5n, segmentChunks);
  ledger.addSegment(0, 4n, segmentChunks);
  ledger.addSegment(far + 1, 6n, segmentChunks);
  t.is(ledger.segmentChecksum(far, (far + 2) * segmentChunks), 5n);
  const runs = [...ledger.foldedRuns()].map(([first, sums]) => [first, ...sums]);
  t.deepEqual(
    runs.sort(([a], [b]) => Number(a) - Number(b)),
    [
      [0, 4n],
      [far, 5n, 6n],
    ],
  );
});

test('the chunks of an open segment can be read back', (t) => {
  const ledger = new Ledger();
  ledger.add(130, 5n);
  ledger.add(128, 4n);
  t.deepEqual(
    [...ledger.openChunks(1)],
    [
      [128, 4n],
      [130, 5n],
    ],
  );
  t.deepEqual([...ledger.openChunks(0)], []);
});

test('chunks and their lengths cover a file exactly', (t) => {
  const property = fc.property(
    fc.nat(100_000),
    fc.integer({ min: 1, max: 5000 }),
    (size, chunkBytes) => {
      const count = chunkCount(size, chunkBytes);
      const lengths = Array.from({ length: count }, (_, i) => chunkLength(i, size, chunkBytes));
      t.is(
        lengths.reduce((sum, length) => sum + length, 0),
        size,
      );
      t.true(lengths.every((length) => length > 0 && length <= chunkBytes));
      t.true(chunkLength(count, size, chunkBytes) <= 0);
    },
  );
  fc.assert(property);
  t.is(segmentCount(0), 0);
  t.is(segmentCount(128), 1);
  t.is(segmentCount(129), 2);
  t.is(segmentOf(127), 0);
  t.is(segmentOf(128), 1);
});

test('chunkChecksums hashes each chunk, the last one short', (t) => {
  const bytes = Uint8Array.from({ length: 2500 }, (_, i) => i % 251);
  const expected = [0, 1, 2].map((i) => xxh64(bytes.subarray(i * 1000, (i + 1) * 1000)));
  t.deepEqual([...chunkChecksums(bytes, 1000)], expected);
  t.is(chunkChecksums(new Uint8Array(), 1000).length, 0);
});
