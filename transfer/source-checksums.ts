/** Checksums of a source's chunks and segments, computed by reading it, each at most once. */
import { checksum } from '../protocol/checksum.ts';
import { TransferError } from '../protocol/errors.ts';
import type { Level } from '../protocol/frames/requests.ts';
import { limits } from '../protocol/limits.ts';
import { type Ledger, segmentCount } from '../protocol/segments.ts';
import { withFileBuffer } from './file-buffer.ts';
import type { ChunkSource } from './storage.ts';

/** Checksums in one `sums`: small pages let repairs begin early. */
export const sumsPage = 32;

export class SourceChecksums {
  readonly #source: Pick<ChunkSource, 'read'>;
  readonly #chunkBytes: number;
  readonly #ledger: Ledger;
  readonly #isOver: () => boolean;

  /** Once `isOver` nothing more is read, and what is given then means nothing. */
  constructor(
    source: Pick<ChunkSource, 'read'>,
    chunkBytes: number,
    ledger: Ledger,
    isOver: () => boolean = () => false,
  ) {
    this.#source = source;
    this.#chunkBytes = chunkBytes;
    this.#ledger = ledger;
    this.#isOver = isOver;
  }

  /** How many segments or chunks a file of `chunks` chunks has. */
  static count(level: Level, chunks: number): number {
    return level === 'segment' ? segmentCount(chunks) : chunks;
  }

  /** Checksums from `first` to before `end` of a file that has `chunks` chunks in all. */
  async of(level: Level, first: number, end: number, chunks: number): Promise<BigUint64Array> {
    return level === 'segment'
      ? await this.#segments(first, end, chunks)
      : await this.chunks(first, end);
  }

  async #segments(first: number, end: number, chunks: number): Promise<BigUint64Array> {
    const sums = new BigUint64Array(end - first);
    for (let segment = first; segment < end; segment += 1) {
      if (this.#ledger.segmentChecksum(segment, chunks) === undefined) {
        const start = segment * limits.segmentChunks;
        await this.chunks(start, Math.min(chunks, start + limits.segmentChunks));
        if (this.#isOver()) break;
      }
      sums[segment - first] = this.#ledger.segmentChecksum(segment, chunks) as bigint;
    }
    return sums;
  }

  /** Reads the chunks from `start` to before `end`; all go into the ledger. */
  async chunks(start: number, end: number): Promise<BigUint64Array> {
    const sums = new BigUint64Array(end - start);
    const chunkBytes = this.#chunkBytes;
    await withFileBuffer(sums.length * chunkBytes, chunkBytes, async (buffer) => {
      const batch = buffer.length / chunkBytes;
      for (let first = start; first < end && !this.#isOver(); first += batch) {
        const last = Math.min(end, first + batch);
        const view = buffer.subarray(0, (last - first) * chunkBytes);
        const bytes = await this.#source.read(view, first * chunkBytes);
        if (bytes <= (last - first - 1) * chunkBytes) {
          throw new TransferError('source-changed', 'The file became shorter while it was read.');
        }
        for (let i = first; i < last; i += 1) {
          const at = (i - first) * chunkBytes;
          sums[i - start] = checksum(view.subarray(at, Math.min(at + chunkBytes, bytes)));
        }
        this.#ledger.addRun(first, sums.subarray(first - start, last - start));
      }
    });
    return sums;
  }
}
