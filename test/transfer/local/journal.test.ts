import test from 'ava';
import fc from 'fast-check';
import { decodeRecord, encodeRecord, type JournalRecord } from '../../../transfer/local/journal.ts';

const u53 = fc.integer({ min: 0, max: Number.MAX_SAFE_INTEGER });
const record: fc.Arbitrary<JournalRecord> = fc.oneof(
  fc.record({
    type: fc.constant('header' as const),
    chunkBytes: fc.integer({ min: 1024, max: 4 * 1024 * 1024 }),
    path: fc.string({ unit: 'grapheme', maxLength: 60 }).filter((path) => path.isWellFormed()),
    identity: fc.uint8Array({ maxLength: 64 }),
  }),
  fc.record({
    type: fc.constant('run' as const),
    first: u53,
    bytes: u53,
    sums: fc.uint8Array({ maxLength: 20 }).map((bytes) => new Uint8Array(bytes.length * 8).fill(7)),
  }),
  fc.record({ type: fc.constant('forget' as const), firstSegment: u53, endSegment: u53 }),
  fc.record({
    type: fc.constant('segments' as const),
    firstSegment: u53,
    sums: fc.uint8Array({ maxLength: 20 }).map((bytes) => new Uint8Array(bytes.length * 8).fill(9)),
  }),
);

/** All records that can be read from the front, and why it ended there. */
function decodeAll(bytes: Uint8Array): { records: JournalRecord[]; end: string; used: number } {
  const records: JournalRecord[] = [];
  let used = 0;
  for (;;) {
    const decoded = decodeRecord(bytes.subarray(used));
    if (typeof decoded === 'string') return { records, end: decoded, used };
    records.push(decoded.record);
    used += decoded.length;
  }
}

const joined = (records: readonly JournalRecord[]): Uint8Array =>
  Buffer.concat(records.map((one) => encodeRecord(one)));

test('a run record, byte by byte', (t) => {
  const bytes = encodeRecord({
    type: 'run',
    first: 2,
    bytes: 65_537,
    sums: new Uint8Array(16).fill(0xab),
  });
  const fields = [
    '20000000', // payload length
    '02', // run
    '0200000000000000', // first chunk
    '0100010000000000', // bytes of all chunks
    'abababababababab'.repeat(2), // their checksums
  ];
  t.is(Buffer.from(bytes).toString('hex').slice(0, -8), fields.join(''));
  t.is(bytes.byteLength, 5 + 32 + 4);
});

test('records come back as they were written', (t) => {
  fc.assert(
    fc.property(fc.array(record, { maxLength: 8 }), (records) => {
      const { records: read, end } = decodeAll(joined(records));
      t.is(end, 'short');
      t.is(read.length, records.length);
      for (const [index, one] of read.entries()) {
        const written = encodeRecord(records[index] as JournalRecord);
        t.is(Buffer.compare(encodeRecord(one), written), 0);
      }
    }),
    { numRuns: 200 },
  );
});

test('cut at any byte, the whole records before it are read and no more', (t) => {
  fc.assert(
    fc.property(fc.array(record, { minLength: 1, maxLength: 3 }), (records) => {
      const bytes = joined(records);
      const ends = records.map((_, index) => joined(records.slice(0, index + 1)).byteLength);
      for (let cut = 0; cut < bytes.byteLength; cut += 1) {
        const { records: read, used } = decodeAll(bytes.subarray(0, cut));
        const whole = ends.filter((end) => end <= cut);
        if (read.length !== whole.length || used !== (whole.at(-1) ?? 0)) t.fail(`cut at ${cut}`);
      }
    }),
    { numRuns: 30 },
  );
  t.pass();
});

test('a flipped bit ends the journal before its record', (t) => {
  fc.assert(
    fc.property(fc.array(record, { minLength: 1, maxLength: 3 }), fc.nat(), (records, at) => {
      const bytes = joined(records);
      const bit = at % (bytes.byteLength * 8);
      bytes[bit >> 3] = (bytes[bit >> 3] as number) ^ (1 << (bit & 7));
      const damaged = records.findIndex(
        (_, index) => joined(records.slice(0, index + 1)).byteLength > bit >> 3,
      );
      const { records: read } = decodeAll(bytes);
      t.true(read.length <= damaged);
    }),
    { numRuns: 500 },
  );
});

test('garbage is no record, and nothing throws', (t) => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
      t.deepEqual(decodeAll(bytes).records, []);
    }),
  );
});
