/**
 * Work of one run beside other work of it. What is refused since too much is under way may have room when
 * something of our own is through, so it is done then: a job that wants more at once than the daemon allows
 * takes longer, and does not fail.
 */
import { FerryError } from '../protocol/errors.ts';

/** Names of the limits that what is under way uses up; the message ends in them (docs/protocol.md). */
const usedUp = /\((?:transfers|transfersPerToken|stagingFilesPerToken|pageBytes)\)\.$/;

export class Companions {
  /** Under way, and not waiting for others. */
  #busy = 0;
  /** How often something ended. */
  #ends = 0;
  #waiting: (() => void)[] = [];

  /** Does `work`, again whenever such a limit stopped it and other work ended since. Throws what it throws. */
  async beside<T>(work: () => Promise<T>): Promise<T> {
    for (;;) {
      this.#busy += 1;
      const ends = this.#ends;
      try {
        const result = await work();
        this.#ended();
        return result;
      } catch (error) {
        const isRefused =
          error instanceof FerryError && error.failure === 'limit' && usedUp.test(error.message);
        // What was refused itself leaves no room: it wakes nobody while others may.
        const hasRoom = this.#ends > ends;
        if (!isRefused || (this.#busy === 1 && !hasRoom)) {
          this.#ended();
          throw error;
        }
        this.#busy -= 1;
        if (!hasRoom) await new Promise<void>((resolve) => this.#waiting.push(resolve));
      }
    }
  }

  #ended(): void {
    this.#busy -= 1;
    this.#ends += 1;
    for (const wake of this.#waiting.splice(0)) wake();
  }
}
