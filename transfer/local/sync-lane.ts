/** Waits for the disk without stopping the thread that has other things to do meanwhile. */
import { closeSync, fsync, fsyncSync, statfsSync } from 'node:fs';
import { release } from 'node:os';
import { promisify } from 'node:util';
import type { Directory } from './folder.ts';
import { libc } from './libc.ts';

const syncInPool = promisify(fsync);

/** Numbers of file systems in statfs(2). */
export const ext4 = 0xef53;
const inMemory: readonly number[] = [0x0102_1994, 0x8584_58f6]; // tmpfs, ramfs
/** Of so many files on, one sync of their whole file system takes less than one of each. */
const wholeFrom = 32;
/** Longer than that it takes where others write much, too: then each file is synced, for so many batches. */
const slowWholeMs = 250;
const batchesAfterSlow = 32;
/** Since Linux 5.8 syncfs(2) tells what could not be written. */
const syncfsTells = /^(5\.([89]|\d\d)|[6-9]|\d\d)(\D|$)/.test(release());

function fileSystemOf({ base }: Directory): number {
  try {
    return statfsSync(base).type;
  } catch {
    return 0; // Some have no answer.
  }
}

/**
 * Syncs what it is given, one batch after another: a disk that hangs may hold one thread of Node's pool,
 * which all that the process reads and writes must pass.
 */
export class SyncLane {
  readonly #root: Directory;
  readonly #type: number;
  /** In memory there is nothing to wait for. */
  readonly #isAtOnce: boolean;
  /** Whether a sync of the whole file system may stand for one of each file: known of ext4. */
  #mayBeWhole: boolean;
  /** Batches that are synced file by file all the same. */
  #oneByOne = 0;
  #before: Promise<unknown> = Promise.resolve();

  /** For what lies on the file system of `root`, which must be open before that is. */
  constructor(root: Directory, type: number = fileSystemOf(root)) {
    this.#root = root;
    this.#type = type;
    this.#isAtOnce = inMemory.includes(this.#type);
    this.#mayBeWhole = this.#type === ext4 && syncfsTells;
  }

  #syncsWhole(files: number): boolean {
    return files >= wholeFrom && this.#mayBeWhole && this.#oneByOne === 0 && libc() !== undefined;
  }

  /**
   * Whether a batch of so many files is to be truncated, empty as they are, and closed before their sync.
   *
   * ext4 gives a file its place on the disk when it must, each in a commit of its journal if each is synced.
   * One that was truncated gets it when it is closed (mount option `auto_da_alloc`, the default), so that
   * the first sync of a batch commits all of it: 10,000 files took 2.1 s instead of 3.4.
   */
  placesOnClose(files: number): boolean {
    return this.#type === ext4 && !this.#syncsWhole(files);
  }

  /** Syncs descriptors, and closes them; gives what went wrong with each, undefined where nothing did. */
  sync(fds: readonly number[]): Promise<(Error | undefined)[]> {
    const syncing = this.#before.then(async () => {
      if (await this.#syncWhole(fds)) return fds.map(closeFailure);
      return await this.#syncEach(fds);
    });
    this.#before = syncing;
    return syncing;
  }

  /**
   * Syncs the whole file system; whether all of `fds` are on the disk by that.
   *
   * The root, open since before they were written, is told what failed since, once, and not of which file:
   * from then on each file is asked. A file system that gave up has become read-only and claims to be
   * synced: only a file tells of that.
   */
  async #syncWhole(fds: readonly number[]): Promise<boolean> {
    const last = fds.at(-1);
    if (last === undefined || !this.#syncsWhole(fds.length)) {
      this.#oneByOne = Math.max(0, this.#oneByOne - 1);
      return false;
    }
    const startedAtMs = performance.now();
    try {
      this.#mayBeWhole = (await libc()?.syncFileSystem(this.#root.fd)) === true;
      if (this.#mayBeWhole) await syncInPool(last);
    } catch {
      this.#mayBeWhole = false;
    }
    if (performance.now() - startedAtMs > slowWholeMs) this.#oneByOne = batchesAfterSlow;
    return this.#mayBeWhole;
  }

  /**
   * The one that was changed last comes first: it takes the time of all, since a file system with a
   * journal then has what came before it on the disk, too. The others are asked here, and know soon.
   */
  async #syncEach(fds: readonly number[]): Promise<(Error | undefined)[]> {
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
      const failure = closeFailure(fd);
      failures[index] ??= failure;
    }
    return failures;
  }
}

/** Closes a descriptor, and gives what went wrong: a file system across a network may tell only now. */
function closeFailure(fd: number): Error | undefined {
  try {
    closeSync(fd);
    return undefined;
  } catch (error) {
    return error as Error;
  }
}
