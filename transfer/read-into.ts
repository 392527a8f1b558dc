/**
 * Lets a socket read straight into our own blocks.
 *
 * Node offers that (`onread`) for sockets that it connects, not for those that a server accepts: there
 * each read allocates its memory and goes through a stream's queue, with TLS for every record. But
 * every socket has the parts that `onread` sets, so they are set here. Where a Node version lacks
 * them, the plain way remains, with a copy.
 */
import type net from 'node:net';
import type { InputBuffer } from './input-buffer.ts';

/** What `onread` of `net.connect` and `tls.connect` takes. */
export interface OnRead {
  readonly buffer: () => Uint8Array;
  /** Gives whether to go on reading. */
  readonly callback: (count: number) => boolean;
}

/** A socket brings what came at once in one piece; TLS brings it in records. */
export function onreadInto(input: InputBuffer, inRecords: boolean): OnRead {
  return {
    buffer: () => input.space(),
    callback: inRecords ? (count) => input.gathered(count) : (count) => input.filled(count),
  };
}

/** Reads `socket` into `input` from now on; nothing of it may have been read before. */
export function readInto(input: InputBuffer, socket: net.Socket & { encrypted?: boolean }): void {
  input.onResume = () => socket.resume();
  socket.once('close', () => input.closed());
  if (!setOnread(socket, onreadInto(input, socket.encrypted === true))) {
    socket.on('data', (bytes: Uint8Array) => {
      if (!input.push(bytes)) socket.pause();
    });
  }
  socket.resume();
}

/** The undocumented parts of a socket, by what their symbols say. */
const parts = ['kBuffer', 'kBufferGen', 'kBufferCb'] as const;

function setOnread(socket: net.Socket, { buffer, callback }: OnRead): boolean {
  const { _handle: handle } = socket as { _handle?: { useUserBuffer?: unknown } | null };
  const symbols = Object.getOwnPropertySymbols(socket);
  const [first, next, done] = parts.map((name) =>
    symbols.find(({ description }) => description === name),
  );
  if (typeof handle?.useUserBuffer !== 'function' || !first || !next || !done) return false;
  const space = buffer();
  Object.assign(socket, { [first]: space, [next]: buffer, [done]: callback });
  handle.useUserBuffer(space);
  return true;
}
