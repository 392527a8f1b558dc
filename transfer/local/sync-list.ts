/** Folders whose changed names must reach the disk before an operation may say that it is done. */
import { fsyncSync } from 'node:fs';
import { about } from './errors.ts';
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

  /** Syncs each folder once. Throws TransferError. */
  flush(): void {
    for (const path of this.#paths) {
      about(path, () => fsyncSync(this.#folder.directory(path).fd));
    }
    this.#paths.clear();
  }
}
