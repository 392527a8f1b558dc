/**
 * Standard input and output as what they are. Node knows files, terminals, pipes and stream sockets; for
 * anything else its input is empty and its output drops what it gets, and neither says so.
 */
import { createReadStream, createWriteStream, fstatSync } from 'node:fs';
import type { Readable, Writable } from 'node:stream';
import { FerryError } from '../../protocol/errors.ts';

const inputFd = 0;
const outputFd = 1;

/** Standard input, which is `known` where Node knows it. Throws FerryError (`usage`) where nothing can be read. */
export function standardInput(known: () => Readable): Readable {
  const device = (): Readable => createReadStream('', { fd: inputFd, autoClose: false });
  return standard(inputFd, 'input', known, device);
}

/** Standard output, in the same way; throws where all that is written would be lost. */
export function standardOutput(known: () => Writable): Writable {
  const device = (): Writable => createWriteStream('', { fd: outputFd, autoClose: false });
  return standard(outputFd, 'output', known, device);
}

function standard<T extends object>(fd: number, what: string, known: () => T, device: () => T): T {
  const stats = fstatSync(fd);
  if (stats.isBlockDevice()) return device();
  const stream = known();
  // Node's own sockets can be told to send at once, what it makes up for others cannot.
  if (stats.isDirectory() || (stats.isSocket() && !('setNoDelay' in stream))) {
    throw new FerryError(
      'usage',
      `Standard ${what} is neither a file, a device, a pipe nor a stream socket: give one of these.`,
    );
  }
  return stream;
}
