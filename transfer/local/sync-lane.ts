/** Waits for the disk without stopping the thread that has other things to do meanwhile. */
import { closeSync, fsync, fsyncSync } from 'node:fs';
import { promisify } from 'node:util';

const syncInPool = promisify(fsync);

/** A disk, or memory, that takes less is not worth the wake of another thread. */
const promptMs = 1;

/**
 * Syncs what it is given, one after another: a disk that hangs may hold one thread of Node's pool,
 * which all that the process reads and writes must pass.
 */
export class SyncLane {
  #before: Promise<unknown> = Promise.resolve();
  /** As the last sync was. */
  #isPrompt = false;

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
    const last = fds.length - 1;
    try {
      if (last >= 0) await this.#syncFirst(fds[last] as number);
    } catch (error) {
      failures[last] = error as Error;
    }
    for (const [index, fd] of fds.entries()) {
      try {
        if (index < last) fsyncSync(fd);
      } catch (error) {
        failures[index] = error as Error;
      }
      closeSync(fd);
    }
    return failures;
  }

  async #syncFirst(fd: number): Promise<void> {
    const startedAtMs = performance.now();
    if (this.#isPrompt) fsyncSync(fd);
    else await syncInPool(fd);
    this.#isPrompt = performance.now() - startedAtMs < promptMs;
  }
}
