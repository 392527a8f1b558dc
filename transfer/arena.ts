/** One large piece of memory, parts of which are lent. */
import { RangeSet } from '../protocol/ranges.ts';

const pageBytes = 4096;
/** Where parts begin in a page: file-buffer.ts says why. */
export const pastStoresBytes = 64;

export class Arena {
  readonly #memory: ArrayBuffer;
  /** In pages. */
  readonly #free: RangeSet;

  constructor(memory: ArrayBuffer) {
    this.#memory = memory;
    const pages = Math.floor((memory.byteLength - pastStoresBytes) / pageBytes);
    this.#free = new RangeSet([{ start: 0, end: pages }]);
  }

  /** The first part that has room for `bytes`; undefined when there is none. */
  take(bytes: number): Uint8Array<ArrayBuffer> | undefined {
    const pages = Math.ceil(bytes / pageBytes);
    for (const { start, end } of this.#free) {
      if (end - start < pages) continue;
      this.#free.remove(start, start + pages);
      return new Uint8Array(this.#memory, start * pageBytes + pastStoresBytes, bytes);
    }
    return undefined;
  }

  /** Takes a part back; memory of others means nothing. */
  give({ buffer, byteOffset, byteLength }: Uint8Array): void {
    if (buffer !== this.#memory) return;
    const start = (byteOffset - pastStoresBytes) / pageBytes;
    this.#free.add(start, start + Math.ceil(byteLength / pageBytes));
  }
}
