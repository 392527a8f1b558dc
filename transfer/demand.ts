/**
 * What a receiver asks for once more, on one request. Chunks arrive damaged and segments turn out
 * wrong, but that has an end: whoever wants the same for ever would be served for ever.
 */
import { ProtocolError } from '../protocol/errors.ts';
import { transferLimits } from './limits.ts';

export class Demand {
  #asked = 0;

  /** Counts `count` things more of `all` that there are. Throws ProtocolError when it is too much. */
  add(count: number, all: number): void {
    this.#asked += count;
    if (this.#asked > transferLimits.asksPerChunk * (all + 1)) {
      throw new ProtocolError('protocol', 'The same is asked for too often (asksPerChunk).');
    }
  }
}
