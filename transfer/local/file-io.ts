/** Positional reads and writes on descriptors, off the calling thread, that never stop halfway. */
import { close, fdatasync, ftruncate, read, readv, writev } from 'node:fs';
import { promisify } from 'node:util';

const readOnce = promisify(read);
const readvOnce = promisify(readv);
const writevOnce = promisify(writev);

/** Settle when the thread pool has done it; reject with errno errors. */
export const closeFile: (fd: number) => Promise<void> = promisify(close);
export const syncData: (fd: number) => Promise<void> = promisify(fdatasync);
export const truncateFile: (fd: number, bytes: number) => Promise<void> = promisify(ftruncate);

/** Reads until `buffer` is full or the file ends; gives the number of bytes read. */
export async function readFully(fd: number, buffer: Uint8Array, position: number): Promise<number> {
  let done = 0;
  while (done < buffer.byteLength) {
    const { bytesRead } = await readOnce(
      fd,
      buffer,
      done,
      buffer.byteLength - done,
      position + done,
    );
    if (bytesRead === 0) break;
    done += bytesRead;
  }
  return done;
}

/** Reads until all buffers are full, one after another, or the file ends; gives the bytes read. */
export async function readvFully(
  fd: number,
  buffers: readonly Uint8Array[],
  position: number,
): Promise<number> {
  let done = 0;
  for (let rest = buffers; rest.length > 0; ) {
    const { bytesRead } = await readvOnce(fd, rest, position + done);
    if (bytesRead === 0) break;
    done += bytesRead;
    rest = without(rest, bytesRead);
  }
  return done;
}

/** Writes all slices one after another from `position` on. */
export async function writeFully(
  fd: number,
  slices: readonly Uint8Array[],
  position: number,
): Promise<void> {
  let at = position;
  for (let rest = slices; rest.length > 0; ) {
    // A write may end anywhere without an error: the next one then says why.
    const { bytesWritten } = await writevOnce(fd, rest, at);
    at += bytesWritten;
    rest = without(rest, bytesWritten);
  }
}

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
