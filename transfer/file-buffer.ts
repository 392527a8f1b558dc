/**
 * Memory to read files into.
 *
 * A large allocation begins 16 bytes into a page. A copy from a page of the file cache to there is
 * slow on many processors: each load has the address, but for the page, of a store just made, and
 * waits for it ("4K aliasing": Intel 64 and IA-32 Architectures Optimization Reference Manual; Zen
 * shows it, too). A few bytes further on, the same copy takes a third of the time.
 */
const pastStoresBytes = 64;

/** `bytes` bytes, not cleared. */
export function fileBuffer(bytes: number): Buffer {
  return Buffer.allocUnsafeSlow(pastStoresBytes + bytes).subarray(pastStoresBytes);
}
