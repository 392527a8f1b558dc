/**
 * The batches in which one request sends a file: a small one is always there, large ones are while the
 * reader shows that it reads and the pool has room. One that stops reading is left with the little
 * that is on its way.
 */
import { bufferPool } from './buffer-pool.ts';
import { ChunkBatch } from './chunk-batch.ts';
import { transferLimits } from './limits.ts';
import type { Carrier } from './request.ts';
import type { Sending } from './send.ts';

export class SendBatches {
  readonly #sending: Sending;
  readonly #carrier: Carrier;
  readonly #free: ChunkBatch[] = [];
  readonly #memory = new Map<ChunkBatch, Uint8Array<ArrayBuffer>>();
  /** Batches that were made and not given up, those among them, too, whose memory is gone. */
  #count = 0;
  #isFast = false;
  /** What the reader had confirmed when it was last found to be slow. */
  #confirmedBytes = 0;
  #isClosed = false;

  constructor(sending: Sending, carrier: Carrier) {
    this.#sending = sending;
    this.#carrier = carrier;
  }

  #chunksIn(bytes: number): number {
    const { chunks, options } = this.#sending;
    return Math.min(chunks, Math.max(1, Math.floor(bytes / options.chunkBytes)));
  }

  get #smallChunks(): number {
    return this.#chunksIn(transferLimits.firstBatchBytes);
  }

  get #largeChunks(): number {
    return this.#chunksIn(this.#sending.options.batchBytes ?? transferLimits.sendBatchBytes);
  }

  #isLarge({ capacity }: ChunkBatch): boolean {
    return capacity > this.#smallChunks;
  }

  /** A batch to be filled; undefined: one of those under way will be given back. */
  take(): ChunkBatch | undefined {
    return this.#free.pop() ?? this.#makeLarge() ?? this.#makeSmall();
  }

  #makeLarge(): ChunkBatch | undefined {
    const { source, chunks, options } = this.#sending;
    const capacity = this.#largeChunks;
    // What stops the thread gains nothing by being read ahead, and leaves while the processor's cache has it.
    const isReadAhead = source.rewindable && source.readsInThread !== true;
    const most = isReadAhead
      ? Math.min(transferLimits.sendBatches, Math.ceil(chunks / capacity))
      : 1;
    if (!this.#isFast || capacity <= this.#smallChunks || this.#count >= most) return undefined;
    const memory = bufferPool.take(ChunkBatch.bytesFor(options.chunkBytes, capacity));
    return memory && this.#make(capacity, memory);
  }

  #makeSmall(): ChunkBatch | undefined {
    if (this.#count > 0) return undefined;
    const capacity = Math.min(this.#smallChunks, this.#largeChunks);
    const bytes = ChunkBatch.bytesFor(this.#sending.options.chunkBytes, capacity);
    return this.#make(capacity, bufferPool.takeLeast(bytes));
  }

  #make(capacity: number, memory: Uint8Array<ArrayBuffer>): ChunkBatch {
    const batch = new ChunkBatch(this.#sending.options.chunkBytes, capacity, memory);
    this.#memory.set(batch, memory);
    this.#count += 1;
    return batch;
  }

  /** The batch has waited long: if it is large, nothing of it has left and it can be read again, it is dropped. */
  dropWaiting(batch: ChunkBatch): void {
    if (batch.hasBegun || !this.#isLarge(batch) || !this.#sending.source.rewindable) return;
    batch.isDropped = true;
    this.#forget(batch);
  }

  /** The batch is done with; `waitedMs` is how long its reader took. */
  giveBack(batch: ChunkBatch, waitedMs: number): void {
    const { confirmedBytes } = this.#carrier.sending;
    const { quickMs, stallMs } = transferLimits;
    if (batch.isDropped || waitedMs > stallMs) {
      this.#isFast = false;
      this.#confirmedBytes = confirmedBytes;
    } else if (waitedMs < quickMs && confirmedBytes > this.#confirmedBytes) this.#isFast = true;
    const fits = !batch.isDropped && this.#isLarge(batch) === this.#isFast;
    const isOnlySize = this.#largeChunks <= this.#smallChunks;
    if (!this.#isClosed && (fits || isOnlySize)) {
      this.#free.push(batch);
      return;
    }
    this.#count -= 1;
    this.#forget(batch);
  }

  #forget(batch: ChunkBatch): void {
    const memory = this.#memory.get(batch);
    this.#memory.delete(batch);
    if (memory !== undefined) bufferPool.give(memory);
  }

  /** No more batches are needed; those under way are given back later. */
  close(): void {
    this.#isClosed = true;
    for (const batch of this.#free.splice(0)) this.#forget(batch);
  }
}
