/** Deals the chunks that nobody was asked for yet out to the connections that take part. */
import { limits } from '../protocol/limits.ts';
import type { Range, RangeSet } from '../protocol/ranges.ts';

/** Several connections get pieces of this many chunks, 32 MiB: a few seconds on a gigabit link. */
const pieceChunks = 4 * limits.segmentChunks;

/** A connection that takes part. */
interface Lane {
  /** Chunks that it was asked for and has not brought yet. */
  readonly dealtChunks: number;
  /** Asks it for chunks; `last` asks for the digest with them. */
  want(ranges: readonly Range[], last: boolean): void;
}

export class Dealer {
  /** Chunks that nobody was asked for yet. */
  readonly lacking: RangeSet;
  readonly #connections: number;

  constructor(lacking: RangeSet, connections: number) {
    this.lacking = lacking;
    this.#connections = connections;
  }

  /** Asks every lane that has room for more of what is lacking. */
  deal(lanes: Iterable<Lane>): void {
    for (const lane of lanes) {
      if (this.lacking.empty) return;
      if (this.#connections === 1) {
        const ranges = [...this.lacking];
        this.lacking.clear();
        lane.want(ranges, true);
        return;
      }
      while (!this.lacking.empty && lane.dealtChunks < pieceChunks / 2) {
        lane.want([this.lacking.takeFirst(this.#pieceSize()) as Range], false);
      }
    }
  }

  /** Near the end pieces get smaller, so that all connections finish together. */
  #pieceSize(): number {
    const share = Math.ceil(this.lacking.size / (4 * this.#connections));
    return Math.max(limits.segmentChunks / 4, Math.min(pieceChunks, share));
  }
}
