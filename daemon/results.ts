/**
 * Results of operations that changed something, kept for a while: when the answer was lost with its
 * connection, the client asks again under the same operation id and gets the same answer, without
 * anything being done twice.
 */
const keptMs = 10 * 60_000;
const keptResults = 65_536;

interface Kept {
  readonly result: Promise<unknown>;
  readonly untilMs: number;
}

export class OperationResults {
  readonly #kept = new Map<string, Kept>();

  /** Does `work`, or gives what it gave when `operation` did it before. */
  once<T>(operation: Uint8Array, work: () => Promise<T>): Promise<T> {
    const known = this.get<T>(operation);
    if (known !== undefined) return known;
    const result = work();
    result.catch(() => undefined); // Whoever asks hears of it.
    this.keep(operation, result);
    return result;
  }

  get<T>(operation: Uint8Array): Promise<T> | undefined {
    const kept = this.#kept.get(Buffer.from(operation).toString('hex'));
    return kept === undefined || kept.untilMs < performance.now()
      ? undefined
      : (kept.result as Promise<T>);
  }

  keep(operation: Uint8Array, result: Promise<unknown>): void {
    const now = performance.now();
    // Insertion order is age: the oldest stand first.
    for (const [key, { untilMs }] of this.#kept) {
      if (untilMs >= now && this.#kept.size < keptResults) break;
      this.#kept.delete(key);
    }
    this.#kept.set(Buffer.from(operation).toString('hex'), { result, untilMs: now + keptMs });
  }
}
