/** How many files, pages of files and listings may be under way: in all, and of one token. */
import { TransferError } from '../protocol/errors.ts';
import type { DaemonLimits } from './limits.ts';

export class TransferSlots {
  readonly #limits: Pick<DaemonLimits, 'transfers' | 'transfersPerToken'>;
  readonly #byToken = new Map<string, number>();
  #count = 0;

  constructor(limits: Pick<DaemonLimits, 'transfers' | 'transfersPerToken'>) {
    this.#limits = limits;
  }

  get count(): number {
    return this.#count;
  }

  /** Takes a slot, and gives what lets go of it. Throws TransferError (`limit`). */
  take(token: string): () => void {
    const { transfers, transfersPerToken } = this.#limits;
    const ofToken = this.#byToken.get(token) ?? 0;
    if (ofToken >= transfersPerToken) {
      throw tooMany('This token', transfersPerToken, 'transfersPerToken');
    }
    if (this.#count >= transfers) throw tooMany('The daemon', transfers, 'transfers');
    this.#count += 1;
    this.#byToken.set(token, ofToken + 1);
    return () => {
      this.#count -= 1;
      const left = (this.#byToken.get(token) as number) - 1;
      if (left === 0) this.#byToken.delete(token);
      else this.#byToken.set(token, left);
    };
  }
}

function tooMany(who: string, most: number, limit: string): TransferError {
  return new TransferError(
    'limit',
    `${who} has too many transfers under way: the limit is ${most} (${limit}).`,
  );
}
