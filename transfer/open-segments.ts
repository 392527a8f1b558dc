/**
 * Segments that have begun and are not whole yet: each chunk of one needs a place of its own, where a
 * whole segment takes 8 bytes. Who sends in order has one for each connection, or a few; one chunk of
 * each segment of a huge file would be much memory for little traffic.
 */
import { TransferError } from '../protocol/errors.ts';
import { transferLimits } from './limits.ts';

/** Of all transfers of the process together. */
let total = 0;

export class OpenSegments {
  /** What an earlier attempt, or a copy of the target, left: it had its own bounds. */
  readonly #before: number;
  #count = 0;

  /** Throws TransferError (`limit`) when there is no room now for what is there before. */
  constructor(before: number) {
    this.#before = before;
    this.set(before);
  }

  /** The transfer has so many by now. Throws TransferError (`limit`) when others got too many. */
  set(now: number): void {
    const { openSegments, openSegmentsLeast, openSegmentsTotal } = transferLimits;
    const since = Math.max(0, now - this.#before);
    const count = Math.min(now - since, openSegments) + since;
    const more = count - this.#count;
    const isMuch = count > openSegments || total + more > openSegmentsTotal;
    if (more > 0 && count > openSegmentsLeast && isMuch) {
      throw new TransferError(
        'limit',
        `The file is too scattered: ${now} segments of it have begun and are not whole (openSegments).`,
      );
    }
    this.#count = count;
    total += more;
  }

  close(): void {
    total -= this.#count;
    this.#count = 0;
  }
}
