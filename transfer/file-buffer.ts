/**
 * Memory to read files into.
 *
 * A large allocation begins 16 bytes into a page. A copy from a page of the file cache to there is
 * slow on many processors: each load has the address, but for the page, of a store just made, and
 * waits for it ("4K aliasing": Intel 64 and IA-32 Architectures Optimization Reference Manual; Zen
 * shows it, too). A few bytes further on, the same copy takes a third of the time.
 */
import { pastStoresBytes } from './arena.ts';
import { bufferPool } from './buffer-pool.ts';
import { transferLimits } from './limits.ts';

/** `bytes` bytes, not cleared. */
export function fileBuffer(bytes: number): Buffer {
  return Buffer.allocUnsafeSlow(pastStoresBytes + bytes).subarray(pastStoresBytes);
}

/**
 * Lends memory to read up to `bytes` of a file into, until `use` settles: as much as is worth a read while
 * all readers together have room for it, a little otherwise; whole chunks in any case.
 */
export async function withFileBuffer<T>(
  bytes: number,
  chunkBytes: number,
  use: (buffer: Uint8Array) => Promise<T>,
): Promise<T> {
  // Most files are small: what they need is allocated, no more.
  if (bytes < chunkBytes) return await use(fileBuffer(bytes));
  const wholeChunks = (most: number): number =>
    pastStoresBytes + Math.max(1, Math.floor(most / chunkBytes)) * chunkBytes;
  const { sendBatchBytes, firstBatchBytes } = transferLimits;
  const memory =
    bufferPool.take(wholeChunks(sendBatchBytes)) ??
    bufferPool.takeLeast(wholeChunks(firstBatchBytes));
  try {
    return await use(memory.subarray(pastStoresBytes));
  } finally {
    bufferPool.give(memory);
  }
}
