/**
 * What an earlier attempt left, believed until shown wrong.
 *
 * Two things are checked, in the background and independently: that the disk still holds what the
 * journal says (`verify` re-reads it), and that the sender still has the same (`compare` looks at the
 * checksums it was asked for). Whole segments are compared by their checksum, chunks of unfinished
 * segments one by one.
 */
import { checksum, fold } from '../protocol/checksum.ts';
import { ProtocolError } from '../protocol/errors.ts';
import type { Offer } from '../protocol/frames/transfer.ts';
import type { FrameOf } from '../protocol/frames.ts';
import { limits } from '../protocol/limits.ts';
import { RangeSet } from '../protocol/ranges.ts';
import { segmentOf } from '../protocol/segments.ts';
import { withFileBuffer } from './file-buffer.ts';
import type { Request } from './request.ts';
import type { ChunkSink } from './storage.ts';

const { segmentChunks } = limits;
/** Said at most this often. */
const workingMs = 500;

export class Believed {
  readonly #sink: ChunkSink;
  readonly #chunkBytes: number;
  readonly #sizeBytes: number;
  /** A stream cannot be asked about what it sent: the digest alone will tell. */
  readonly #rewindable: boolean;
  /** Whole segments, by number, with the checksum that was believed. */
  readonly #segments = new Map<number, bigint>();
  /** Chunks of unfinished segments. */
  readonly #chunks = new Map<number, bigint>();
  /** Not yet confirmed by the sender. */
  readonly #openSegments = new RangeSet();
  readonly #openChunks = new RangeSet();
  #verified = false;
  #stopped = false;

  constructor(sink: ChunkSink, chunks: number, offer: Offer) {
    this.#sink = sink;
    this.#chunkBytes = offer.chunkBytes;
    this.#sizeBytes = offer.size ?? Number.MAX_SAFE_INTEGER;
    this.#rewindable = offer.rewindable;
    // What goes to a pipe is gone, and was this process's own: there is nothing to read back.
    if (sink.ordered) return;
    for (const { start, end } of sink.ledger.held) {
      for (let s = segmentOf(start); s * segmentChunks < end; s += 1) this.#believe(s, chunks);
    }
  }

  #believe(segment: number, chunks: number): void {
    const sum = this.#sink.ledger.segmentChecksum(segment, chunks);
    if (sum !== undefined) {
      this.#segments.set(segment, sum);
      if (this.#rewindable) this.#openSegments.add(segment, segment + 1);
      return;
    }
    for (const [index, chunkSum] of this.#sink.ledger.openChunks(segment)) {
      this.#chunks.set(index, chunkSum);
      if (this.#rewindable) this.#openChunks.add(index, index + 1);
    }
  }

  /** Whether both sides confirmed everything that still counts. */
  get done(): boolean {
    return (
      this.#openSegments.empty &&
      this.#openChunks.empty &&
      (this.#verified || (this.#segments.size === 0 && this.#chunks.size === 0))
    );
  }

  stop(): void {
    this.#stopped = true;
  }

  /** Asks the sender for the checksums that were not confirmed yet. */
  ask(request: Request): void {
    const levels = [
      ['segment', this.#openSegments],
      ['chunk', this.#openChunks],
    ] as const;
    for (const [level, open] of levels) {
      const ranges = [...open].map(({ start, end }) => ({ start, end }));
      for (let from = 0; from < ranges.length; from += limits.ranges) {
        const page = ranges.slice(from, from + limits.ranges);
        request.say({ type: 'compare', request: request.id, level, ranges: page });
      }
    }
  }

  /** Takes the sender's checksums; gives the segments that differ. */
  compare({ level, first, checksums }: FrameOf<'sums'>): number[] {
    const open = level === 'segment' ? this.#openSegments : this.#openChunks;
    const believed = level === 'segment' ? this.#segments : this.#chunks;
    if (!open.hasAll(first, first + checksums.length)) {
      throw new ProtocolError('protocol', 'Checksums came that nobody asked for.');
    }
    open.remove(first, first + checksums.length);
    const wrong = new Set<number>();
    for (const [i, sum] of checksums.entries()) {
      const expected = believed.get(first + i);
      // What the disk had lost was forgotten, and is on its way again.
      if (expected === undefined || sum === expected) continue;
      wrong.add(level === 'segment' ? first + i : segmentOf(first + i));
    }
    for (const segment of wrong) this.#forget(segment);
    return [...wrong];
  }

  #forget(segment: number): void {
    this.#segments.delete(segment);
    for (let i = 0; i < segmentChunks; i += 1) this.#chunks.delete(segment * segmentChunks + i);
  }

  /** Re-reads everything believed; `onWrong` is called for a segment that the disk lost. */
  async verify(
    onWrong: (segment: number) => void,
    onProgress: (doneBytes: number, totalBytes: number) => void,
  ): Promise<void> {
    const total = this.#segments.size * segmentChunks * this.#chunkBytes;
    let done = 0;
    let toldAtMs = performance.now();
    for (const segment of this.#segments.keys()) {
      if (this.#stopped) return;
      const expected = this.#segments.get(segment);
      const differs = expected !== undefined && (await this.#segmentOnDisk(segment)) !== expected;
      // The sender's checksums may have shown it while we read: then it is on its way again.
      if (differs && this.#segments.has(segment)) this.#drop(segment, onWrong);
      done += segmentChunks * this.#chunkBytes;
      if (performance.now() - toldAtMs > workingMs) {
        toldAtMs = performance.now();
        onProgress(Math.min(done, total), total);
      }
    }
    await this.#verifyChunks(onWrong);
    this.#verified = true;
  }

  async #verifyChunks(onWrong: (segment: number) => void): Promise<void> {
    for (const index of this.#chunks.keys()) {
      if (this.#stopped) return;
      const expected = this.#chunks.get(index);
      if (expected === undefined) continue;
      const [sum] = await this.#sumsOnDisk(index, 1);
      if (sum !== expected && this.#chunks.has(index)) this.#drop(segmentOf(index), onWrong);
    }
  }

  #drop(segment: number, onWrong: (segment: number) => void): void {
    this.#forget(segment);
    onWrong(segment);
  }

  async #segmentOnDisk(segment: number): Promise<bigint> {
    return fold(await this.#sumsOnDisk(segment * segmentChunks, segmentChunks));
  }

  /** Checksums of up to `count` chunks as they can be read; fewer where the partial is shorter. */
  async #sumsOnDisk(first: number, count: number): Promise<BigUint64Array> {
    const end = Math.min((first + count) * this.#chunkBytes, this.#sizeBytes);
    const start = first * this.#chunkBytes;
    const sums: bigint[] = [];
    await withFileBuffer(Math.max(0, end - start), this.#chunkBytes, async (buffer) => {
      for (let position = start; position < end; ) {
        const view = buffer.subarray(0, end - position);
        const bytes = await this.#sink.read(view, position);
        for (let at = 0; at < bytes; at += this.#chunkBytes) {
          sums.push(checksum(view.subarray(at, Math.min(at + this.#chunkBytes, bytes))));
        }
        if (bytes < view.length) break;
        position += bytes;
      }
    });
    return BigUint64Array.from(sums);
  }
}
