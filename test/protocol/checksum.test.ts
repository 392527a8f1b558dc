import test from 'ava';
import fc from 'fast-check';
import { checksum, digestOf, fold, hashInPlace, type Xxhash } from '../../protocol/checksum.ts';
import { hashedMemory } from '../../transfer/hashed-memory.ts';
import { table } from './helpers/doc.ts';
import { exampleBytes, exampleFile } from './helpers/examples.ts';
import { helloChecksum, helloDigest } from './helpers/session.ts';
import { xxh64 } from './helpers/xxh64.ts';

const utf8 = new TextEncoder();

test('checksum is XXH64 with seed 0', (t) => {
  t.is(checksum(new Uint8Array()), 0xef46_db37_51d8_e999n);
  t.is(checksum(utf8.encode('a')), 0xd24e_c4f1_a98c_6e5bn);
  t.is(checksum(utf8.encode('hello')), helloChecksum);
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
      t.is(checksum(bytes), xxh64(bytes));
    }),
  );
});

test('checksum is the same in memory that is hashed in place, and elsewhere', (t) => {
  const memory = hashedMemory(100_000) as ArrayBuffer;
  t.true(memory.byteLength >= 100_000);
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 300 }), fc.nat({ max: 99_000 }), (bytes, at) => {
      const placed = new Uint8Array(memory, at, bytes.length);
      placed.set(bytes);
      t.is(checksum(placed), xxh64(bytes));
      t.is(checksum(bytes), xxh64(bytes));
      t.deepEqual(placed, bytes, 'nothing but looked at');
    }),
  );
});

test('memory whose code computes something else is refused, and changes nothing', (t) => {
  const mem = { buffer: new ArrayBuffer(1024), grow: () => 0 };
  const wrong: Xxhash = { mem, xxh64: () => 1n };
  t.throws(() => hashInPlace(wrong, 1000), { message: /computes something else/ });
  const bytes = new Uint8Array(mem.buffer, 8, 5);
  t.is(checksum(bytes), xxh64(bytes));
});

const littleEndian = (values: readonly bigint[]): Uint8Array =>
  Uint8Array.from(
    values.flatMap((value) =>
      Array.from({ length: 8 }, (_, i) => Number((value >> BigInt(8 * i)) & 255n)),
    ),
  );

test('fold is XXH64 over checksums as 8 bytes little endian', (t) => {
  fc.assert(
    fc.property(fc.bigUint64Array({ maxLength: 40 }), (sums) => {
      t.is(fold(sums), xxh64(littleEndian([...sums])));
    }),
  );
});

test('digestOf is XXH64 over segment checksums and the size, at any length', (t) => {
  for (const count of [0, 1, 2, 1022, 1023, 1024, 1025, 2047, 2048, 2049]) {
    const sums = Array.from(
      { length: count },
      (_, i) => (BigInt(i) * 0x9e37_79b9_7f4a_7c15n) % 2n ** 64n,
    );
    t.is(digestOf(sums, count), xxh64(littleEndian([...sums, BigInt(count)])), `${count} segments`);
  }
});

test('the worked example of docs/protocol.md holds for a naive computation', (t) => {
  const chunkBytes = 65_536;
  const bytes = exampleFile(exampleBytes);
  const count = Math.ceil(bytes.length / chunkBytes);
  const sums = Array.from({ length: count }, (_, i) =>
    xxh64(bytes.subarray(i * chunkBytes, (i + 1) * chunkBytes)),
  );
  const segments = [sums.slice(0, 128), sums.slice(128)].map((part) => xxh64(littleEndian(part)));
  const hello = xxh64(littleEndian([xxh64(utf8.encode('hello'))]));
  const expected = new Map<string, bigint | undefined>([
    ...[0, 1, 127, 128, 129].map((i) => [`checksum of chunk ${i}`, sums[i]] as const),
    ['checksum of segment 0', segments[0]],
    ['checksum of segment 1', segments[1]],
    ['digest', xxh64(littleEndian([...segments, BigInt(bytes.length)]))],
    ['digest of a file that consists of `hello`', xxh64(littleEndian([hello, 5n]))],
    ['digest of an empty file', xxh64(littleEndian([0n]))],
  ]);
  const documented = table('Chunks, segments, digest').map((row): [string, bigint] => [
    row.get('Value') ?? '',
    BigInt(`0x${(row.get('Hexadecimal, highest digit first') ?? '').replaceAll('`', '')}`),
  ]);
  t.deepEqual(new Map<string, bigint | undefined>(documented), expected);
  t.is(expected.get('digest of a file that consists of `hello`'), helloDigest);
});
