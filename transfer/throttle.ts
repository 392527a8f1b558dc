/** `--bwlimit`: content passes at no more than a given rate, all connections together. */
import { setTimeout as sleep } from 'node:timers/promises';
import { transferLimits } from './limits.ts';
import type { ChunkSink, ChunkSource, Storage } from './storage.ts';
import { wrap } from './wrap.ts';

/** Unused allowance is kept for no longer than this, so that there are no bursts. */
const burstMs = 100;

export class Throttle {
  readonly #bytesPerMs: number;
  /** The moment up to which the rate is used up. */
  #usedUpToMs = performance.now();

  constructor(bytesPerSecond: number) {
    this.#bytesPerMs = bytesPerSecond / 1000;
  }

  /** What to read and send at a time, so that content leaves evenly and not in rare large batches. */
  get batchBytes(): number {
    return Math.min(Math.ceil(this.#bytesPerMs * burstMs), transferLimits.sendBatchBytes);
  }

  /** Waits until `bytes` may pass. */
  async pass(bytes: number): Promise<void> {
    const now = performance.now();
    this.#usedUpToMs = Math.max(this.#usedUpToMs, now - burstMs) + bytes / this.#bytesPerMs;
    if (this.#usedUpToMs > now) await sleep(this.#usedUpToMs - now);
  }

  /** A source that is read no faster. */
  source(source: ChunkSource): ChunkSource {
    return wrap(source, {
      read: async (buffer: Uint8Array, positionBytes: number) => {
        const bytes = await source.read(buffer, positionBytes);
        await this.pass(bytes);
        return bytes;
      },
      // Chunk by chunk, so that the rate is even.
      readv: undefined,
      readsInThread: false,
    });
  }

  /** A storage whose sinks are written no faster, and its small files neither. */
  storage(storage: Storage): Storage {
    return wrap(storage, {
      openSink: async (...args: Parameters<Storage['openSink']>) => {
        const sink = await storage.openSink(...args);
        return wrap(sink, {
          write: async (...run: Parameters<ChunkSink['write']>) => {
            await this.pass(run[1].reduce((sum, { length }) => sum + length, 0));
            await sink.write(...run);
          },
        });
      },
      putSmall: async (...args: Parameters<Storage['putSmall']>) => {
        await this.pass(args[1].reduce((sum, { content }) => sum + content.length, 0));
        return await storage.putSmall(...args);
      },
    });
  }
}
