/** Waits for the disk without stopping the thread that has other things to do meanwhile. */
import { closeSync, fchmodSync, fstatSync, fsync, fsyncSync } from 'node:fs';
import { release } from 'node:os';
import { promisify } from 'node:util';
import { dirtyBytes, ext4, fileSystemOf, isInMemory } from './file-systems.ts';
import type { Directory } from './folder.ts';
import { libc } from './libc.ts';

const syncInPool = promisify(fsync);

/** Of so many files on, one sync of their whole file system takes less than one of each. */
const wholeFrom = 32;
/** While more than that waits to be written, by whomever, a sync of the whole might take long. */
const dirtyBytesMost = 256 * 1024 * 1024;
/** Since Linux 5.8 syncfs(2) tells of content that could not be written. */
const syncfsTells = /^(5\.([89]|\d\d)|[6-9]|\d\d)(\D|$)/.test(release());

type Failures = (Error | undefined)[];

/**
 * Syncs what it is given, one batch after another: a disk that hangs may hold one thread of Node's pool,
 * which all that the process reads and writes must pass.
 */
export class SyncLane {
  readonly #root: Directory;
  readonly #ownFolder: () => Directory;
  readonly #type: number;
  /** In memory there is nothing to wait for. */
  readonly #isAtOnce: boolean;
  /** Whether a sync of the whole file system may stand for one of each file: known of ext4. */
  #mayBeWhole: boolean;
  #before: Promise<unknown> = Promise.resolve();

  /**
   * For what lies on the file system of `root`, which must be open before that is; `ownFolder` gives a
   * folder there whose mode is ours to set.
   */
  constructor(root: Directory, ownFolder: () => Directory, type: number = fileSystemOf(root)) {
    this.#root = root;
    this.#ownFolder = ownFolder;
    this.#type = type;
    this.#isAtOnce = isInMemory(type);
    this.#mayBeWhole = type === ext4 && syncfsTells;
  }

  /**
   * Gives a new file its place on the disk, before it is written; whether that was done. Throws errno errors.
   *
   * ext4 looks for one only when it writes, and if that is not within a sync of this very file, nobody learns
   * that there was none: a sync that comes later finds nothing left to write, and succeeds.
   */
  reserve(fd: number, bytes: number): boolean {
    if (this.#type !== ext4) return false;
    return bytes === 0 || (libc()?.reserve(fd, bytes) ?? false);
  }

  /**
   * Syncs contents, and closes their descriptors; gives what went wrong with each, undefined where nothing
   * did. `areReserved`: all of them have their place. Their names must be given afterwards: a file system
   * that gave up meanwhile refuses them.
   */
  syncContents(fds: readonly number[], areReserved: boolean): Promise<Failures> {
    return this.#inTurn(async () => {
      const whole = areReserved ? await this.#syncWhole(fds) : undefined;
      if (whole === undefined) return await this.#syncEach(fds, areReserved);
      return fds.map((fd) => {
        const failure = closeFailure(fd);
        return whole.failure ?? failure;
      });
    });
  }

  /** Syncs folders, and closes their descriptors; what went wrong as for contents. */
  syncNames(fds: readonly number[]): Promise<Failures> {
    return this.#inTurn(async () => {
      const failures = await this.#syncEach(fds);
      const failure = fds.length > 0 && this.#type === ext4 ? this.#refusal() : undefined;
      return failures.map((own) => own ?? failure);
    });
  }

  #inTurn<T>(run: () => Promise<T>): Promise<T> {
    const running = this.#before.then(run);
    this.#before = running;
    return running;
  }

  /**
   * Syncs the whole file system in place of files that have their place; undefined where each is to be asked.
   *
   * The root, open since before they were written, is told of content that could not be written since, once,
   * and not of which file: from then on each is asked.
   */
  async #syncWhole(fds: readonly number[]): Promise<{ failure: Error | undefined } | undefined> {
    const last = fds.at(-1);
    const mayBe = this.#mayBeWhole && fds.length >= wholeFrom && dirtyBytes() <= dirtyBytesMost;
    if (last === undefined || !mayBe) return undefined;
    this.#mayBeWhole = (await libc()?.syncFileSystem(this.#root.fd)) === true;
    if (!this.#mayBeWhole) return undefined;
    try {
      await syncInPool(last);
      return { failure: undefined };
    } catch (error) {
      // It is told once, and may concern them all.
      this.#mayBeWhole = false;
      return { failure: error as Error };
    }
  }

  /**
   * The one that was changed last comes first: it takes the time of all, since a file system with a
   * journal then has what came before it on the disk, too. The others are asked here, and know soon.
   */
  async #syncEach(fds: readonly number[], areReserved = false): Promise<Failures> {
    const failures: Failures = fds.map(() => undefined);
    // Each that is written in its own sync has a commit of ext4's journal to itself: so the first one commits all.
    if (areReserved) for (const fd of fds) libc()?.startWriting(fd);
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

  /**
   * How ext4 refuses a change, if it does. That a commit of its journal failed is told to who waits for it; if
   * somebody else did, a sync finds nothing left to do. But no change is accepted any more, and then no sync.
   */
  #refusal(): Error | undefined {
    try {
      const { fd } = this.#ownFolder();
      fchmodSync(fd, fstatSync(fd).mode & 0o7777);
      fsyncSync(this.#root.fd);
      return undefined;
    } catch (error) {
      return error as Error;
    }
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
