/**
 * Whether the frame that is coming in comes fast enough. Who sends it a byte at a time is never silent,
 * and would hold a connection for as long as he likes.
 */
import { transferLimits } from './limits.ts';

export class FramePace {
  readonly #windowMs: number;
  readonly #bytesPerSecond: number;
  #bytes = 0;
  #pendingBytes = 0;
  /** Since when the bytes are counted. */
  #sinceMs = performance.now();
  /** When a frame that is not whole yet was last found to come fast enough. */
  movedAtMs = -Infinity;

  constructor(
    progressMs: number = transferLimits.progressMs,
    bytesPerSecond: number = transferLimits.frameBytesPerSecond,
  ) {
    // Who is just fast enough is found so before anybody gives up on him.
    this.#windowMs = progressMs / 2;
    this.#bytesPerSecond = bytesPerSecond;
  }

  /** So many bytes wait to be parsed, those of before included. */
  heard(bytes: number): void {
    this.#bytes += bytes - this.#pendingBytes;
  }

  /** So many of them are the beginning of a frame, whose rest is still to come. */
  parsed(pendingBytes: number): void {
    this.#pendingBytes = pendingBytes;
  }

  /** What came by now is forgotten: we did not read, for reasons of our own. */
  restart(nowMs: number): void {
    this.#sinceMs = nowMs;
    this.#bytes = 0;
  }

  isTooSlow(nowMs: number): boolean {
    if (this.#pendingBytes === 0) {
      this.restart(nowMs);
      return false;
    }
    const elapsedMs = nowMs - this.#sinceMs;
    if (elapsedMs < this.#windowMs) return false;
    const isSlow = this.#bytes * 1000 < this.#bytesPerSecond * elapsedMs;
    if (!isSlow) this.movedAtMs = nowMs;
    this.restart(nowMs);
    return isSlow;
  }
}
