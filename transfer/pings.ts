/** Signs of life that were asked for, and how long the way there and back takes. */
import { randomBytes } from 'node:crypto';

/** Without an answer, that are remembered. */
const kept = 8;

export class Pings {
  /** When each was said, by its token. */
  readonly #saidAtMs = new Map<bigint, number>();
  /** Shortest round trip so far; undefined before the first. */
  roundTripMs: number | undefined;
  /** Told of each answered one. */
  onRoundTrip: (ms: number) => void = () => undefined;
  #waiting: (() => void)[] = [];

  /** Gives the token of a new one. */
  next(): bigint {
    const token = randomBytes(8).readBigUInt64LE();
    this.#saidAtMs.set(token, performance.now());
    for (const old of this.#saidAtMs.keys())
      if (this.#saidAtMs.size > kept) this.#saidAtMs.delete(old);
    return token;
  }

  /** The peer answered one; what was not asked is no answer. */
  answered(token: bigint): void {
    const saidAtMs = this.#saidAtMs.get(token);
    if (saidAtMs === undefined) return;
    this.#saidAtMs.delete(token);
    const tookMs = performance.now() - saidAtMs;
    this.took(tookMs);
    this.onRoundTrip(tookMs);
    for (const wake of this.#waiting.splice(0)) wake();
  }

  /** Settles when the next one is answered, for all who wait for it. */
  async nextAnswer(): Promise<void> {
    await new Promise<void>((resolve) => this.#waiting.push(resolve));
  }

  /** Something else than a ping went there and back. */
  took(ms: number): void {
    this.roundTripMs = Math.min(ms, this.roundTripMs ?? ms);
  }
}
