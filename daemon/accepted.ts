/**
 * Lets an accepted socket read into our own buffers.
 *
 * Node offers that (`onread`) for sockets that it connects, not for those that a server accepts: there
 * each read allocates 64 KiB and hands them on one by one. So the accepted socket's handle is moved to
 * a new socket that has the option. Where a Node version lacks the parts, the plain way remains, with
 * a copy.
 */
import net from 'node:net';
import type { InputBuffer } from '../transfer/input-buffer.ts';

/** The undocumented parts of a socket that the move touches. */
interface SocketParts {
  _handle?: unknown;
  /** The server that counts the socket among its connections until it closes. */
  _server?: unknown;
}

/**
 * A socket that reads into `input`, in place of `accepted`, which must not have begun to read
 * (`pauseOnConnect`).
 */
export function readInto(input: InputBuffer, accepted: net.Socket): net.Socket {
  const socket = moved(accepted, input) ?? copying(accepted, input);
  input.onResume = () => socket.resume();
  return socket;
}

function moved(accepted: net.Socket, input: InputBuffer): net.Socket | undefined {
  const parts = accepted as SocketParts;
  const { _handle: handle, _server: server } = parts;
  if (typeof handle !== 'object' || handle === null || server === undefined) return undefined;
  const onread = {
    buffer: () => input.space(),
    callback: (count: number) => input.filled(count),
  };
  // The types don't know that the constructor takes a handle and onread.
  const options = { handle, onread } as net.SocketConstructorOpts;
  const socket = new net.Socket(options);
  // The server must learn of this socket's end, not of that of the empty one.
  (socket as SocketParts)._server = server;
  parts._server = null;
  parts._handle = null;
  return socket;
}

function copying(accepted: net.Socket, input: InputBuffer): net.Socket {
  accepted.on('data', (bytes) => {
    if (!input.push(bytes)) accepted.pause();
  });
  return accepted.resume();
}
