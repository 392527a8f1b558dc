/**
 * Which requests may bring chunks longer than those of files, as measuring does: a chunk must be in memory
 * as a whole before it is worth anything, and a header alone must not be enough to have that memory.
 */
import { limits } from '../protocol/limits.ts';

interface Taken {
  readonly chunkBytes: number;
  readonly onClosed: () => void;
}

export class LongChunks {
  readonly #taken = new Map<number, Taken>();

  get any(): boolean {
    return this.#taken.size > 0;
  }

  /** Bytes that a chunk of the request may have. */
  readonly most = (request: number): number =>
    this.#taken.get(request)?.chunkBytes ?? limits.fileChunkBytes;

  take(request: number, taken: Taken): void {
    if (taken.chunkBytes > this.most(request)) this.#taken.set(request, taken);
  }

  close(request: number): void {
    const taken = this.#taken.get(request);
    this.#taken.delete(request);
    taken?.onClosed();
  }

  closeAll(): void {
    for (const request of this.#taken.keys()) this.close(request);
  }
}
