/** Folders whose changed names must reach the disk before an operation may say that it is done. */
import { closeSync, fsyncSync } from 'node:fs';
import { TransferError } from '../../protocol/errors.ts';
import { subject } from './errors.ts';
import { closedOnError, type Folder } from './folder.ts';
import { isScarce } from './open-files.ts';
import type { SyncLane } from './sync-lane.ts';

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
    for (const path of this.#taken()) {
      try {
        fsyncSync(this.#folder.directory(path).fd);
      } catch (cause) {
        throw notDurable(path, cause);
      }
    }
  }

  /**
   * The same in a lane: the folders are taken hold of at once, and their batch may end. Of many where few files
   * may be open, those that would take up too many are synced here.
   */
  async flushIn(lane: SyncLane): Promise<void> {
    const paths = this.#taken();
    const failures = await lane.syncNames(this.#hold(paths));
    for (const [index, path] of paths.entries()) {
      if (failures[index] !== undefined) throw notDurable(path, failures[index]);
    }
  }

  #taken(): string[] {
    const paths = [...this.#paths];
    this.#paths.clear();
    return paths;
  }

  #hold(paths: readonly string[]): number[] {
    const fds: number[] = [];
    for (const path of paths) {
      try {
        const { fd } = this.#folder.hold(this.#folder.directory(path));
        // The first one stays: with it the lane asks whether the file system still accepts changes.
        if (fds.length > 0 && isScarce(fd)) syncAndClose(fd);
        else fds.push(fd);
      } catch (cause) {
        for (const fd of fds) closeSync(fd);
        throw notDurable(path, cause);
      }
    }
    return fds;
  }
}

function syncAndClose(fd: number): void {
  closedOnError(fd, () => fsyncSync(fd));
  closeSync(fd);
}

function notDurable(path: string, cause: unknown): TransferError {
  const message = `${subject(path)} was changed, but the disk did not confirm it: a power failure may undo it.`;
  return new TransferError('not-durable', message, { cause });
}
