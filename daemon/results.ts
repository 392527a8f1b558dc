/**
 * Results of operations that changed something, kept for a while: when the answer was lost with its
 * connection, the client asks again under the same operation id and gets the same answer, without
 * anything being done twice.
 */
const keptMs = 10 * 60_000;
/** Of all together: the answers to a page may have a reason for each of its files. */
const keptBytes = 16 * 1024 * 1024;
/** Memory of one that has little to say. */
const resultBytes = 256;

interface Kept {
  readonly result: Promise<unknown>;
  readonly untilMs: number;
  readonly bytes: number;
}

export class OperationResults {
  readonly #kept = new Map<string, Kept>();
  #bytes = 0;

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

  /** `bytes` is about what the result takes in memory. */
  keep(operation: Uint8Array, result: Promise<unknown>, bytes: number = resultBytes): void {
    const now = performance.now();
    // Insertion order is age: the oldest stand first.
    for (const [key, { untilMs }] of this.#kept) {
      if (untilMs >= now && this.#bytes + bytes <= keptBytes) break;
      this.#forget(key);
    }
    const key = Buffer.from(operation).toString('hex');
    this.#forget(key);
    this.#kept.set(key, { result, untilMs: now + keptMs, bytes });
    this.#bytes += bytes;
  }

  #forget(key: string): void {
    this.#bytes -= this.#kept.get(key)?.bytes ?? 0;
    this.#kept.delete(key);
  }
}

/** About what it takes in memory to remember the result of a page. */
export function pageResultBytes(page: {
  readonly answers: readonly string[];
  readonly failures: readonly { readonly message: string }[];
}): number {
  const [answerBytes, failureBytes] = [8, 128];
  let bytes = resultBytes + answerBytes * page.answers.length;
  for (const { message } of page.failures) bytes += failureBytes + message.length;
  return bytes;
}
