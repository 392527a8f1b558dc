import test from 'ava';
import fc from 'fast-check';
import { ProtocolError } from '../../protocol/errors.ts';
import { decodeHeader, encodeHeader, type Header, headerBytes } from '../../protocol/header.ts';
import { hexOf } from './helpers/layout.ts';
import { viewOf } from './helpers/wire.ts';
import { xxh64 } from './helpers/xxh64.ts';

/** The header in one DataView write after another, with a hash of its own. */
function naive(header: Header): Uint8Array {
  const bytes = new Uint8Array(headerBytes);
  const view = viewOf(bytes);
  view.setUint8(0, header.type);
  view.setUint8(1, header.flags);
  view.setUint32(4, header.length, true);
  view.setUint32(8, header.request, true);
  view.setBigUint64(16, BigInt(header.index), true);
  view.setBigUint64(24, header.checksum, true);
  const checked = Uint8Array.from([...bytes.subarray(0, 12), ...bytes.subarray(16)]);
  view.setUint32(12, Number(xxh64(checked) % 2n ** 32n), true);
  return bytes;
}

const u32 = fc.integer({ min: 0, max: 2 ** 32 - 1 });
const anyHeader: fc.Arbitrary<Header> = fc.record({
  type: fc.nat(255),
  flags: fc.nat(255),
  length: u32,
  request: u32,
  index: fc.oneof(fc.maxSafeNat(), fc.constantFrom(0, 2 ** 32 - 1, 2 ** 32, 2 ** 53 - 1)),
  checksum: fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }),
});

test('a header is what a naive writer writes, at any offset', (t) => {
  const property = fc.property(anyHeader, fc.nat(9), (header, offset) => {
    const bytes = new Uint8Array(offset + headerBytes + 3).fill(0xaa);
    encodeHeader(header, viewOf(bytes), offset);
    t.is(hexOf(bytes.subarray(offset, offset + headerBytes)), hexOf(naive(header)));
    t.is(hexOf(bytes.subarray(offset + headerBytes)), 'aa aa aa');
    t.deepEqual(decodeHeader(viewOf(bytes), offset), header);
  });
  fc.assert(property, { numRuns: 1000 });
});

test('every flipped bit of a header is found', (t) => {
  const bytes = naive({ type: 1, flags: 0, length: 5, request: 6, index: 7, checksum: 8n });
  for (let bit = 0; bit < 8 * headerBytes; bit += 1) {
    const flipped = bytes.slice();
    flipped[bit >> 3] = (flipped[bit >> 3] ?? 0) ^ (1 << (bit & 7));
    const error = t.throws(() => decodeHeader(viewOf(flipped), 0), {
      instanceOf: ProtocolError,
    });
    t.is(error?.failure, 'corrupt');
  }
});
