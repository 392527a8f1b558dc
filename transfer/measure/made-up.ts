/** Content for measuring, which comes from nowhere and goes nowhere. */
import { randomBytes } from 'node:crypto';
import { Ledger } from '../../protocol/segments.ts';
import { atOnce } from '../at-once.ts';
import type { ChunkSink, ChunkSource } from '../storage.ts';

/** How much there is, and when it ends before that. */
export interface Extent {
  readonly chunkBytes: number;
  /** Undefined: until `stop`. */
  readonly size?: number | undefined;
  /** It stops by itself here. */
  readonly mostBytes?: number | undefined;
}

let content = new Uint8Array();

/** The first random bytes of all that is made up: there is one block of them, however many measure. */
export function madeUp(bytes: number): Uint8Array {
  if (content.length < bytes) content = randomBytes(bytes);
  return content.subarray(0, bytes);
}

/**
 * Every chunk is the same block of random bytes: any part can be read again at any time, and none of
 * it comes from memory that something else was in.
 */
export class MadeUpSource implements ChunkSource {
  readonly size: number | undefined;
  readonly mtimeNs = 0n;
  readonly mode = 0o600;
  readonly identity: Uint8Array = new Uint8Array();
  readonly rewindable = true;
  readonly #block: Uint8Array;
  /** Buffers of a chunk that have the block already: who sends uses them again, and changes nothing. */
  readonly #filled = new WeakSet<Uint8Array>();
  /** Where it ends: known from the start, or from `stop` on. */
  #endBytes: number;
  #reachedBytes = 0;

  constructor({ chunkBytes, size, mostBytes = Infinity }: Extent) {
    this.size = size;
    this.#endBytes = size ?? mostBytes;
    this.#block = madeUp(chunkBytes);
  }

  /** Ends the content behind the last byte that was read; what was asked for can still be sent. */
  stop(): void {
    if (this.size === undefined) this.#endBytes = Math.min(this.#endBytes, this.#reachedBytes);
  }

  /** The part of `buffer` that there is content for from `positionBytes` on. */
  #reach(buffer: Uint8Array, positionBytes: number): Uint8Array {
    const bytes = Math.max(0, Math.min(buffer.length, this.#endBytes - positionBytes));
    this.#reachedBytes = Math.max(this.#reachedBytes, positionBytes + bytes);
    return bytes === buffer.length ? buffer : buffer.subarray(0, bytes);
  }

  async read(buffer: Uint8Array, positionBytes: number): Promise<number> {
    const part = this.#reach(buffer, positionBytes);
    await this.fill(part, positionBytes);
    return part.length;
  }

  readonly readv: ChunkSource['readv'] = async (buffers, positionBytes) => {
    let done = 0;
    for (const buffer of buffers) {
      const part = this.#reach(buffer, positionBytes + done);
      this.#makeUp(part, positionBytes + done);
      done += part.length;
      if (part.length < buffer.length) break;
    }
    return done;
  };

  /** Puts the content from `positionBytes` on into all of `buffer`. */
  protected async fill(buffer: Uint8Array, positionBytes: number): Promise<void> {
    this.#makeUp(buffer, positionBytes);
  }

  #makeUp(buffer: Uint8Array, positionBytes: number): void {
    const block = this.#block;
    const isChunk = buffer.length === block.length && positionBytes % block.length === 0;
    if (isChunk && this.#filled.has(buffer)) return;
    if (isChunk) this.#filled.add(buffer);
    for (let at = 0; at < buffer.length; ) {
      const from = (positionBytes + at) % block.length;
      const part = block.subarray(from, from + buffer.length - at);
      buffer.set(part, at);
      at += part.length;
    }
  }

  release(): void {
    // It can be made up again at any time.
  }

  async unchanged(): Promise<boolean> {
    return true;
  }

  async close(): Promise<void> {
    // There is nothing to let go of.
  }
}

/** The same from a disk: a scratch is read over and over. */
export class ScratchSource extends MadeUpSource {
  /** None: each read is timed. */
  override readonly readv = undefined;
  readonly #scratch: ChunkSink;
  readonly #scratchBytes: number;

  /** Takes over `scratch`, which holds `scratchBytes`. */
  constructor(extent: Extent, scratch: ChunkSink, scratchBytes: number) {
    super(extent);
    this.#scratch = scratch;
    this.#scratchBytes = scratchBytes;
  }

  protected override async fill(buffer: Uint8Array, positionBytes: number): Promise<void> {
    for (let at = 0; at < buffer.length; ) {
      const from = (positionBytes + at) % this.#scratchBytes;
      const part = buffer.subarray(at, at + this.#scratchBytes - from);
      await this.#scratch.read(part, from);
      at += part.length;
    }
  }

  override async close(): Promise<void> {
    await this.#scratch.close();
  }
}

/** Takes everything and keeps its checksums alone. */
export class DropSink implements ChunkSink {
  readonly ledger: Ledger = new Ledger();
  readonly ordered = false;
  readonly runChunks = 256;

  write(first: number, _slices: readonly Uint8Array[], sums: readonly bigint[]): Promise<void> {
    this.ledger.addRun(first, sums);
    return atOnce;
  }

  async read(): Promise<number> {
    return 0;
  }

  forget(segment: number): void {
    this.ledger.forgetSegment(segment);
  }

  async checkpoint(): Promise<void> {}
  async commit(): Promise<void> {}
  async discard(): Promise<void> {}
  async close(): Promise<void> {}
}
