/** A storage that leaves some space of its disk free. */
import { TransferError } from '../protocol/errors.ts';
import type { ChunkSink, Storage } from '../transfer/storage.ts';
import { wrap } from '../transfer/wrap.ts';
import type { DaemonLimits } from './limits.ts';

/** The system is asked again after so long, or as soon as what it said is used up. */
const askedMs = 500;
/** Of a small disk no more is kept free. */
const keptPart = 10;

/** What a disk has room for, without asking the system for each write. */
export class FreeSpace {
  readonly #storage: Pick<Storage, 'room'>;
  readonly #limits: Pick<DaemonLimits, 'freeBytes'>;
  #leftBytes = 0;
  #askedAtMs = -Infinity;
  #asking: Promise<void> | undefined;

  /** `freeBytes` stay free on the disk of `storage`. */
  constructor(storage: Pick<Storage, 'room'>, limits: Pick<DaemonLimits, 'freeBytes'>) {
    this.#storage = storage;
    this.#limits = limits;
  }

  /** So many bytes will be written. Throws TransferError (`no-space`). */
  async take(bytes: number): Promise<void> {
    if (this.#limits.freeBytes === 0) return;
    const isOld = performance.now() - this.#askedAtMs > askedMs;
    if (isOld || bytes > this.#leftBytes) await this.#ask();
    if (bytes > this.#leftBytes) {
      throw new TransferError(
        'no-space',
        `The disk is full: ${this.#limits.freeBytes} bytes are kept free (freeBytes).`,
      );
    }
    this.#leftBytes -= bytes;
  }

  /** Who comes while the system is asked waits for that answer. */
  #ask(): Promise<void> {
    this.#asking ??= this.#measure().finally(() => {
      this.#asking = undefined;
    });
    return this.#asking;
  }

  async #measure(): Promise<void> {
    const room = await this.#storage.room();
    // Where it can't be told, the disk itself says when it is full.
    const { freeBytes, totalBytes } = room ?? { freeBytes: Infinity, totalBytes: Infinity };
    const keptBytes = Math.min(this.#limits.freeBytes, totalBytes / keptPart);
    this.#leftBytes = Math.max(0, freeBytes - keptBytes);
    this.#askedAtMs = performance.now();
  }
}

export function keepFree(storage: Storage, limits: Pick<DaemonLimits, 'freeBytes'>): Storage {
  const space = new FreeSpace(storage, limits);
  const keeping = (sink: ChunkSink): ChunkSink =>
    wrap(sink, {
      async write(first, slices, sums) {
        await space.take(slices.reduce((sum, { length }) => sum + length, 0));
        await sink.write(first, slices, sums);
      },
    });
  return wrap<Storage>(storage, {
    openSink: async (path, offer, fresh) => keeping(await storage.openSink(path, offer, fresh)),
    openScratch: async (chunkBytes) => keeping(await storage.openScratch(chunkBytes)),
    async putSmall(base, files) {
      await space.take(files.reduce((sum, { content }) => sum + content.length, 0));
      return await storage.putSmall(base, files);
    },
  });
}
