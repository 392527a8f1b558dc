/**
 * A stream (standard input) as a `ChunkSource`: its size is unknown, and it cannot be read again. What
 * the receiver has not made durable is kept, so that an interruption loses nothing.
 */
import { randomBytes } from 'node:crypto';
import type { Readable } from 'node:stream';
import { TransferError } from '../../protocol/errors.ts';
import { limits, segmentBytes } from '../../protocol/limits.ts';
import { Signal } from '../signal.ts';
import type { ChunkSource } from '../storage.ts';
import { storageError } from './errors.ts';

/** What may be on its way, and the segment that waits to be durable: less would stall. */
const replayBytes = limits.inFlightBytes + segmentBytes;

interface Piece {
  readonly startBytes: number;
  readonly bytes: Uint8Array;
}

export interface StreamSourceOptions {
  /** For messages. */
  readonly name: string;
  readonly mtimeNs: bigint;
  readonly mode: number;
}

export class StreamSource implements ChunkSource {
  readonly size = undefined;
  readonly mtimeNs: bigint;
  readonly mode: number;
  /** Names this stream: no other process can go on with it. */
  readonly identity: Uint8Array = new Uint8Array(randomBytes(16));
  readonly rewindable = false;
  readonly #stream: Readable;
  readonly #name: string;
  /** Unreleased pieces in order, the first of which may begin before `#releasedBytes`. */
  readonly #pieces: Piece[] = [];
  #releasedBytes = 0;
  #endBytes = 0;
  #ended = false;
  #failure: TransferError | undefined;
  readonly #arrived = new Signal();
  readonly #released = new Signal();

  constructor(stream: Readable, { name, mtimeNs, mode }: StreamSourceOptions) {
    this.#stream = stream;
    this.#name = name;
    this.mtimeNs = mtimeNs;
    this.mode = mode;
    // It keeps its own failure for whoever reads.
    void this.#pump();
  }

  async #pump(): Promise<void> {
    try {
      for await (const bytes of this.#stream as AsyncIterable<Uint8Array>) {
        this.#pieces.push({ startBytes: this.#endBytes, bytes });
        this.#endBytes += bytes.byteLength;
        this.#arrived.notify();
        while (this.#endBytes - this.#releasedBytes >= replayBytes) await this.#released.wait();
      }
      this.#ended = true;
    } catch (error) {
      this.#failure = storageError(error, this.#name);
    }
    this.#arrived.notify();
  }

  async read(buffer: Uint8Array, positionBytes: number): Promise<number> {
    if (positionBytes < this.#releasedBytes) {
      throw new TransferError('internal', `${this.#name} cannot be read again from the start.`);
    }
    const wanted = positionBytes + buffer.byteLength;
    while (this.#endBytes < wanted && !this.#ended) {
      if (this.#failure !== undefined) throw this.#failure;
      await this.#arrived.wait();
    }
    let done = 0;
    for (const { startBytes, bytes } of this.#piecesFrom(positionBytes)) {
      const from = positionBytes + done - startBytes;
      const part = bytes.subarray(from, from + buffer.byteLength - done);
      buffer.set(part, done);
      done += part.byteLength;
      if (done === buffer.byteLength) break;
    }
    return done;
  }

  *#piecesFrom(positionBytes: number): Iterable<Piece> {
    let index = this.#pieces.length;
    // Reads mostly want what came last.
    while (index > 0 && (this.#pieces[index - 1] as Piece).startBytes > positionBytes) index -= 1;
    for (index = Math.max(0, index - 1); index < this.#pieces.length; index += 1) {
      const piece = this.#pieces[index] as Piece;
      if (piece.startBytes + piece.bytes.byteLength > positionBytes) yield piece;
    }
  }

  release(positionBytes: number): void {
    this.#releasedBytes = Math.max(this.#releasedBytes, positionBytes);
    const kept = this.#pieces.findIndex(
      ({ startBytes, bytes }) => startBytes + bytes.byteLength > this.#releasedBytes,
    );
    this.#pieces.splice(0, kept < 0 ? this.#pieces.length : kept);
    this.#released.notify();
  }

  unchanged(): Promise<boolean> {
    return Promise.resolve(true);
  }

  async close(): Promise<void> {
    this.#stream.destroy();
    this.release(this.#endBytes);
  }
}
