/** A storage that leaves some space of its disk free. */
import { statfs } from 'node:fs/promises';
import { TransferError } from '../protocol/errors.ts';
import type { Storage } from '../transfer/storage.ts';
import { wrap } from '../transfer/wrap.ts';
import type { DaemonLimits } from './limits.ts';

/** The system is asked again after so long, or as soon as what it said is used up. */
const askedMs = 500;
/** Of a small disk no more is kept free. */
const keptPart = 10;

/** What a disk has room for, without asking the system for each write. */
export class FreeSpace {
  readonly #folder: string;
  readonly #limits: Pick<DaemonLimits, 'freeBytes'>;
  #leftBytes = 0;
  #askedAtMs = -Infinity;
  #asking: Promise<void> | undefined;

  /** `freeBytes` stay free on the disk that holds `folder`, a local path. */
  constructor(folder: string, limits: Pick<DaemonLimits, 'freeBytes'>) {
    this.#folder = folder;
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
    try {
      const { bavail, blocks, bsize } = await statfs(this.#folder);
      const keptBytes = Math.min(this.#limits.freeBytes, (blocks * bsize) / keptPart);
      this.#leftBytes = Math.max(0, bavail * bsize - keptBytes);
    } catch {
      this.#leftBytes = Infinity; // Where it can't be told, the disk itself says when it is full.
    }
    this.#askedAtMs = performance.now();
  }
}

export function keepFree(
  storage: Storage,
  folder: string,
  limits: Pick<DaemonLimits, 'freeBytes'>,
): Storage {
  const space = new FreeSpace(folder, limits);
  return wrap<Storage>(storage, {
    async openSink(path, offer, fresh) {
      const sink = await storage.openSink(path, offer, fresh);
      return wrap(sink, {
        async write(first, slices, sums) {
          await space.take(slices.reduce((sum, { length }) => sum + length, 0));
          await sink.write(first, slices, sums);
        },
      });
    },
    async putSmall(base, files) {
      await space.take(files.reduce((sum, { content }) => sum + content.length, 0));
      return await storage.putSmall(base, files);
    },
  });
}
