/** Positional reads and writes on descriptors that never stop halfway, off the calling thread. */
import { close, fdatasync, ftruncate, readv, writev } from 'node:fs';
import { promisify } from 'node:util';

const readOnce = promisify(readv);
const writeOnce = promisify(writev);

/** Settle when the thread pool has done it; reject with errno errors. */
export const closeFile: (fd: number) => Promise<void> = promisify(close);
export const syncData: (fd: number) => Promise<void> = promisify(fdatasync);
export const truncateFile: (fd: number, bytes: number) => Promise<void> = promisify(ftruncate);

/** A single call to the system, which may do less than it was asked to: gives the bytes done. */
type FileCall = (fd: number, buffers: readonly Uint8Array[], position: number) => Promise<number>;

/** The same when it returns; undefined where that might take long. Throws errno errors. */
export type PromptCall = (
  fd: number,
  buffers: readonly Uint8Array[],
  position: number,
) => number | undefined;

export interface FileCalls {
  readonly readv: FileCall;
  readonly writev: FileCall;
  /** As `writev`, at once and in this thread. */
  readonly writevNow?: PromptCall;
  /** Whether the next call stops this thread until it is done; undefined: none does. */
  readonly isInThread?: () => boolean;
}

/** Reads and writes by such calls; rejects with errno errors. */
export class FileIo {
  readonly #calls: FileCalls;

  constructor(calls: FileCalls) {
    this.#calls = calls;
  }

  get isInThread(): boolean {
    return this.#calls.isInThread?.() === true;
  }

  /** Reads until `buffer` is full or the file ends; gives the number of bytes read. */
  read(fd: number, buffer: Uint8Array, position: number): Promise<number> {
    return this.readv(fd, [buffer], position);
  }

  /** Reads until all buffers are full, one after another, or the file ends; gives the bytes read. */
  async readv(fd: number, buffers: readonly Uint8Array[], position: number): Promise<number> {
    let done = 0;
    for (let rest = buffers; rest.length > 0; ) {
      const bytes = await this.#calls.readv(fd, rest, position + done);
      if (bytes === 0) break;
      done += bytes;
      rest = without(rest, bytes);
    }
    return done;
  }

  /**
   * As `write`, but at once, where the disk was prompt of late and others had their turn. False: all of it is
   * to be written by `write`, which also says what was wrong.
   */
  writeNow(fd: number, slices: readonly Uint8Array[], position: number): boolean {
    try {
      let at = position;
      for (let rest = slices; rest.length > 0; ) {
        const bytes = this.#calls.writevNow?.(fd, rest, at);
        if (bytes === undefined) return false;
        at += bytes;
        rest = without(rest, bytes);
      }
      return true;
    } catch {
      return false;
    }
  }

  /** Writes all slices one after another from `position` on. */
  async write(fd: number, slices: readonly Uint8Array[], position: number): Promise<void> {
    let at = position;
    for (let rest = slices; rest.length > 0; ) {
      // A write may end anywhere without an error: the next one then says why.
      const bytes = await this.#calls.writev(fd, rest, at);
      at += bytes;
      rest = without(rest, bytes);
    }
  }
}

/** In Node's thread pool. */
export const pooledCalls: FileCalls = {
  readv: async (fd, buffers, position) => (await readOnce(fd, buffers, position)).bytesRead,
  writev: async (fd, buffers, position) => (await writeOnce(fd, buffers, position)).bytesWritten,
};

export const pooledIo: FileIo = new FileIo(pooledCalls);

/** What is left of `buffers` after their first `bytes`; no empty one comes first. */
function without(buffers: readonly Uint8Array[], bytes: number): readonly Uint8Array[] {
  let passed = bytes;
  let first = 0;
  for (; first < buffers.length; first += 1) {
    const { byteLength } = buffers[first] as Uint8Array;
    if (passed < byteLength) break;
    passed -= byteLength;
  }
  const rest = buffers.slice(first);
  if (passed > 0) rest[0] = (rest[0] as Uint8Array).subarray(passed);
  return rest;
}
