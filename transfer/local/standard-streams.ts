/**
 * Standard input and output as what they are. Node knows files, terminals, pipes and stream sockets; for
 * anything else its input is empty and its output drops what it gets, and neither says so.
 */
import { createReadStream, createWriteStream, fstatSync, type Stats } from 'node:fs';
import type { Readable, Writable } from 'node:stream';
import { FerryError } from '../../protocol/errors.ts';

const inputFd = 0;
const outputFd = 1;

export type Output = Writable & { readonly isTTY?: boolean };

/** Whether Node made `stream` up: its own sockets can be told to send at once. */
function isMadeUp(stats: Stats, stream: object): boolean {
  return stats.isDirectory() || (stats.isSocket() && !('setNoDelay' in stream));
}

function unusable(what: string): FerryError {
  return new FerryError(
    'usage',
    `Standard ${what} is neither a file, a device, a pipe nor a stream socket: give one of these.`,
  );
}

/** Standard input, which is `known` where Node knows it. Throws FerryError (`usage`) where nothing can be read. */
export function standardInput(known: () => Readable): Readable {
  const stats = fstatSync(inputFd);
  if (stats.isBlockDevice()) return createReadStream('', { fd: inputFd, autoClose: false });
  const stream = known();
  if (isMadeUp(stats, stream)) throw unusable('input');
  return stream;
}

/** Standard output, in the same way; throws where all that is written would be lost. */
export function standardOutput(known: () => Output): Output {
  const stats = fstatSync(outputFd);
  if (stats.isBlockDevice()) return createWriteStream('', { fd: outputFd, autoClose: false });
  const stream = known();
  if (isMadeUp(stats, stream)) throw unusable('output');
  return stream;
}
