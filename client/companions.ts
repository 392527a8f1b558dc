/**
 * Work of one run beside other work of it. What is refused since too much is under way may have room when
 * something of our own is through, so it is done then: a job that wants more at once than the daemon allows
 * takes longer, and does not fail.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { FerryError } from '../protocol/errors.ts';

/** Names of the limits that what is under way uses up; the message ends in them (docs/protocol.md). */
const usedUp = /\((?:transfers|transfersPerToken|stagingFilesPerToken|pageBytes)\)\.$/;

/** The daemon lets go of what ended within this time: it is asked again so often. */
const lingerMs = 2_000;
const pauseMs = 50;

export class Companions {
  /** Under way, and not waiting for others. */
  #busy = 0;
  /** How often something ended that may have left room, and when that was last. */
  #ends = 0;
  #endedAtMs = -Infinity;
  #waiting: (() => void)[] = [];

  /** Does `work`, again whenever such a limit stopped it and other work ended since. Throws what it throws. */
  async beside<T>(work: () => Promise<T>): Promise<T> {
    for (;;) {
      this.#busy += 1;
      const ends = this.#ends;
      try {
        const result = await work();
        this.#leftRoom();
        return result;
      } catch (error) {
        if (!isRefusal(error)) {
          this.#leftRoom();
          throw error;
        }
        this.#busy -= 1;
        if (this.#ends > ends) continue;
        if (this.#busy > 0) {
          await new Promise<void>((resolve) => this.#waiting.push(resolve));
        } else if (performance.now() - this.#endedAtMs < lingerMs) {
          await sleep(pauseMs);
        } else {
          // What was refused leaves no room, but nobody is left to wait for.
          this.#wake();
          throw error;
        }
      }
    }
  }

  #leftRoom(): void {
    this.#busy -= 1;
    this.#ends += 1;
    this.#endedAtMs = performance.now();
    this.#wake();
  }

  #wake(): void {
    for (const wake of this.#waiting.splice(0)) wake();
  }
}

const isRefusal = (error: unknown): boolean =>
  error instanceof FerryError && error.failure === 'limit' && usedUp.test(error.message);
