/** Chunks of zeros, as sparse files and disk images have them: they travel without a payload. */
import { checksum } from '../protocol/checksum.ts';
import { limits } from '../protocol/limits.ts';

/** The optional feature of whoever knows such chunks. */
export const zeroChunksFeature = 'zero-chunks';

let zeros: Uint8Array | undefined;
const checksums = new Map<number, bigint>();
/** A peer chooses chunk sizes: of so many the checksum is remembered. */
const checksumsKept = 16;

/** The content of a chunk of zeros: always a view of the same memory, which nobody may write to. */
export function zeroChunk(chunkBytes: number): Uint8Array {
  // The system gives no memory for what is only read.
  zeros ??= new Uint8Array(limits.chunkBytesMax);
  return zeros.subarray(0, chunkBytes);
}

/** Whether `bytes` are a view that `zeroChunk` gave. */
export function isZeroChunk(bytes: Uint8Array): boolean {
  return bytes.buffer === zeros?.buffer;
}

/** XXH64 of `chunkBytes` zeros. */
export function zeroChecksum(chunkBytes: number): bigint {
  const known = checksums.get(chunkBytes);
  if (known !== undefined) return known;
  if (checksums.size >= checksumsKept) checksums.clear();
  const sum = checksum(zeroChunk(chunkBytes));
  checksums.set(chunkBytes, sum);
  return sum;
}

/** Whether all of `bytes`, a chunk or less, are 0. Most content shows at once that it isn't. */
export function isAllZero(bytes: Uint8Array): boolean {
  if (bytes[0] !== 0 || bytes[bytes.length - 1] !== 0) return false;
  return Buffer.compare(bytes, zeroChunk(bytes.length)) === 0;
}
