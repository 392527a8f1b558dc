/**
 * What each token has in staging: partials under way, and those that an interruption left. Whoever
 * carries a partial on takes it over.
 */
import { TransferError } from '../protocol/errors.ts';
import type { DaemonLimits } from './limits.ts';

type StagingLimits = Pick<DaemonLimits, 'stagingFilesPerToken' | 'stagingBytesPerToken'>;

interface Account {
  files: number;
  bytes: number;
}

interface Partial {
  readonly token: string;
  bytes: number;
}

export class PartialAccounts {
  readonly #limits: StagingLimits;
  readonly #accounts = new Map<string, Account>();
  /** By wire path. */
  readonly #partials = new Map<string, Partial>();

  constructor(limits: StagingLimits) {
    this.#limits = limits;
  }

  /** Files and bytes that a token has in staging. */
  of(token: string): Readonly<Account> {
    return this.#accounts.get(token) ?? { files: 0, bytes: 0 };
  }

  /** Throws TransferError (`limit`) when the token may not open one more partial, this one. */
  check(token: string, path: string): void {
    if (this.#partials.get(path)?.token === token) return;
    const { stagingFilesPerToken } = this.#limits;
    if (this.of(token).files < stagingFilesPerToken) return;
    throw new TransferError(
      'limit',
      `This token has too many unfinished files: the limit is ${stagingFilesPerToken} (stagingFilesPerToken).`,
    );
  }

  /**
   * The partial for `path` is the token's, and holds `bytes`. Throws TransferError (`limit`) when the
   * `lackingBytes` to come would be too many: nothing is reserved for them.
   */
  open(token: string, path: string, bytes: number, lackingBytes: number): void {
    this.remove(path);
    const account = this.#accounts.get(token) ?? { files: 0, bytes: 0 };
    account.files += 1;
    account.bytes += bytes;
    this.#accounts.set(token, account);
    this.#partials.set(path, { token, bytes });
    this.#refuseBeyond(account.bytes + lackingBytes);
  }

  /** So many bytes come to the partial. Throws TransferError (`limit`). */
  add(path: string, bytes: number): void {
    const partial = this.#partials.get(path);
    if (partial === undefined) return;
    const account = this.#accounts.get(partial.token) as Account;
    if (bytes > 0) this.#refuseBeyond(account.bytes + bytes);
    account.bytes += bytes;
    partial.bytes += bytes;
  }

  /** The partial is no more: it got its name, or was deleted. */
  remove(path: string): void {
    const partial = this.#partials.get(path);
    if (partial === undefined) return;
    this.#partials.delete(path);
    const account = this.#accounts.get(partial.token) as Account;
    account.files -= 1;
    account.bytes -= partial.bytes;
    if (account.files === 0) this.#accounts.delete(partial.token);
  }

  #refuseBeyond(bytes: number): void {
    const { stagingBytesPerToken } = this.#limits;
    if (bytes <= stagingBytesPerToken) return;
    throw new TransferError(
      'limit',
      `This token has too much content in unfinished files: the limit is ${stagingBytesPerToken} bytes (stagingBytesPerToken).`,
    );
  }
}
