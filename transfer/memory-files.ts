/** Files in memory as sources and sinks. */
import { Writer } from '../protocol/bytes.ts';
import { TransferError } from '../protocol/errors.ts';
import { chunkCount, Ledger, segmentOf } from '../protocol/segments.ts';
import type { ChunkSink, ChunkSource, Committed, SinkOffer } from './storage.ts';

let lastIdentity = 0;

/** One version of a content. */
export class MemorySource implements ChunkSource {
  readonly rewindable = true;
  readonly size: number;
  readonly mtimeNs: bigint;
  readonly mode: number;
  readonly identity: Uint8Array;
  readonly #content: Uint8Array;
  readonly #isCurrent: () => boolean;

  constructor(
    content: Uint8Array,
    { mtimeNs, mode }: Omit<Committed, 'size'>,
    isCurrent: () => boolean = () => true,
  ) {
    this.#content = content;
    this.size = content.byteLength;
    this.mtimeNs = mtimeNs;
    this.mode = mode;
    this.#isCurrent = isCurrent;
    this.identity = identityOf(content);
  }

  async read(buffer: Uint8Array, positionBytes: number): Promise<number> {
    const bytes = this.#content.subarray(positionBytes, positionBytes + buffer.byteLength);
    buffer.set(bytes);
    return bytes.byteLength;
  }

  release(): void {
    // All of it stays in memory anyway.
  }

  async unchanged(): Promise<boolean> {
    return this.#isCurrent();
  }

  close(): Promise<void> {
    return Promise.resolve();
  }
}

const identities = new WeakMap<Uint8Array, Uint8Array>();

/** Contents are never changed in place, so each array is a version of its own. */
function identityOf(content: Uint8Array): Uint8Array {
  let identity = identities.get(content);
  if (identity === undefined) {
    lastIdentity += 1;
    identity = new Writer(8).u53(lastIdentity).done();
    identities.set(content, identity);
  }
  return identity;
}

/** What a sink received so far; it outlives the sink. */
export class MemoryPartial {
  readonly chunkBytes: number;
  readonly ledger: Ledger = new Ledger();
  #data = new Uint8Array(0);
  #length = 0;

  constructor({ chunkBytes }: SinkOffer) {
    this.chunkBytes = chunkBytes;
  }

  /** The partial goes on for this offer: chunks past the end of its source are held no longer. */
  offered({ size }: SinkOffer): void {
    if (size === undefined) return;
    const chunks = chunkCount(size, this.chunkBytes);
    const ends = [...this.ledger.held].map(({ end }) => end);
    const last = Math.max(0, ...ends);
    if (last <= chunks) return;
    for (let segment = segmentOf(chunks); segment <= segmentOf(last - 1); segment += 1) {
      this.ledger.forgetSegment(segment);
    }
  }

  write(bytes: Uint8Array, position: number): void {
    const end = position + bytes.byteLength;
    if (end > this.#data.byteLength) {
      const larger = new Uint8Array(Math.max(end, 2 * this.#data.byteLength));
      larger.set(this.#data);
      this.#data = larger;
    }
    this.#data.set(bytes, position);
    this.#length = Math.max(this.#length, end);
  }

  read(buffer: Uint8Array, position: number): number {
    const bytes = this.#data.subarray(
      position,
      Math.min(this.#length, position + buffer.byteLength),
    );
    buffer.set(bytes);
    return bytes.byteLength;
  }

  /** The first `size` bytes, as an array of their own. */
  content(size: number): Uint8Array {
    const content = new Uint8Array(size);
    content.set(this.#data.subarray(0, Math.min(size, this.#length)));
    return content;
  }
}

/** What a sink does to the storage that it is in. */
export interface MemoryHost {
  readonly commit: (content: Uint8Array, file: Committed) => void;
  readonly discard: () => void;
}

export class MemorySink implements ChunkSink {
  readonly ordered = false;
  readonly runChunks = 16;
  readonly #partial: MemoryPartial;
  readonly #host: MemoryHost;
  #closed = false;

  constructor(partial: MemoryPartial, host: MemoryHost) {
    this.#partial = partial;
    this.#host = host;
  }

  get ledger(): Ledger {
    return this.#partial.ledger;
  }

  async write(
    first: number,
    slices: readonly Uint8Array[],
    sums: readonly bigint[],
  ): Promise<void> {
    this.#refuseClosed();
    let position = first * this.#partial.chunkBytes;
    for (const slice of slices) {
      this.#partial.write(slice, position);
      position += slice.byteLength;
    }
    this.ledger.addRun(first, sums);
  }

  async read(buffer: Uint8Array, positionBytes: number): Promise<number> {
    this.#refuseClosed();
    return this.#partial.read(buffer, positionBytes);
  }

  forget(segment: number): void {
    this.ledger.forgetSegment(segment);
  }

  async checkpoint(): Promise<void> {
    this.#refuseClosed();
  }

  async commit(file: Committed): Promise<void> {
    this.#refuseClosed();
    this.#host.commit(this.#partial.content(file.size), file);
    this.#closed = true;
  }

  async discard(): Promise<void> {
    this.#host.discard();
    this.#closed = true;
  }

  async close(): Promise<void> {
    this.#closed = true;
  }

  #refuseClosed(): void {
    if (this.#closed) throw new TransferError('internal', 'The partial is closed.');
  }
}
