/**
 * A stream (standard output) as a `ChunkSink`: chunks leave in ascending order, those that come early
 * wait in memory. There is no partial, so an interruption that outlives the process starts over.
 */
import type { Writable } from 'node:stream';
import { TransferError } from '../../protocol/errors.ts';
import { limits } from '../../protocol/limits.ts';
import { Ledger } from '../../protocol/segments.ts';
import type { ChunkSink, Committed } from '../storage.ts';
import { storageError } from './errors.ts';

const runBytes = 512 * 1024;

export interface StreamSinkOptions {
  /** For messages. */
  readonly name: string;
  readonly chunkBytes: number;
}

export class StreamSink implements ChunkSink {
  readonly ledger: Ledger = new Ledger();
  readonly ordered = true;
  readonly runChunks: number;
  readonly #stream: Writable;
  readonly #name: string;
  /** The chunk to be handed to the stream next, and the bytes handed over before it. */
  #nextChunk = 0;
  #writtenBytes = 0;
  /** Copies of chunks that came early, by index. */
  readonly #early = new Map<number, EarlyChunk>();
  #earlyBytes = 0;
  /** Buffers of chunks that have left: the collector would come for new ones too late. */
  readonly #spare: Uint8Array[] = [];
  readonly #chunkBytes: number;
  #failure: TransferError | undefined;
  /** Settles when the stream has let go of the chunks handed over last. */
  #sending: Promise<unknown> = Promise.resolve();

  constructor(stream: Writable, { name, chunkBytes }: StreamSinkOptions) {
    this.#stream = stream;
    this.#name = name;
    this.#chunkBytes = chunkBytes;
    this.runChunks = Math.max(1, Math.floor(runBytes / chunkBytes));
    stream.on('error', (error) => {
      this.#failure ??= storageError(error, name);
    });
  }

  async write(
    first: number,
    slices: readonly Uint8Array[],
    sums: readonly bigint[],
  ): Promise<void> {
    if (this.#failure !== undefined) throw this.#failure;
    if (first > this.#nextChunk) {
      this.#hold(first, slices, sums);
      return;
    }
    // What came before is gone, and was the same.
    const known = this.#nextChunk - first;
    const written = this.#send(slices.slice(known), sums.slice(known));
    for (let early = this.#takeEarly(); early !== undefined; early = this.#takeEarly()) {
      // A failure reaches whoever waits for `written`, and everybody after that.
      const { bytes, length, sum } = early;
      this.#send([bytes.subarray(0, length)], [sum]).then(
        () => this.#spare.push(bytes),
        () => undefined,
      );
    }
    await written;
  }

  #hold(first: number, slices: readonly Uint8Array[], sums: readonly bigint[]): void {
    for (const [i, slice] of slices.entries()) {
      if (this.#early.has(first + i)) continue;
      if (this.#earlyBytes + slice.byteLength > limits.inFlightBytes) {
        throw new TransferError('limit', `Too many chunks for ${this.#name} came out of order.`);
      }
      const bytes = this.#spare.pop() ?? new Uint8Array(this.#chunkBytes);
      bytes.set(slice);
      const sum = sums[i] as bigint;
      this.#early.set(first + i, { bytes, length: slice.byteLength, sum });
      this.#earlyBytes += slice.byteLength;
    }
  }

  /** The chunk that waited for the one that left just now. */
  #takeEarly(): EarlyChunk | undefined {
    const chunk = this.#early.get(this.#nextChunk);
    if (chunk === undefined) return undefined;
    this.#early.delete(this.#nextChunk);
    this.#earlyBytes -= chunk.length;
    return chunk;
  }

  /**
   * Hands chunks to the stream, which keeps their order; settles when it has let go of them, which is
   * also how it slows its writer down.
   */
  async #send(chunks: readonly Uint8Array[], sums: readonly bigint[]): Promise<void> {
    const last = chunks.at(-1);
    if (last === undefined) return;
    this.ledger.addRun(this.#nextChunk, sums);
    this.#nextChunk += chunks.length;
    this.#writtenBytes += chunks.reduce((sum, { byteLength }) => sum + byteLength, 0);
    const sent = new Promise<void>((resolve, reject) => {
      this.#stream.cork();
      for (const chunk of chunks) {
        this.#stream.write(chunk, (error) => {
          if (error) reject(error);
          else if (chunk === last) resolve();
        });
      }
      this.#stream.uncork();
    });
    const settled = sent.catch((error: unknown) => {
      this.#failure ??= storageError(error, this.#name);
      throw this.#failure;
    });
    this.#sending = settled.catch(() => undefined);
    await settled;
  }

  read(): Promise<number> {
    const message = `${this.#name} cannot be read back.`;
    return Promise.reject(new TransferError('unsupported', message));
  }

  forget(): void {
    throw new TransferError('unsupported', `What went to ${this.#name} cannot be taken back.`);
  }

  async checkpoint(): Promise<void> {
    await this.#sending;
    if (this.#failure !== undefined) throw this.#failure;
  }

  /** Ends the stream and waits until it has taken everything. */
  async commit({ size }: Committed): Promise<void> {
    await this.checkpoint();
    if (this.#writtenBytes !== size) {
      throw new TransferError('integrity', `${this.#name} did not get every byte.`);
    }
    await new Promise<void>((resolve, reject) => {
      this.#stream.once('error', (error) => reject(storageError(error, this.#name)));
      this.#stream.end(resolve);
    });
  }

  discard(): Promise<void> {
    return this.close();
  }

  /** What was written has left for good; the stream stays its owner's. */
  async close(): Promise<void> {
    this.#early.clear();
    this.#earlyBytes = 0;
    await this.#sending;
  }
}

/** A copy of a chunk that must wait for others before it. */
interface EarlyChunk {
  /** A whole chunk's room, of which `length` bytes are its content. */
  readonly bytes: Uint8Array;
  readonly length: number;
  readonly sum: bigint;
}
