/** Checksums of files that are being downloaded, shared by all who download the same version. */
import { Ledger } from '../protocol/segments.ts';

interface Shared {
  readonly ledger: Ledger;
  users: number;
}

export class SourceLedgers {
  readonly #shared = new Map<string, Shared>();

  /** The ledger of this version of a file, until `release`; one of its own without an identity. */
  share(path: string, identity: Uint8Array): { ledger: Ledger; release: () => void } {
    if (identity.length === 0) return { ledger: new Ledger(), release: () => undefined };
    const key = `${Buffer.from(identity).toString('hex')} ${path}`;
    const shared = this.#shared.get(key) ?? { ledger: new Ledger(), users: 0 };
    shared.users += 1;
    this.#shared.set(key, shared);
    const release = (): void => {
      shared.users -= 1;
      if (shared.users === 0) this.#shared.delete(key);
    };
    return { ledger: shared.ledger, release };
  }
}
