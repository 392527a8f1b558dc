/**
 * XXH64, the checksum of every byte on the wire and on disk.
 *
 * Source: https://github.com/Cyan4973/xxHash/blob/dev/doc/xxhash_spec.md (XXH64, seed 0).
 * It finds accidents, not attackers: see docs/protocol.md, "What the checksums are for".
 */
import { hasher, hasherReady } from './hasher.ts';

await hasherReady;

/** What an instance of xxhash-wasm's module exports: XXH64 of what lies in its memory. */
export interface Xxhash {
  readonly mem: { readonly buffer: ArrayBuffer; grow(pages: number): number };
  readonly xxh64: (at: number, bytes: number, seed: bigint) => bigint;
}

const pageBytes = 65_536;
let inPlace: { readonly memory: ArrayBuffer; readonly xxh64: Xxhash['xxh64'] } | undefined;

/**
 * Makes memory of at least `bytes`, and gives it: what lies in it is hashed from now on where it is, all
 * else as before. Throws when `xxhash` has not so much, or does not agree with the library.
 */
export function hashInPlace({ mem, xxh64 }: Xxhash, bytes: number): ArrayBuffer {
  mem.grow(Math.ceil(bytes / pageBytes));
  // Memory that grows moves, so it never does again.
  const memory = mem.buffer;
  const sample = new Uint8Array(memory, 1, 100).map((_, i) => i);
  new Uint8Array(memory).set(sample, 1);
  inPlace = { memory, xxh64 };
  if (checksum(new Uint8Array(memory, 1, sample.length)) === checksum(sample)) return memory;
  inPlace = undefined;
  throw new Error('This xxhash computes something else.');
}

/** XXH64 of `bytes` with seed 0, as an unsigned 64-bit integer. */
export function checksum(bytes: Uint8Array): bigint {
  if (bytes.buffer !== inPlace?.memory) return hasher.h64Raw(bytes);
  return BigInt.asUintN(64, inPlace.xxh64(bytes.byteOffset, bytes.length, 0n));
}

/**
 * XXH64 over checksums in order, each as 8 bytes little endian.
 * Folds a segment's chunk checksums into one.
 */
export function fold(checksums: BigUint64Array): bigint {
  return hasher.h64Raw(littleEndian(checksums));
}

const isLittleEndian = new Uint8Array(Uint16Array.of(1).buffer)[0] === 1;

/** `values` as 8 bytes little endian each: their own memory on most machines, otherwise a copy. */
export function littleEndian(values: BigUint64Array): Uint8Array {
  if (isLittleEndian) return new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
  const bytes = new Uint8Array(values.byteLength);
  const view = new DataView(bytes.buffer);
  for (const [i, value] of values.entries()) view.setBigUint64(i * 8, value, true);
  return bytes;
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
