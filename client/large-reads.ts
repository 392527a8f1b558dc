/**
 * A TCP connection that TLS reads from in large pieces.
 *
 * Of itself TLS takes some 40 KiB from a socket at a time, and each read tells the other end of new
 * room and wakes it. A stream that is no socket gives it all that came, for one copy more. What is sent
 * takes a longer way through here than through a socket: this is for connections that receive.
 */
import net from 'node:net';
import { Duplex } from 'node:stream';
import { bufferPool } from '../transfer/buffer-pool.ts';
import { transferLimits } from '../transfer/limits.ts';

export class LargeReads extends Duplex {
  readonly #buffer: Uint8Array<ArrayBuffer>;
  readonly #socket: net.Socket;

  /** Connects; what goes wrong is an `error` of this stream, as of a socket. */
  constructor(to: { readonly host: string; readonly port: number }) {
    // What is not taken at once stays where the next read would go: nothing is read before it is gone.
    // TLS ends it: of itself it would be gone while TLS still holds what its reader has not taken.
    super({ readableHighWaterMark: 1, autoDestroy: false });
    const { sealedBytes, firstBlockBytes } = transferLimits;
    const buffer = bufferPool.takeSpare(sealedBytes) ?? bufferPool.takeLeast(firstBlockBytes);
    // Of itself the stream would ask for more after each piece: handed on directly, nobody asks.
    const callback = (count: number): boolean => {
      const bytes = buffer.subarray(0, count);
      if (this.readableFlowing !== true) return this.push(bytes);
      this.emit('data', bytes);
      return this.readableFlowing;
    };
    this.#buffer = buffer;
    this.#socket = net.connect({ ...to, noDelay: true, onread: { buffer, callback } });
    this.#socket.once('end', () => this.push(null));
    this.#socket.once('error', (error) => this.destroy(error));
  }

  /** Who was handed a piece directly has not asked for more. What is queued lies where the next read goes. */
  override resume(): this {
    super.resume();
    if (this.readableLength === 0) this.#socket.resume();
    return this;
  }

  override _read(): void {
    this.#socket.resume();
  }

  override _write(bytes: Uint8Array, _: string, done: (error?: Error | null) => void): void {
    this.#socket.write(bytes, done);
  }

  override _final(done: (error?: Error | null) => void): void {
    this.#socket.end(done);
  }

  override _destroy(error: Error | null, done: (error: Error | null) => void): void {
    const closed = (): void => {
      bufferPool.give(this.#buffer);
      done(error);
    };
    if (this.#socket.closed) closed();
    else this.#socket.once('close', closed).destroy();
  }
}
