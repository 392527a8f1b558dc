/**
 * Results of operations that changed something, kept for a while: when the answer was lost with its
 * connection, the client asks again under the same operation id and gets the same answer, without
 * anything being done twice.
 */
import { idBytes } from '../protocol/frames/codec.ts';

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

/** What one token did, the oldest first. */
class Owner {
  readonly kept = new Map<string, Kept>();
  bytes = 0;

  set(key: string, kept: Kept): void {
    this.forget(key);
    this.kept.set(key, kept);
    this.bytes += kept.bytes;
  }

  forget(key: string): void {
    this.bytes -= this.kept.get(key)?.bytes ?? 0;
    this.kept.delete(key);
  }
}

/** Operations are named by ids of `ownedBy`: who did it, then what the client chose. */
export class OperationResults {
  readonly #owners = new Map<string, Owner>();

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
    const { owner, key } = namesIn(operation);
    const kept = this.#owners.get(owner)?.kept.get(key);
    return kept === undefined || kept.untilMs < performance.now()
      ? undefined
      : (kept.result as Promise<T>);
  }

  /** `bytes` is about what the result takes in memory. */
  keep(operation: Uint8Array, result: Promise<unknown>, bytes: number = resultBytes): void {
    const now = performance.now();
    const names = namesIn(operation);
    const owner = this.#owners.get(names.owner) ?? new Owner();
    this.#owners.set(names.owner, owner);
    owner.set(names.key, { result, untilMs: now + keptMs, bytes });
    this.#forgetOld(now);
    this.#forgetMost();
  }

  #forgetOld(now: number): void {
    for (const [name, owner] of this.#owners) {
      for (const [key, { untilMs }] of owner.kept) {
        if (untilMs >= now) break;
        owner.forget(key);
      }
      if (owner.kept.size === 0) this.#owners.delete(name);
    }
  }

  /** Of who has most: a token that does much pushes out nobody else's. */
  #forgetMost(): void {
    const owners = [...this.#owners.values()];
    let bytes = owners.reduce((sum, owner) => sum + owner.bytes, 0);
    while (bytes > keptBytes) {
      const most = owners.reduce((a, b) => (b.bytes > a.bytes ? b : a));
      const [oldest = ''] = most.kept.keys();
      bytes -= most.kept.get(oldest)?.bytes ?? 0;
      most.forget(oldest);
    }
  }
}

function namesIn(operation: Uint8Array): { owner: string; key: string } {
  const text = Buffer.from(operation).toString('hex');
  const split = text.length - 2 * idBytes;
  return { owner: text.slice(0, split), key: text.slice(split) };
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
