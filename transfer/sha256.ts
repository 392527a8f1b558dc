/** SHA-256 of a content, for transfers whose offer promises one. */
import { createHash } from 'node:crypto';
import { limits } from '../protocol/limits.ts';
import { withFileBuffer } from './file-buffer.ts';
import { sourceChanged } from './source-changed.ts';
import type { ChunkSource } from './storage.ts';

/** Said at most this often while a file is read for its SHA-256. */
const workingMs = 500;

/**
 * SHA-256 of the first `sizeBytes` of what can be read, telling now and then how far it got; undefined
 * when `isOver` said that nobody waits for it any more.
 */
export async function sha256Of(
  source: Pick<ChunkSource, 'read'>,
  sizeBytes: number,
  onProgress: (doneBytes: number) => void,
  isOver: () => boolean,
): Promise<Uint8Array | undefined> {
  const hash = createHash('sha256');
  let toldAtMs = performance.now();
  return await withFileBuffer(sizeBytes, limits.fileChunkBytes, async (buffer) => {
    for (let position = 0; position < sizeBytes; ) {
      if (isOver()) return undefined;
      const length = Math.min(buffer.length, sizeBytes - position);
      const bytes = await source.read(buffer.subarray(0, length), position);
      if (bytes < length) throw sourceChanged();
      hash.update(buffer.subarray(0, bytes));
      position += bytes;
      if (performance.now() - toldAtMs > workingMs) {
        toldAtMs = performance.now();
        onProgress(position);
      }
    }
    return hash.digest();
  });
}
