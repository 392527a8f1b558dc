/**
 * The hidden folder in the root where files wait for their name: partials with their journals, and
 * small files of a batch under way. It is made when first needed.
 */
import { createHash, randomBytes } from 'node:crypto';
import {
  chmodSync,
  closeSync,
  constants,
  fchmodSync,
  fstatSync,
  fsyncSync,
  lstatSync,
  mkdirSync,
  openSync,
  readdirSync,
  rmdirSync,
  type Stats,
  unlinkSync,
} from 'node:fs';
import { TransferError } from '../../protocol/errors.ts';
import { stagingName } from '../../protocol/paths.ts';
import { setModified } from './entries.ts';
import { isErrno } from './errors.ts';
import { closedOnError, type Directory, type Folder, openDirectoryAt } from './folder.ts';

const { O_CREAT, O_EXCL, O_NOFOLLOW, O_NONBLOCK, O_RDWR } = constants;
const ownerOnly = 0o700;
const ownFile = 0o600;
const hourMs = 3_600_000;
/** Other processes may tidy the folder away while it is made, but not each time. */
export const makeTries = 20;
/** A batch of small files takes seconds: one of this age was left by a process that died. */
const abandonedAgeMs = 24 * hourMs;

const suffixes = { data: '.data', journal: '.journal', lock: '.lock', small: '.tmp' } as const;

/** The name in staging of everything that belongs to the partial of the wire path `path`. */
export function partialKey(path: string): string {
  return createHash('sha256').update(path).digest('hex').slice(0, 32);
}

export const dataName = (key: string): string => key + suffixes.data;
export const journalName = (key: string): string => key + suffixes.journal;
/** Locks the whole folder. */
export const folderLockName = 'lock';
export const lockName = (key: string): string => key + suffixes.lock;

export class Staging {
  readonly #folder: Folder;
  /** Random, so that small files of several processes never meet. */
  readonly #prefix = randomBytes(8).toString('hex');
  #count = 0;
  #directory: Directory | undefined;

  constructor(folder: Folder) {
    this.#folder = folder;
  }

  /** The folder, made when missing. Throws errno errors, or TransferError when it is not ours. */
  directory(): Directory {
    if (this.#directory !== undefined) {
      // Another process may have tidied it away.
      if (fstatSync(this.#directory.fd).nlink > 0) return this.#directory;
      this.release();
    }
    this.#directory = this.#make();
    return this.#directory;
  }

  #make(): Directory {
    for (let tries = 1; ; tries += 1) {
      try {
        mkdirSync(this.#folder.root.at(stagingName), ownerOnly);
      } catch (error) {
        if (!isErrno(error, 'EEXIST')) throw error;
      }
      try {
        return this.#openOwn();
      } catch (error) {
        // Another process tidied it away in between.
        if (!isErrno(error, 'ENOENT') || tries >= makeTries) throw error;
      }
    }
  }

  #openOwn(): Directory {
    const directory = this.#openExisting();
    try {
      // Only the owner (or root, whom nothing stops) may do this.
      closedOnError(directory.fd, () => fchmodSync(directory.fd, ownerOnly));
    } catch (error) {
      throw isErrno(error, 'EPERM', 'EACCES') ? notOurs(error) : error;
    }
    return directory;
  }

  #openExisting(): Directory {
    try {
      return openDirectoryAt(this.#folder.root, stagingName, this.#folder.device);
    } catch (error) {
      if (isErrno(error, 'ENOTDIR', 'ELOOP', 'EXDEV', 'EACCES')) throw notOurs(error);
      throw error;
    }
  }

  /** A new name for a small file's content. */
  smallName(): string {
    this.#count += 1;
    return `${this.#prefix}-${this.#count}${suffixes.small}`;
  }

  /**
   * Opens a file of a partial, created when missing. A file that has another name as well, or no file
   * at all, is not written to: it gives way.
   */
  openPart(name: string): number {
    for (let tries = 1; ; tries += 1) {
      const at = this.directory().at(name);
      const fd = openWritable(at);
      if (closedOnError(fd, () => isOnlyName(at, fd))) return fd;
      closeSync(fd);
      if (tries >= makeTries) throw notOurs();
      deleteFile(at);
    }
  }

  /** Opens a new file that has no name any more: nothing of it outlives its descriptor. */
  openNameless(): number {
    const name = this.smallName();
    const at = this.directory().at(name);
    const fd = openSync(at, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW, ownFile);
    // A process that dies here leaves what the next start deletes.
    unlinkSync(at);
    return fd;
  }

  /** A path for system calls on `name`. */
  at(name: string): string {
    return this.directory().at(name);
  }

  /** Deletes `name` if it is there. */
  delete(name: string): void {
    deleteFile(this.directory().at(name));
  }

  /**
   * Deletes partials not touched for `partialAgeMs` with their locks, and small files left by processes that died:
   * all of them with `exclusive`, otherwise those that are a day old.
   */
  expire(partialAgeMs: number, exclusive: boolean): void {
    const directory = this.#existing();
    if (directory === undefined) return;
    const now = Date.now();
    const smallAgeMs = exclusive ? -Infinity : abandonedAgeMs;
    const maxAgeMs = (name: string): number => {
      if (name.endsWith(suffixes.small)) return smallAgeMs;
      return name === folderLockName ? Infinity : partialAgeMs;
    };
    for (const name of readdirSync(directory.base)) {
      const stats = lstatSync(directory.at(name), { throwIfNoEntry: false });
      if (stats === undefined || stats.isDirectory()) continue;
      const isOld = now - lastUsedMs(directory, name, stats) > maxAgeMs(name);
      if (isOld || this.#isLeftJournal(directory, name)) deleteFile(directory.at(name));
    }
  }

  /** A journal whose data has its name already: the process died before it could delete it. */
  #isLeftJournal(directory: Directory, name: string): boolean {
    if (!name.endsWith(suffixes.journal)) return false;
    const data = dataName(name.slice(0, -suffixes.journal.length));
    return lstatSync(directory.at(data), { throwIfNoEntry: false }) === undefined;
  }

  /** Locks of partials that are not there (any more): held by someone, or left by who died. */
  strayLocks(): string[] {
    const directory = this.#directory;
    if (directory === undefined) return [];
    return readdirSync(directory.base).filter((name) => {
      if (!name.endsWith(suffixes.lock)) return false;
      const data = dataName(name.slice(0, -suffixes.lock.length));
      return lstatSync(directory.at(data), { throwIfNoEntry: false }) === undefined;
    });
  }

  #existing(): Directory | undefined {
    const stats = lstatSync(this.#folder.root.at(stagingName), { throwIfNoEntry: false });
    return stats === undefined ? undefined : this.directory();
  }

  /** Makes the names in it durable, and its own. */
  sync(): void {
    fsyncSync(this.directory().fd);
    fsyncSync(this.#folder.root.fd);
  }

  /** Removes the folder if nothing is in it. */
  tidy(): void {
    this.release();
    const { root } = this.#folder;
    try {
      const { mtimeNs } = fstatSync(root.fd, { bigint: true });
      rmdirSync(root.at(stagingName));
      // The root may have got its time just now, as part of a tree: staging leaves no trace of itself.
      setModified(root.fd, mtimeNs);
    } catch (error) {
      // Someone's partials are in it, it is gone, or it is not ours to remove: all as it should be.
      if (!isErrno(error, 'ENOTEMPTY', 'EEXIST', 'ENOENT', 'ENOTDIR', 'EACCES', 'EPERM', 'EROFS')) {
        throw error;
      }
    }
  }

  /** Lets go of the descriptor. */
  release(): void {
    if (this.#directory !== undefined) closeSync(this.#directory.fd);
    this.#directory = undefined;
  }
}

/**
 * When `name` was last written to. A partial is as young as its journal: the data has the time of its
 * source from shortly before the rename on, and a process may die in between.
 */
function lastUsedMs(directory: Directory, name: string, { mtimeMs }: Stats): number {
  if (!name.endsWith(suffixes.data)) return mtimeMs;
  const journal = journalName(name.slice(0, -suffixes.data.length));
  const stats = lstatSync(directory.at(journal), { throwIfNoEntry: false });
  return Math.max(mtimeMs, stats?.mtimeMs ?? 0);
}

function openWritable(at: string): number {
  try {
    return openSync(at, O_RDWR | O_CREAT | O_NOFOLLOW | O_NONBLOCK, ownFile);
  } catch (error) {
    if (!isErrno(error, 'EACCES')) throw error;
    // A commit that was killed before the rename left the mode of the file to be.
    chmodSync(at, ownFile);
    return openSync(at, O_RDWR | O_NOFOLLOW | O_NONBLOCK);
  }
}

/** Whether `at` is a regular file, open as `fd`, that is reached by no other name. */
function isOnlyName(at: string, fd: number): boolean {
  const named = lstatSync(at, { bigint: true, throwIfNoEntry: false });
  const { dev, ino } = fstatSync(fd, { bigint: true });
  // In one look: a name taken away in between would leave the other one as the only one.
  return named?.isFile() === true && named.nlink === 1n && named.ino === ino && named.dev === dev;
}

/** Deletes a file if it is there. */
export function deleteFile(at: string): void {
  try {
    unlinkSync(at);
  } catch (error) {
    if (!isErrno(error, 'ENOENT')) throw error;
  }
}

function notOurs(cause?: unknown): TransferError {
  const message = `The staging folder ${stagingName} is not a folder of this user's own.`;
  return new TransferError('permission', message, { cause });
}
