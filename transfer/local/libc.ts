/**
 * What Node lacks of the system's C library, called through koffi: a name below a held folder by the
 * folder's descriptor instead of by a path through /proc, which takes half of the time; times to the
 * nanosecond; room for a file before it is written; a sync of a whole file system.
 *
 * Of what Node can do as well, each call succeeds, or says no more than that it did not: its caller then
 * asks Node the same, and passes on what that says. So both ways have the same results, and where the
 * library cannot be called only Node is asked.
 */
import { createRequire } from 'node:module';
import { arch, platform } from 'node:os';
import { getSystemErrorName } from 'node:util';

/** statx(2), which is laid out alike on every machine. */
const AT_SYMLINK_NOFOLLOW = 0x100;
const AT_EMPTY_PATH = 0x1000;
const [STATX_TYPE, STATX_MODE, STATX_MTIME, STATX_SIZE] = [0x1, 0x2, 0x40, 0x200];
const wanted = STATX_TYPE | STATX_MODE | STATX_MTIME | STATX_SIZE;
const statxBytes = 256;
/** What Node opens, it closes in programs that it starts; so do we. */
const O_CLOEXEC = 0o2_000_000;
/** Files without extents, as those of ext3, have no fallocate(2), nor may a sandbox. */
const cannotReserve: ReadonlySet<string> = new Set(['EOPNOTSUPP', 'ENOSYS', 'EPERM', 'EINTR']);
/** Of sync_file_range(2). */
const SYNC_FILE_RANGE_WRITE = 2;
/** In place of nanoseconds, utimensat(2). */
const UTIME_NOW = (1n << 30n) - 1n;
const nsPerSecond = 1_000_000_000n;

/** What is to be known of a file: a part of Node's `BigIntStats`. */
export interface Status {
  readonly mode: number | bigint;
  readonly size: number | bigint;
  readonly mtimeNs: bigint;
}

/** Descriptors `fd` are those of folders where a name follows. Names must not contain NUL. */
export interface Libc {
  /** What `name` is, links not followed; undefined when that failed. */
  statusAt(fd: number, name: string): Status | undefined;
  /** What is open as `fd`; undefined when that failed. */
  status(fd: number): Status | undefined;
  /**
   * The next names in the folder, a byte a character, without `.` and `..`; none at its end, undefined when
   * that failed. Goes on where the call before stopped.
   */
  namesOf(fd: number): string[] | undefined;
  /** Opens `name`; negative when that failed. */
  openAt(fd: number, name: string, flags: number, mode: number): number;
  /** Gives `name` the name `toName`; whether it has it. */
  renameAt(fd: number, name: string, toFd: number, toName: string): boolean;
  /** Sets the modification time, and that of access to now; whether it did. */
  setModified(fd: number, mtimeNs: bigint): boolean;
  /**
   * Gives a file room on the disk for its first `bytes`; false where that cannot be asked for. Throws errno
   * errors.
   */
  reserve(fd: number, bytes: number): boolean;
  /** Begins to write what was not written yet of a file, and does not wait for it. */
  startWriting(fd: number): void;
  /** Has all that lies on the file system of `fd` written to the disk, in the thread pool; whether it did. */
  syncFileSystem(fd: number): Promise<boolean>;
}

type Done = (error: unknown, result: number) => void;

interface Call {
  (...args: unknown[]): number;
  async(fd: number, done: Done): void;
}

/** What is used of koffi. */
interface Koffi {
  /** That of the call before. */
  errno(): number;
  load(path: null): { func(prototype: string): Call };
}

const require = createRequire(import.meta.url);

/** To load the library takes as long as this many calls save. */
const worthFrom = 256;
let asked = 0;
let managesDescriptors = false;
let loaded: { readonly libc: Libc | undefined } | undefined;

/** This thread closes whatever it opens, and Node need not know of it. */
export function manageDescriptors(): void {
  managesDescriptors = true;
}

/** In threads of other programs Node may keep account of descriptors, and warns of those that it did not open. */
function mayOpen(): boolean {
  return (
    managesDescriptors || (require('node:worker_threads') as { isMainThread: boolean }).isMainThread
  );
}

/** The calls; undefined where there are none, and for the first few: most commands make no more. */
export function libc(): Libc | undefined {
  if (loaded === undefined) {
    asked += 1;
    if (asked > worthFrom) useLibc(mayOpen() ? loadLibc() : undefined);
  }
  return loaded?.libc;
}

/** From now on these calls are made; undefined: Node's own. */
export function useLibc(calls: Libc | undefined): void {
  loaded = { libc: calls };
}

/** The calls of this system; undefined where koffi, or one of them, is missing. */
export function loadLibc(): Libc | undefined {
  // Nodes of 64 bits are all alike in how they pass what follows.
  if (platform() !== 'linux' || (arch() !== 'x64' && arch() !== 'arm64')) return undefined;
  try {
    // The package of this one platform: koffi itself takes 5 ms more to find it.
    const koffi = require(`@koromix/koffi-linux-${arch()}`) as Koffi;
    const library = koffi.load(null);
    return callsOf(koffi, (prototype) => library.func(prototype));
  } catch {
    return undefined;
  }
}

/** linux_dirent64 of getdents64(2). */
const [recordLengthAt, nameAt] = [16, 19];
const namesBytes = 16 * 1024;

function callsOf(koffi: Koffi, func: (prototype: string) => Call): Libc {
  const statx = func('int statx(int, const char *, int, unsigned int, void *)');
  const openat = func('int openat(int, const char *, int, int)');
  const renameat = func('int renameat(int, const char *, int, const char *)');
  const getdents = func('long getdents64(int, void *, size_t)');
  const futimens = func('int futimens(int, const void *)');
  const fallocate = func('int fallocate(int, int, long, long)');
  const syncFileRange = func('int sync_file_range(int, long, long, unsigned int)');
  const syncfs = func('int syncfs(int)');
  const found = new FoundStatus();
  const records = Buffer.allocUnsafeSlow(namesBytes);
  const times = new BigInt64Array([0n, UTIME_NOW, 0n, 0n]);
  return {
    statusAt: (fd, name) =>
      statx(fd, name, AT_SYMLINK_NOFOLLOW, wanted, found.memory) === 0 ? found.take() : undefined,
    status: (fd) =>
      statx(fd, '', AT_EMPTY_PATH, wanted, found.memory) === 0 ? found.take() : undefined,
    namesOf(fd) {
      for (;;) {
        const bytes = getdents(fd, records, namesBytes);
        if (bytes <= 0) return bytes === 0 ? [] : undefined;
        const names = namesAmong(records, bytes);
        if (names.length > 0) return names;
      }
    },
    openAt: (fd, name, flags, mode) => openat(fd, name, flags | O_CLOEXEC, mode),
    renameAt: (fd, name, toFd, toName) => renameat(fd, name, toFd, toName) === 0,
    setModified(fd, mtimeNs) {
      // Before 1970 the seconds are negative, the rest is not.
      const rest = mtimeNs % nsPerSecond;
      const ns = rest < 0n ? rest + nsPerSecond : rest;
      times[2] = (mtimeNs - ns) / nsPerSecond;
      times[3] = ns;
      return futimens(fd, times) === 0;
    },
    reserve(fd, bytes) {
      if (fallocate(fd, 0, 0, bytes) === 0) return true;
      const code = getSystemErrorName(-koffi.errno());
      if (cannotReserve.has(code)) return false;
      const message = `${code}: no room on the disk`;
      throw Object.assign(new Error(message), { code, syscall: 'fallocate' });
    },
    startWriting: (fd) => void syncFileRange(fd, 0, 0, SYNC_FILE_RANGE_WRITE),
    syncFileSystem: (fd) =>
      new Promise((resolve) =>
        syncfs.async(fd, (error, result) => resolve(!error && result === 0)),
      ),
  };
}

/** Where statx puts what it found: `struct statx`, in the machine's byte order. */
class FoundStatus {
  readonly memory = new Uint8Array(statxBytes);
  readonly #u16 = new Uint16Array(this.memory.buffer);
  readonly #u32 = new Uint32Array(this.memory.buffer);
  readonly #i64 = new BigInt64Array(this.memory.buffer);

  /** Undefined where the file system did not say all. */
  take(): Status | undefined {
    const u32 = this.#u32;
    if (((u32[0] as number) & wanted) !== wanted) return undefined;
    return {
      mode: this.#u16[14] as number,
      size: (u32[10] as number) + (u32[11] as number) * 2 ** 32,
      mtimeNs: (this.#i64[14] as bigint) * nsPerSecond + BigInt(u32[30] as number),
    };
  }
}

/** The names in records of folders. */
function namesAmong(records: Buffer, bytes: number): string[] {
  const names: string[] = [];
  for (let start = 0; start < bytes; start += records.readUInt16LE(start + recordLengthAt)) {
    const nameStart = start + nameAt;
    const name = records.toString('latin1', nameStart, records.indexOf(0, nameStart));
    if (name !== '.' && name !== '..') names.push(name);
  }
  return names;
}
