/** A regular file as a `ChunkSource`: one version of it, read by descriptor. */
import { type BigIntStats, fstat } from 'node:fs';
import { promisify } from 'node:util';
import { Writer } from '../../protocol/bytes.ts';
import { modeMask } from '../../protocol/entry.ts';
import type { ChunkSource } from '../storage.ts';
import { modifiedNs } from './entries.ts';
import { storageError } from './errors.ts';
import { closeFile, type FileIo } from './file-io.ts';

const statFile = promisify(fstat);
/** Time stamps move in steps: a file that changed just now could change again under the same one. */
const trustedAgeNs = 2_000_000_000n;

/** What `openFile` found out about an open file. */
export interface OpenedFile {
  readonly fd: number;
  readonly size: number;
  readonly mtimeNs: bigint;
  readonly ctimeNs: bigint;
  readonly mode: number;
  readonly links: number;
  readonly identity: Uint8Array;
}

/** Describes the open file `fd`; `nowNs` is the time of opening. */
export function openedFile(fd: number, stats: BigIntStats, nowNs: bigint): OpenedFile {
  return {
    fd,
    size: Number(stats.size),
    mtimeNs: modifiedNs(stats),
    ctimeNs: stats.ctimeNs,
    mode: Number(stats.mode) & modeMask,
    links: Number(stats.nlink),
    identity: identityOf(stats, nowNs),
  };
}

/** Device, inode, size and both times (u64 each); empty while a time stamp is too young to tell. */
function identityOf(stats: BigIntStats, nowNs: bigint): Uint8Array {
  const isYoung = (timeNs: bigint): boolean => {
    const ageNs = nowNs - timeNs;
    return ageNs < trustedAgeNs && -ageNs < trustedAgeNs;
  };
  if (isYoung(stats.mtimeNs) || isYoung(stats.ctimeNs)) return new Uint8Array(0);
  return new Writer(40)
    .u64(stats.dev)
    .u64(stats.ino)
    .u64(stats.size)
    .i64(stats.mtimeNs)
    .i64(stats.ctimeNs)
    .done();
}

export class FileSource implements ChunkSource {
  readonly rewindable = true;
  readonly size: number;
  readonly mtimeNs: bigint;
  readonly mode: number;
  readonly identity: Uint8Array;
  readonly #opened: OpenedFile;
  readonly #path: string;
  readonly #io: FileIo;
  #closed = false;

  /** Takes over the descriptor; `path` is for messages. */
  constructor(path: string, opened: OpenedFile, io: FileIo) {
    this.#path = path;
    this.#io = io;
    this.#opened = opened;
    this.size = opened.size;
    this.mtimeNs = opened.mtimeNs;
    this.mode = opened.mode;
    this.identity = opened.identity;
  }

  get readsInThread(): boolean {
    return this.#io.isInThread;
  }

  async read(buffer: Uint8Array, positionBytes: number): Promise<number> {
    try {
      return await this.#io.read(this.#opened.fd, buffer, positionBytes);
    } catch (error) {
      throw storageError(error, this.#path);
    }
  }

  async readv(buffers: readonly Uint8Array[], positionBytes: number): Promise<number> {
    try {
      return await this.#io.readv(this.#opened.fd, buffers, positionBytes);
    } catch (error) {
      throw storageError(error, this.#path);
    }
  }

  release(): void {
    // A file can be read again at any time: there is nothing to let go of.
  }

  async unchanged(): Promise<boolean> {
    const { fd, size, mtimeNs, ctimeNs, links } = this.#opened;
    const now = await statFile(fd, { bigint: true });
    if (Number(now.size) !== size || modifiedNs(now) !== mtimeNs) return false;
    // Removing or replacing the name moves ctime too, but not a byte of what is open here.
    return now.ctimeNs === ctimeNs || Number(now.nlink) !== links;
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    await closeFile(this.#opened.fd);
  }
}
