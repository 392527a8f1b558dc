/**
 * XXH64, the checksum of every byte on the wire and on disk.
 *
 * Source: https://github.com/Cyan4973/xxHash/blob/dev/doc/xxhash_spec.md (XXH64, seed 0).
 * It finds accidents, not attackers: see docs/protocol.md, "What the checksums are for".
 */
import { hasher, hasherReady } from './hasher.ts';

await hasherReady;

/** XXH64 of `bytes` with seed 0, as an unsigned 64-bit integer. */
export function checksum(bytes: Uint8Array): bigint {
  return hasher.h64Raw(bytes);
}

/**
 * XXH64 over checksums in order, each as 8 bytes little endian.
 * Folds a segment's chunk checksums into one.
 */
export function fold(checksums: BigUint64Array): bigint {
  const bytes = new Uint8Array(checksums.length * 8);
  const view = new DataView(bytes.buffer);
  for (const [index, value] of checksums.entries()) view.setBigUint64(index * 8, value, true);
  return hasher.h64Raw(bytes);
}

/** Incremental digest of a file: XXH64 over its segment checksums in order, then its size (u64). */
export function digestOf(segmentChecksums: Iterable<bigint>, sizeBytes: number): bigint {
  const batch = 1024;
  const bytes = new Uint8Array(batch * 8);
  const view = new DataView(bytes.buffer);
  const hash = hasher.create64();
  let used = 0;
  const add = (value: bigint): void => {
    view.setBigUint64(used * 8, value, true);
    used += 1;
    if (used === batch) {
      hash.update(bytes);
      used = 0;
    }
  };
  for (const value of segmentChecksums) add(value);
  add(BigInt(sizeBytes));
  hash.update(bytes.subarray(0, used * 8));
  return hash.digest();
}
