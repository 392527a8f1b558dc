/**
 * XXH64 with seed 0, written straight from its specification: slow, and easy to compare with it.
 *
 * Source: https://github.com/Cyan4973/xxHash/blob/dev/doc/xxhash_spec.md
 */
const prime1 = 0x9e37_79b1_85eb_ca87n;
const prime2 = 0xc2b2_ae3d_27d4_eb4fn;
const prime3 = 0x1656_67b1_9e37_79f9n;
const prime4 = 0x85eb_ca77_c2b2_ae63n;
const prime5 = 0x27d4_eb2f_1656_67c5n;

const u64 = (value: bigint): bigint => BigInt.asUintN(64, value);
const rotate = (value: bigint, by: bigint): bigint => u64((value << by) | (value >> (64n - by)));
const round = (lane: bigint, word: bigint): bigint =>
  u64(rotate(u64(lane + word * prime2), 31n) * prime1);
const merge = (sum: bigint, lane: bigint): bigint => u64((sum ^ round(0n, lane)) * prime1 + prime4);

function stripes(view: DataView): { sum: bigint; position: number } {
  if (view.byteLength < 32) return { sum: prime5, position: 0 };
  let lanes = [u64(prime1 + prime2), prime2, 0n, u64(-prime1)];
  let position = 0;
  for (; position + 32 <= view.byteLength; position += 32) {
    lanes = lanes.map((lane, i) => round(lane, view.getBigUint64(position + 8 * i, true)));
  }
  const turns = [1n, 7n, 12n, 18n];
  const converged = u64(lanes.reduce((sum, lane, i) => sum + rotate(lane, turns[i] ?? 0n), 0n));
  return { sum: lanes.reduce(merge, converged), position };
}

export function xxh64(bytes: Uint8Array): bigint {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  let { sum, position } = stripes(view);
  sum = u64(sum + BigInt(bytes.length));
  for (; position + 8 <= bytes.length; position += 8) {
    sum = u64(rotate(sum ^ round(0n, view.getBigUint64(position, true)), 27n) * prime1 + prime4);
  }
  if (position + 4 <= bytes.length) {
    const word = BigInt(view.getUint32(position, true));
    sum = u64(rotate(u64(sum ^ (word * prime1)), 23n) * prime2 + prime3);
    position += 4;
  }
  for (; position < bytes.length; position += 1) {
    sum = u64(rotate(u64(sum ^ (BigInt(view.getUint8(position)) * prime5)), 11n) * prime1);
  }
  sum = u64((sum ^ (sum >> 33n)) * prime2);
  sum = u64((sum ^ (sum >> 29n)) * prime3);
  return sum ^ (sum >> 32n);
}
