/**
 * Work of one run beside other work of it. What a limit of the daemon refuses may have room when something
 * of our own is through, so it is done then: a job that wants more at once than the daemon allows takes
 * longer, and does not fail.
 */
import { FerryError } from '../protocol/errors.ts';

export class Companions {
  /** Under way, and not waiting for others. */
  #busy = 0;
  #waiting: (() => void)[] = [];

  /** Does `work`, again whenever a limit stopped it and other work ended since. Throws what it throws. */
  async beside<T>(work: () => Promise<T>): Promise<T> {
    for (;;) {
      this.#busy += 1;
      try {
        const result = await work();
        this.#ended();
        return result;
      } catch (error) {
        const isRefused = error instanceof FerryError && error.failure === 'limit';
        // What was refused itself leaves no room: it wakes nobody while others may.
        if (!isRefused || this.#busy === 1) {
          this.#ended();
          throw error;
        }
        this.#busy -= 1;
        await new Promise<void>((resolve) => this.#waiting.push(resolve));
      }
    }
  }

  #ended(): void {
    this.#busy -= 1;
    for (const wake of this.#waiting.splice(0)) wake();
  }
}
