/** Chunks that arrived damaged and have not come intact since: each is asked for again, a few times. */
import { TransferError } from '../protocol/errors.ts';
import { limits } from '../protocol/limits.ts';
import { transferLimits } from './limits.ts';

export class Repeats {
  readonly #times = new Map<number, number>();

  /** One arrived damaged; gives what ends the transfer, if that was once too often. */
  damaged(index: number): TransferError | undefined {
    const times = (this.#times.get(index) ?? 0) + 1;
    this.#times.set(index, times);
    if (this.#times.size > transferLimits.damagedChunks) {
      const message = 'Too many chunks arrive damaged, and not again intact (damagedChunks).';
      return new TransferError('integrity', message);
    }
    return times > limits.chunkRepeats
      ? new TransferError('integrity', `A chunk arrived damaged ${times} times in a row.`)
      : undefined;
  }

  /** So many came intact, from index `first` on. */
  intact(first: number, count: number): void {
    for (let i = 0; i < count && this.#times.size > 0; i += 1) this.#times.delete(first + i);
  }
}
