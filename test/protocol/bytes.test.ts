import test from 'ava';
import fc from 'fast-check';
import { fromUtf8, Reader, utf8, Writer } from '../../protocol/bytes.ts';
import { ProtocolError } from '../../protocol/errors.ts';

test('what a Writer writes, a Reader reads', (t) => {
  const text = fc.string({ unit: 'binary', maxLength: 300 });
  const property = fc.property(
    fc.nat(255),
    fc.nat(65_535),
    fc.integer({ min: 0, max: 2 ** 32 - 1 }),
    fc.maxSafeNat(),
    fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }),
    fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }),
    text,
    fc.uint8Array({ maxLength: 300 }),
    (u8, u16, u32, u53, u64, i64, string, bytes) => {
      const writer = new Writer(1);
      writer.u8(u8).u16(u16).u32(u32).u53(u53).u64(u64).i64(i64).text(string);
      writer.flag(true).flag(false).shortBytes(bytes).bytes(bytes);
      const reader = new Reader(writer.done());
      t.is(writer.length, reader.remaining);
      t.is(reader.u8(), u8);
      t.is(reader.u16(), u16);
      t.is(reader.u32(), u32);
      t.is(reader.u53(), u53);
      t.is(reader.u64(), u64);
      t.is(reader.i64(), i64);
      t.is(reader.text(65_535), string);
      t.true(reader.flag());
      t.false(reader.flag());
      t.deepEqual(reader.shortBytes(65_535), bytes);
      t.deepEqual(reader.bytes(bytes.length), bytes);
      reader.end();
    },
  );
  fc.assert(property);
});

test('a Reader works within a larger buffer, and its bytes are copies', (t) => {
  const buffer = Uint8Array.of(9, 1, 2, 3, 9);
  const reader = new Reader(buffer.subarray(1, 4));
  const bytes = reader.bytes(2);
  buffer.fill(0);
  t.deepEqual(bytes, Uint8Array.of(1, 2));
  t.is(reader.remaining, 1);
});

const refused: readonly (readonly [string, number[], (reader: Reader) => unknown])[] = [
  ['a number past the end', [1], (reader) => reader.u16()],
  ['2^53', [0, 0, 0, 0, 0, 0, 0x20, 0], (reader) => reader.u53()],
  ['a flag of 2', [2], (reader) => reader.flag()],
  ['text over its limit', [2, 0, 97, 97], (reader) => reader.text(1)],
  ['text that ends early', [2, 0, 97], (reader) => reader.text(2)],
  ['text that is not UTF-8', [1, 0, 0x80], (reader) => reader.text(1)],
  ['a count over its limit', [2, 0], (reader) => reader.count(1)],
  ['bytes that are left', [1], (reader) => reader.end()],
];
for (const [what, bytes, read] of refused) {
  test(`a Reader refuses ${what}`, (t) => {
    const error = t.throws(() => read(new Reader(Uint8Array.from(bytes))), {
      instanceOf: ProtocolError,
    });
    t.is(error?.failure, 'protocol');
  });
}

test('a Reader takes the largest values', (t) => {
  const largest = new Reader(Uint8Array.of(255, 255, 255, 255, 255, 255, 0x1f, 0));
  t.is(largest.u53(), Number.MAX_SAFE_INTEGER);
  t.is(new Reader(Uint8Array.of(1, 0)).count(1), 1);
});

test('a byte order mark is text like any other', (t) => {
  t.is(fromUtf8(utf8('\ufeffa')), '\ufeffa');
});
