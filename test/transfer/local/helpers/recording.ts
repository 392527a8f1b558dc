/**
 * Records what the storage does to a folder: every change of content and of names, and every sync, in
 * the order in which they took effect.
 *
 * It stands in front of `node:fs` itself and of the C library, so the storage runs as it is. It must be loaded before
 * anything of the storage, and records the calls of one thread: storages with the `inline` executor.
 * Locks are sockets, made by `node:fs/promises`, and mean nothing after a crash: they are left out.
 */
import fs, { type BigIntStats } from 'node:fs';
import { syncBuiltinESMExports } from 'node:module';
import { type Libc, loadLibc, useLibc } from '../../../../transfer/local/libc.ts';

/** A file or folder, by the order of its appearance; the root is 0. */
export type Inode = number;

export type Change =
  /** A name for `inode`; a new one unless it had one before (a link). */
  | {
      readonly type: 'name';
      readonly folder: Inode;
      readonly name: string;
      readonly inode: Inode;
      readonly isFolder: boolean;
    }
  | { readonly type: 'unname'; readonly folder: Inode; readonly name: string }
  | {
      readonly type: 'rename';
      readonly folder: Inode;
      readonly name: string;
      readonly toFolder: Inode;
      readonly toName: string;
      readonly inode: Inode;
    }
  | {
      readonly type: 'write';
      readonly inode: Inode;
      readonly position: number;
      readonly bytes: Buffer;
    }
  | { readonly type: 'truncate'; readonly inode: Inode; readonly size: number };

export type Step =
  | Change
  /** What was done to `inode` in the first `upTo` steps is on the disk. */
  | { readonly type: 'sync'; readonly inode: Inode; readonly upTo: number }
  /** Somebody was told that it is done. */
  | { readonly type: 'told'; readonly what: string };

/** What a recording began with. */
export interface Beginning {
  readonly folders: ReadonlyMap<Inode, ReadonlyMap<string, Inode>>;
  readonly contents: ReadonlyMap<Inode, Buffer>;
}

type Call = (...args: unknown[]) => unknown;
const calls = fs as unknown as Record<string, Call>;
let current: Recording | undefined;

interface Slot {
  readonly folder: Inode;
  readonly name: string;
}

export class Recording {
  readonly steps: Step[] = [];
  readonly beginning: Beginning;
  readonly #root: string;
  readonly #inodes = new Map<bigint, Inode>();
  readonly #byDescriptor = new Map<number, Inode>();
  readonly #positions = new Map<number, number>();
  #count = 0;

  private constructor(root: string) {
    this.#root = root;
    const folders = new Map<Inode, Map<string, Inode>>();
    const contents = new Map<Inode, Buffer>();
    const visit = (path: string): Inode => {
      const stats = fs.lstatSync(path, { bigint: true });
      const inode = this.#added(stats);
      if (!stats.isDirectory()) contents.set(inode, fs.readFileSync(path));
      else {
        const names = new Map<string, Inode>();
        folders.set(inode, names);
        for (const name of fs.readdirSync(path)) names.set(name, visit(`${path}/${name}`));
      }
      return inode;
    };
    visit(root);
    this.beginning = { folders, contents };
  }

  /** Begins to record what happens in the folder `root`, before a storage is opened on it. */
  static begin(root: string): Recording {
    current = new Recording(root);
    return current;
  }

  end(): void {
    current = undefined;
  }

  told(what: string): void {
    this.steps.push({ type: 'told', what });
  }

  #added({ ino }: BigIntStats): Inode {
    const inode = this.#count;
    this.#count += 1;
    this.#inodes.set(ino, inode);
    return inode;
  }

  #known({ ino }: BigIntStats): Inode | undefined {
    return this.#inodes.get(ino);
  }

  /** What a path of the storage leads to: a name in a held folder. */
  slot(path: unknown): Slot | undefined {
    const [, descriptor, name] = /^\/proc\/self\/fd\/(\d+)\/([^/]+)$/.exec(String(path)) ?? [];
    const folder = this.#byDescriptor.get(Number(descriptor));
    return folder === undefined || name === undefined ? undefined : { folder, name };
  }

  opened(path: unknown, descriptor: number, isNew: boolean): void {
    const stats = fs.fstatSync(descriptor, { bigint: true });
    const slot = this.slot(path);
    this.#byDescriptor.delete(descriptor);
    if (String(path) !== this.#root && slot === undefined) return;
    const inode = isNew ? this.#added(stats) : this.#known(stats);
    if (inode === undefined) throw new Error(`Something unknown was opened at ${String(path)}.`);
    this.#byDescriptor.set(descriptor, inode);
    this.#positions.set(descriptor, 0);
    if (isNew && slot !== undefined)
      this.steps.push({ type: 'name', ...slot, inode, isFolder: false });
  }

  /** `path` got its name: a new folder, or one more name of a file. */
  named(path: unknown): void {
    const slot = this.slot(path);
    if (slot === undefined) return;
    const stats = fs.lstatSync(String(path), { bigint: true });
    // Numbers of inodes come back; a folder is always new.
    const isFolder = stats.isDirectory();
    const inode = isFolder ? this.#added(stats) : this.#known(stats);
    if (inode !== undefined) this.steps.push({ type: 'name', ...slot, inode, isFolder });
  }

  unnamed(path: unknown): void {
    const slot = this.slot(path);
    if (slot !== undefined) this.steps.push({ type: 'unname', ...slot });
  }

  renamed(from: unknown, to: unknown): void {
    const [source, target] = [this.slot(from), this.slot(to)];
    if (source === undefined || target === undefined) return;
    const inode = this.#known(fs.lstatSync(String(to), { bigint: true }));
    if (inode === undefined) throw new Error(`Something unknown was renamed to ${String(to)}.`);
    const { folder: toFolder, name: toName } = target;
    this.steps.push({ type: 'rename', ...source, toFolder, toName, inode });
  }

  wrote(descriptor: number, bytes: Buffer, at: number | undefined): void {
    const inode = this.#byDescriptor.get(descriptor);
    if (inode === undefined) return;
    const position = at ?? this.#positions.get(descriptor) ?? 0;
    this.#positions.set(descriptor, position + bytes.length);
    this.steps.push({ type: 'write', inode, position, bytes });
  }

  truncated(descriptor: number, size: number): void {
    const inode = this.#byDescriptor.get(descriptor);
    if (inode !== undefined) this.steps.push({ type: 'truncate', inode, size });
  }

  synced(descriptor: number, upTo: number): void {
    const inode = this.#byDescriptor.get(descriptor);
    if (inode !== undefined) this.steps.push({ type: 'sync', inode, upTo });
  }

  syncedAll(upTo: number): void {
    for (const inode of this.#inodes.values()) this.steps.push({ type: 'sync', inode, upTo });
  }
}

/** Puts `around` in the place of `fs[name]`; what hangs on the function, as promisify's marks, stays. */
function wrap(name: string, around: (original: Call, args: unknown[]) => unknown): void {
  const original = calls[name] as Call;
  const wrapped: Call = (...args) =>
    current === undefined ? original.apply(fs, args) : around(original, args);
  Object.defineProperties(wrapped, Object.getOwnPropertyDescriptors(original));
  calls[name] = wrapped;
}

/** A call whose last argument is called back; `after` sees what it gives before anybody else does. */
function wrapAsync(name: string, after: (args: unknown[], result: unknown, upTo: number) => void) {
  wrap(name, (original, args) => {
    const recording = current;
    const upTo = recording?.steps.length ?? 0;
    const done = args.pop() as Call;
    return original.call(fs, ...args, (error: unknown, ...results: unknown[]) => {
      if (error === null && recording === current) after(args, results[0], upTo);
      done(error, ...results);
    });
  });
}

function wrapSync(name: string, after: (args: unknown[], result: unknown) => void): void {
  wrap(name, (original, args) => {
    const result = original.apply(fs, args);
    after(args, result);
    return result;
  });
}

function opening(path: string, flags: number, open: () => number): number {
  const mayCreate = (flags & fs.constants.O_CREAT) !== 0;
  const isNew = mayCreate && fs.lstatSync(path, { throwIfNoEntry: false }) === undefined;
  const descriptor = open();
  if (descriptor >= 0) current?.opened(path, descriptor, isNew);
  return descriptor;
}
wrap('openSync', (original, args) => {
  const [path, flags] = args as [string, number];
  return opening(path, flags, () => original.apply(fs, args) as number);
});
wrapSync('mkdirSync', ([path]) => current?.named(path));
wrapSync('linkSync', ([, path]) => current?.named(path));
wrapSync('unlinkSync', ([path]) => current?.unnamed(path));
wrapSync('rmdirSync', ([path]) => current?.unnamed(path));
wrapSync('renameSync', ([from, to]) => current?.renamed(from, to));
wrapSync('writeSync', ([descriptor, bytes, offset = 0, , position], written) => {
  const start = offset as number;
  const part = (bytes as Uint8Array).slice(start, start + (written as number));
  current?.wrote(descriptor as number, Buffer.from(part), (position ?? undefined) as undefined);
});
wrapSync('ftruncateSync', ([fd, size = 0]) => current?.truncated(fd as number, size as number));
for (const name of ['fsyncSync', 'fdatasyncSync']) {
  wrapSync(name, ([fd]) => current?.synced(fd as number, current.steps.length));
}
const wroteAll = ([fd, slices, position]: unknown[], written: unknown): void => {
  const bytes = Buffer.concat(slices as Uint8Array[]).subarray(0, written as number);
  current?.wrote(fd as number, bytes, position as number);
};
wrapSync('writevSync', wroteAll);
wrapAsync('writev', wroteAll);
wrapAsync('ftruncate', ([fd, size]) => current?.truncated(fd as number, size as number));
for (const name of ['fsync', 'fdatasync']) {
  wrapAsync(name, ([fd], _, upTo) => current?.synced(fd as number, upTo));
}
// What the storage does not use by now: should it begin to, the recording must learn it first.
const unknownCalls =
  'write writeFile writeFileSync appendFile appendFileSync open rename link unlink mkdir ' +
  'rmdir rm rmSync copyFile copyFileSync cpSync truncate truncateSync symlink symlinkSync mkdtempSync';
for (const name of unknownCalls.split(' ')) {
  wrap(name, () => {
    throw new Error(`The recording does not know fs.${name}.`);
  });
}
syncBuiltinESMExports();

/** The calls of the C library, recorded, too. */
function recorded(libc: Libc): Libc {
  const pathOf = (fd: number, name: string): string => `/proc/self/fd/${fd}/${name}`;
  return {
    ...libc,
    openAt: (fd, name, flags, mode) =>
      opening(pathOf(fd, name), flags, () => libc.openAt(fd, name, flags, mode)),
    renameAt(fd, name, toFd, toName) {
      const isRenamed = libc.renameAt(fd, name, toFd, toName);
      if (isRenamed) current?.renamed(pathOf(fd, name), pathOf(toFd, toName));
      return isRenamed;
    },
    async syncFileSystem(fd) {
      const recording = current;
      const upTo = recording?.steps.length ?? 0;
      const isSynced = await libc.syncFileSystem(fd);
      if (isSynced && recording === current) recording?.syncedAll(upTo);
      return isSynced;
    },
  };
}
const loaded = loadLibc();
useLibc(loaded && recorded(loaded));
