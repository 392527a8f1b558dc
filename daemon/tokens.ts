/**
 * Which tokens are valid at this moment. The list is a file that `ferryd token` changes. A running
 * daemon watches its folder, and looks by itself now and then, and for each connection that comes in,
 * where watching doesn't work (network file systems).
 */
import { type FSWatcher, watch } from 'node:fs';
import { stat } from 'node:fs/promises';
import path from 'node:path';
import { setImmediate as turn } from 'node:timers/promises';
import { FerryError } from '../protocol/errors.ts';
import type { Grant } from './grant.ts';
import type { Logger } from './log.ts';
import type { StoredGrant } from './stored-grants.ts';
import { loadGrants, readGrants, tokensName } from './token-file.ts';

const pollMs = 5_000;
/** Nobody waits longer for a disk to say whether the file is another one. */
const patienceMs = 250;
/** Longer timers overflow, and fire at once. */
const longestTimerMs = 2 ** 31 - 1;

const keyOf = (id: Uint8Array): string => Buffer.from(id).toString('hex');

export interface TokensOptions {
  readonly pollMs?: number;
  /** Whether to use the system's notices. */
  readonly watching?: boolean;
}

export class Tokens {
  /** The valid tokens are others now: one was added, changed, revoked, or has expired. */
  onChange: () => void = () => undefined;
  readonly #stateFolder: string;
  readonly #log: Logger;
  readonly #poll: NodeJS.Timeout;
  readonly #watcher: FSWatcher | undefined;
  #stored: readonly StoredGrant[] = [];
  #configured: readonly StoredGrant[] = [];
  #byId = new Map<string, StoredGrant>();
  #expiry: NodeJS.Timeout | undefined;
  /** What the file looked like when it was last read. */
  #seen = '';
  #loading: Promise<void> = Promise.resolve();
  #waiting = false;
  /** Looks that are waiting or under way. */
  #looks = 0;
  #isWatching = false;

  private constructor(stateFolder: string, log: Logger, options: TokensOptions) {
    this.#stateFolder = stateFolder;
    this.#log = log;
    this.#poll = setInterval(() => void this.#look(), options.pollMs ?? pollMs).unref();
    this.#watcher = options.watching === false ? undefined : this.#watch();
  }

  /** Reads the list of the state folder, or makes it with a first token. Throws FerryError. */
  static async open(
    stateFolder: string,
    log: Logger,
    options: TokensOptions = {},
  ): Promise<Tokens> {
    const grants = await loadGrants(stateFolder);
    const tokens = new Tokens(stateFolder, log, options);
    tokens.#set(grants);
    await tokens.#look(); // For what changed before we watched.
    return tokens;
  }

  /** Grants of the configuration, beside those of the file; they win over the same token there. */
  configure(grants: readonly StoredGrant[]): void {
    this.#configured = grants;
    this.#merge();
    this.onChange();
  }

  /** The grant of a token that is valid now. */
  find(id: Uint8Array): Grant | undefined {
    const grant = this.#byId.get(keyOf(id));
    return grant === undefined || hasExpired(grant) ? undefined : grant;
  }

  /**
   * Settles when `find` knows of every change that was made before the call. Notices come a moment
   * later, and who has just been told a token may be sooner: the system has the notice by then, and
   * the loop has it after one more turn. A disk is asked only where there are no notices.
   */
  async current(): Promise<void> {
    if (this.#isWatching) {
      await turn();
      await turn();
      if (this.#looks === 0) return;
    }
    await patiently(this.#isWatching ? this.#loading : this.#look());
  }

  /** Ids of all tokens that are known, in hexadecimal. */
  get ids(): string[] {
    return [...this.#byId.keys()];
  }

  /** Settles when no look is under way any more. */
  async close(): Promise<void> {
    clearInterval(this.#poll);
    clearTimeout(this.#expiry);
    this.#watcher?.close();
    this.onChange = () => undefined;
    await patiently(this.#loading);
    clearTimeout(this.#expiry);
  }

  #watch(): FSWatcher | undefined {
    try {
      const watcher = watch(this.#stateFolder, { persistent: false }, (_, name) => {
        if (name === null || name === tokensName) void this.#look();
      });
      watcher.on('error', () => {
        this.#isWatching = false;
        watcher.close();
      });
      this.#isWatching = true;
      return watcher;
    } catch {
      return undefined; // No watches left, or none here: looking now and then remains.
    }
  }

  /** Reads the file again if it is another one; a look that waits covers all that happen by then. */
  #look(): Promise<void> {
    if (!this.#waiting) {
      this.#waiting = true;
      this.#looks += 1;
      this.#loading = this.#loading.then(async () => {
        this.#waiting = false;
        await this.#reload();
        this.#looks -= 1;
      });
    }
    return this.#loading;
  }

  async #reload(): Promise<void> {
    const seen = await this.#appearance();
    if (seen === this.#seen) return;
    this.#seen = seen;
    try {
      const grants = await readGrants(this.#stateFolder);
      if (grants === undefined) throw new FerryError('usage', `${tokensName} is gone.`);
      this.#set(grants);
      this.onChange();
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error);
      this.#log.error({ event: 'tokens', reason }, 'the tokens known so far stay valid');
    }
  }

  /** Is another one whenever the file is. */
  async #appearance(): Promise<string> {
    try {
      const file = path.join(this.#stateFolder, tokensName);
      const { ino, size, mtimeNs, ctimeNs } = await stat(file, { bigint: true });
      return [ino, size, mtimeNs, ctimeNs].join();
    } catch (error) {
      return String(error);
    }
  }

  #set(grants: readonly StoredGrant[]): void {
    this.#stored = grants;
    this.#merge();
  }

  #merge(): void {
    const all = [...this.#stored, ...this.#configured];
    this.#byId = new Map(all.map((grant) => [keyOf(grant.id), grant]));
    this.#awaitExpiry();
  }

  /** Tells of the next token that expires, in its moment. */
  #awaitExpiry(): void {
    clearTimeout(this.#expiry);
    const now = Date.now();
    const next = Math.min(
      ...[...this.#byId.values()].map(({ expiresAtMs = Infinity }) =>
        expiresAtMs > now ? expiresAtMs : Infinity,
      ),
    );
    if (next === Infinity) return;
    const wait = Math.min(next - now, longestTimerMs);
    this.#expiry = setTimeout(() => {
      this.#awaitExpiry();
      if (Date.now() >= next) this.onChange();
    }, wait).unref();
  }
}

/** Waits for the disk, but not for ever. */
async function patiently(looking: Promise<void>): Promise<void> {
  await new Promise<void>((resolve) => {
    const patience = setTimeout(resolve, patienceMs).unref();
    void looking.finally(() => {
      clearTimeout(patience);
      resolve();
    });
  });
}

function hasExpired({ expiresAtMs }: Grant): boolean {
  return expiresAtMs !== undefined && Date.now() >= expiresAtMs;
}
