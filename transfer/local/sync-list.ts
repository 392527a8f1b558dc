/** Folders whose changed names must reach the disk before an operation may say that it is done. */
import { fsyncSync } from 'node:fs';
import { TransferError } from '../../protocol/errors.ts';
import { subject } from './errors.ts';
import type { Folder } from './folder.ts';

export class SyncList {
  readonly #folder: Folder;
  readonly #durable: boolean;
  readonly #paths = new Set<string>();

  /** Without `durable` it does nothing. */
  constructor(folder: Folder, durable: boolean) {
    this.#folder = folder;
    this.#durable = durable;
  }

  /** The folder `path` got, lost or renamed something. */
  readonly add = (path: string): void => {
    if (this.#durable) this.#paths.add(path);
  };

  /** Syncs each folder once. Throws TransferError (`not-durable`): what changed in them has happened. */
  flush(): void {
    for (const path of this.#paths) {
      try {
        fsyncSync(this.#folder.directory(path).fd);
      } catch (cause) {
        const message = `${subject(path)} was changed, but the disk did not confirm it: a power failure may undo it.`;
        throw new TransferError('not-durable', message, { cause });
      }
    }
    this.#paths.clear();
  }
}
