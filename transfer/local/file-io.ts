/** Positional reads and writes on descriptors, off the calling thread, that never stop halfway. */
import { close, fdatasync, ftruncate, read, writev } from 'node:fs';
import { promisify } from 'node:util';

const readOnce = promisify(read);
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

/** Writes all slices one after another from `position` on. */
export async function writeFully(
  fd: number,
  slices: readonly Uint8Array[],
  position: number,
): Promise<void> {
  let rest = slices.filter((slice) => slice.byteLength > 0);
  let at = position;
  while (rest.length > 0) {
    let { bytesWritten } = await writevOnce(fd, rest, at);
    at += bytesWritten;
    // A write may end anywhere without an error: the next one then says why.
    while (rest[0] !== undefined && bytesWritten >= rest[0].byteLength) {
      bytesWritten -= rest[0].byteLength;
      rest = rest.slice(1);
    }
    if (rest[0] !== undefined) rest = [rest[0].subarray(bytesWritten), ...rest.slice(1)];
  }
}
