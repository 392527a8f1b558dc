/**
 * A folder that nothing leads out of.
 *
 * Checking a path and then opening it loses to someone who swaps a folder for a link in between. So
 * every folder on the way is opened on its own, below the descriptor of its parent
 * (`/proc/self/fd/<parent>/<name>`, O_NOFOLLOW), and must be on the root's device; system calls then
 * name a file by its held parent and one component. The root itself may be reached by a link.
 *
 * Where /proc/self/fd is missing (macOS) names are joined to the root's path instead: links are
 * refused just the same, but a local user who swaps folders for links at the right moment can win.
 *
 * All calls are synchronous: they are faster than queued ones, and a descriptor is never closed under
 * one that waits.
 */
import {
  type BigIntStats,
  closeSync,
  constants,
  existsSync,
  fstatSync,
  lstatSync,
  mkdirSync,
  openSync,
  renameSync,
  statSync,
} from 'node:fs';
import { TransferError } from '../../protocol/errors.ts';
import { limits } from '../../protocol/limits.ts';
import { componentFault, joinPath, parentAndName, splitPath } from '../../protocol/paths.ts';
import { about, isErrno, storageError, subject } from './errors.ts';
import { libc, type Status } from './libc.ts';

const { O_DIRECTORY, O_NOFOLLOW, O_NONBLOCK, O_RDONLY } = constants;
const descriptorsHaveNames = existsSync('/proc/self/fd');

/** A folder held open. */
export class Directory {
  readonly fd: number;
  /** A path that leads to exactly this folder. */
  readonly base: string;

  constructor(fd: number, path: string) {
    this.fd = fd;
    this.base = descriptorsHaveNames ? `/proc/self/fd/${fd}` : path;
  }

  /** A path for system calls on `name` in this folder. */
  at(name: string): string {
    return `${this.base}/${name}`;
  }

  /** What `name` is here, links not followed; undefined when it is not there. Throws errno errors. */
  lstat(name: string): Status | undefined {
    return (
      libc()?.statusAt(this.fd, name) ??
      lstatSync(this.at(name), { bigint: true, throwIfNoEntry: false })
    );
  }

  /** Opens `name`; throws errno errors. */
  open(name: string, flags: number, mode = 0o666): number {
    const fd = libc()?.openAt(this.fd, name, flags, mode) ?? -1;
    return fd < 0 ? openSync(this.at(name), flags, mode) : fd;
  }

  /** Gives `name` the name `toName` in `to`; throws errno errors. */
  rename(name: string, to: Directory, toName: string): void {
    if (libc()?.renameAt(this.fd, name, to.fd, toName) !== true) {
      renameSync(this.at(name), to.at(toName));
    }
  }

  /** The same for a name as read from the disk, which may not be UTF-8. */
  atBytes(name: Buffer): Buffer {
    return Buffer.concat([Buffer.from(`${this.base}/`), name]);
  }
}

/** How far a folder reaches. */
export interface Reach {
  /**
   * Only for a tree of the user's own that is read: other file systems mounted in it belong to it.
   * Undefined: nothing leads out of the folder.
   */
  readonly source?: { readonly followLinks: boolean } | undefined;
}

/**
 * Opens a folder in `parent`; throws errno errors: ENOTDIR for a link, EXDEV where it is not on
 * `device`. With `follow` it goes wherever the name leads.
 */
export function openDirectoryAt(
  parent: Directory,
  name: string | Buffer,
  device: number | undefined,
  follow = false,
): Directory {
  const flags = O_RDONLY | O_DIRECTORY | (follow ? 0 : O_NOFOLLOW);
  const isText = typeof name === 'string';
  const fd = isText ? parent.open(name, flags) : openSync(parent.atBytes(name), flags);
  closedOnError(fd, () => {
    if (device !== undefined && fstatSync(fd).dev !== device) throw crossing();
  });
  // The path only matters without /proc, where names that are not UTF-8 are not to be had.
  return new Directory(fd, parent.at(name.toString()));
}

/** Runs `step`; what it throws closes the descriptor, which nobody else has yet. */
export function closedOnError<T>(fd: number, step: () => T): T {
  try {
    return step();
  } catch (error) {
    closeSync(fd);
    throw error;
  }
}

function crossing(): Error {
  return Object.assign(new Error('another device is mounted here'), {
    code: 'EXDEV',
    syscall: 'open',
  });
}

interface OpenOptions {
  /** Called with the path of the parent of each folder that is made; without it none is made. */
  readonly made?: ((parentPath: string) => void) | undefined;
  /** What a file in place of a folder means to the caller. */
  readonly blocked?: 'not-found' | 'wrong-kind';
}

type FindOptions = Pick<OpenOptions, 'blocked'>;

/** Where a wire path leads: a name in a folder that is held until the batch ends. */
export interface Place {
  readonly directory: Directory;
  readonly name: string;
  /** Path for system calls. */
  readonly at: string;
  /** Wire path of the folder. */
  readonly parentPath: string;
}

export class Folder {
  readonly root: Directory;
  /** Where every folder must be; undefined: anywhere. */
  readonly device: number | undefined;
  /** For opening files: a pipe or a device must not block whoever looks at it. */
  readonly readFlags: number;
  readonly #followsLinks: boolean;
  /** The folders from the root to the one opened last, so that its neighbours cost nothing. */
  readonly #chain: { readonly name: string; readonly directory: Directory }[] = [];
  /** Wire path of the folder opened last. */
  #chainPath = '';
  /** Wire path of a folder that was looked for in this batch, and is not there: nor is what it would hold. */
  #missing: string | undefined;
  #depth = 0;

  /** Opens the root by its local path; throws errno errors. */
  constructor(rootPath: string, { source }: Reach = {}) {
    this.root = new Directory(openSync(rootPath, O_RDONLY | O_DIRECTORY), rootPath);
    this.device = source === undefined ? fstatSync(this.root.fd).dev : undefined;
    this.#followsLinks = source?.followLinks ?? false;
    this.readFlags = O_RDONLY | O_NONBLOCK | (this.#followsLinks ? 0 : O_NOFOLLOW);
  }

  /**
   * What `name` is in `directory`, the folder opened last; undefined when it is not there. A link that
   * is followed is what it leads to, unless that is nothing, or a folder that it lies in itself.
   */
  look(directory: Directory, name: string): Status | undefined {
    if (!this.#followsLinks) return directory.lstat(name);
    const at = directory.at(name);
    const own = lstatSync(at, { bigint: true, throwIfNoEntry: false });
    if (own?.isSymbolicLink() !== true) return own;
    const target = statOrNothing(at);
    if (target === undefined) return own;
    return target.isDirectory() && this.#holds(target) ? own : target;
  }

  /** Whether the folder opened last is, or lies in, this one. */
  #holds(folder: BigIntStats): boolean {
    return [this.root, ...this.#chain.map(({ directory }) => directory)].some(({ fd }) => {
      const { dev, ino } = fstatSync(fd, { bigint: true });
      return dev === folder.dev && ino === folder.ino;
    });
  }

  /** Runs `run`, which may use folders and places until it returns. */
  batch<T>(run: () => T): T {
    this.#depth += 1;
    try {
      return run();
    } finally {
      this.#depth -= 1;
      if (this.#depth === 0) {
        this.#closeBelow(0);
        this.#missing = undefined;
      }
    }
  }

  #closeBelow(depth: number): void {
    if (this.#chain.length <= depth) return;
    for (const { directory } of this.#chain.splice(depth).reverse()) closeSync(directory.fd);
    this.#chainPath = this.#chain.map(({ name }) => name).join('/');
  }

  /** The folder `path`, valid until the next call or the end of the batch. Throws TransferError. */
  directory(path: string, options: OpenOptions = {}): Directory {
    return this.#open(splitPath(path), options);
  }

  /** Where `path` leads; its folder as for `directory`. The root has no place: `bad-path`. */
  place(path: string, options: OpenOptions = {}): Place {
    const { parent, name } = parentAndName(path);
    if (parent === this.#chainPath && this.#mayHold(path, name)) {
      const directory = this.#last;
      return { directory, name, at: directory.at(name), parentPath: parent };
    }
    const components = splitPath(path);
    if (components.pop() === undefined) {
      throw new TransferError('bad-path', 'The root folder cannot be used here.');
    }
    const directory = this.#open(components, options);
    return { directory, name, at: directory.at(name), parentPath: parent };
  }

  /**
   * `place`, or undefined where a folder on the way is missing. A page of a folder that is not there
   * costs one look for all.
   */
  find(path: string, options: FindOptions = {}): Place | undefined {
    const { parent } = parentAndName(path);
    if (parent !== this.#chainPath) {
      splitPath(path);
      if (!this.#hasFolder(parent, options)) return undefined;
    }
    try {
      return this.place(path, options);
    } catch (error) {
      if (!(error instanceof TransferError) || error.failure !== 'not-found') throw error;
      return undefined; // It has just gone.
    }
  }

  /** Whether something stands at the wire path of a folder. */
  #hasFolder(path: string, options: FindOptions): boolean {
    if (path === '' || path === this.#chainPath) return true;
    if (path === this.#missing) return false;
    const { parent, name } = parentAndName(path);
    if (!this.#hasFolder(parent, options)) return false;
    const directory = this.directory(parent, options);
    if (about(path, () => isThere(directory, name))) return true;
    this.#missing = path;
    return false;
  }

  get #last(): Directory {
    return this.#chain.at(-1)?.directory ?? this.root;
  }

  /** Whether `path` keeps the rules of paths, known that the folder opened last does. */
  #mayHold(path: string, name: string): boolean {
    const isShort = path.length * 3 <= limits.pathBytes && this.#chain.length < limits.pathDepth;
    // Of an absolute path of one component nothing but the slash tells.
    return isShort && !path.startsWith('/') && componentFault(name) === undefined;
  }

  /** An open folder once more, on a descriptor of its own that the caller closes. */
  hold({ base }: Directory): Directory {
    return new Directory(openSync(`${base}/.`, O_RDONLY | O_DIRECTORY), base);
  }

  #open(components: readonly string[], options: OpenOptions): Directory {
    let common = 0;
    while (common < components.length && this.#chain[common]?.name === components[common]) {
      common += 1;
    }
    this.#closeBelow(common);
    let directory = this.#last;
    for (const name of components.slice(common)) {
      directory = this.#step(directory, name, components.slice(0, this.#chain.length), options);
      this.#chain.push({ name, directory });
      this.#chainPath = joinPath(this.#chainPath, name);
    }
    return directory;
  }

  #step(
    parent: Directory,
    name: string,
    above: readonly string[],
    options: OpenOptions,
  ): Directory {
    const path = [...above, name].join('/');
    if (options.made !== undefined && !about(path, () => isThere(parent, name))) {
      about(path, () => makeDirectory(parent.at(name)));
      this.#missing = undefined;
      options.made(above.join('/'));
    }
    try {
      return openDirectoryAt(parent, name, this.device, this.#followsLinks);
    } catch (error) {
      throw blockedError(error, parent.at(name), path, options.blocked ?? 'not-found');
    }
  }

  close(): void {
    this.#closeBelow(0);
    closeSync(this.root.fd);
  }
}

/** What `at` leads to; undefined for a link to nothing, or in a circle. */
function statOrNothing(at: string): BigIntStats | undefined {
  try {
    return statSync(at, { bigint: true });
  } catch (error) {
    if (isErrno(error, 'ENOENT') || isErrno(error, 'ELOOP') || isErrno(error, 'EACCES')) {
      return undefined;
    }
    throw error;
  }
}

/** Whether the name is taken. To fail at opening it takes many times as long, for the error and its stack. */
function isThere(directory: Directory, name: string): boolean {
  return directory.lstat(name) !== undefined;
}

/** Makes a folder where none may have appeared in the meantime. */
function makeDirectory(at: string): void {
  try {
    mkdirSync(at);
  } catch (error) {
    if (!isErrno(error, 'EEXIST')) throw error;
  }
}

/** O_DIRECTORY reports a link and a file alike as ENOTDIR: look which of them it is. */
function blockedError(
  cause: unknown,
  at: string,
  path: string,
  blocked: 'not-found' | 'wrong-kind',
): TransferError {
  if (!isErrno(cause, 'ENOTDIR')) return storageError(cause, path);
  if (lstatSync(at, { throwIfNoEntry: false })?.isSymbolicLink() === true) {
    const text = 'is a symbolic link, and links are not followed';
    return new TransferError('permission', `${subject(path)} ${text}.`, { cause });
  }
  return new TransferError(blocked, `${subject(path)} is not a folder.`, { cause });
}
