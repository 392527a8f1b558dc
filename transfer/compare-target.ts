/**
 * Compares what stands under the target's name with the sender's file, before anything is sent: for
 * `--checksum` (is it the same?) and `--delta` (which parts are?). Blocks are fixed: content that
 * moved within the file is not found.
 */
import { checksum } from '../protocol/checksum.ts';
import { type FerryError, ProtocolError } from '../protocol/errors.ts';
import type { Level } from '../protocol/frames/requests.ts';
import type { Offer } from '../protocol/frames/transfer.ts';
import type { FrameOf } from '../protocol/frames.ts';
import { limits } from '../protocol/limits.ts';
import { RangeSet } from '../protocol/ranges.ts';
import { chunkCount, Ledger, segmentCount } from '../protocol/segments.ts';
import { withFileBuffer } from './file-buffer.ts';
import { transferLimits } from './limits.ts';
import type { Request } from './request.ts';
import { Signal } from './signal.ts';
import { SourceChecksums, sumsPage } from './source-checksums.ts';
import type { ChunkSink, ChunkSource } from './storage.ts';

const { segmentChunks } = limits;

/** Asks the sender for checksums, one list at a time. */
class Questions {
  readonly #request: Request;
  readonly #wake = new Signal();
  readonly #answers = new Map<number, bigint>();
  #asked: { level: Level; start: number; end: number } | undefined;
  #failure: FerryError | undefined;

  constructor(request: Request) {
    this.#request = request;
    request.listen({
      onFrame: (frame, bulkBytes) => {
        request.carrier.consumed(bulkBytes);
        if (frame.type === 'sums') this.#hear(frame);
        else if (frame.type !== 'working') {
          throw new ProtocolError('protocol', `A ${frame.type} frame makes no sense here.`);
        }
        this.#wake.notify();
      },
      onFailed: (error) => {
        this.#failure = error;
        this.#wake.notify();
      },
    });
  }

  #hear({ level, first, checksums }: FrameOf<'sums'>): void {
    const asked = this.#asked;
    const last = first + checksums.length;
    if (asked?.level !== level || first < asked.start || last > asked.end) {
      throw new ProtocolError('protocol', 'Checksums came that nobody asked for.');
    }
    for (const [i, sum] of checksums.entries()) this.#answers.set(first + i, sum);
  }

  /** The sender's checksums from `start` to before `end`. */
  async ask(level: Level, start: number, end: number): Promise<BigUint64Array> {
    this.#answers.clear();
    this.#asked = { level, start, end };
    const request = this.#request.id;
    this.#request.say({ type: 'compare', request, level, ranges: [{ start, end }] });
    while (this.#answers.size < end - start && this.#failure === undefined) {
      await this.#wake.wait();
    }
    if (this.#failure !== undefined) throw this.#failure;
    return BigUint64Array.from(
      { length: end - start },
      (_, i) => this.#answers.get(start + i) ?? 0n,
    );
  }
}

/** Segments asked about at a time: the sender reads some while we read others. */
const batchSegments = sumsPage;

/**
 * Chunks of `target` that equal the sender's, found by segment first and, with `byChunk`, by chunk
 * within those that differ: as many as may be open at once, the others count as wholly different. Leaves
 * the request for others to listen to.
 */
export async function matchingChunks(
  request: Request,
  target: ChunkSource,
  offer: Offer,
  byChunk: boolean,
): Promise<RangeSet> {
  const { chunkBytes } = offer;
  const questions = new Questions(request);
  const matches = new RangeSet();
  const ours = chunkCount(target.size ?? 0, chunkBytes);
  // A chunk that one of the files ends in counts only where both do.
  const shorter = Math.min(offer.size ?? 0, target.size ?? 0);
  const common = target.size === offer.size ? ours : Math.floor(shorter / chunkBytes);
  const checksums = new SourceChecksums(target, chunkBytes, new Ledger(), () => request.over);
  let partly = 0;
  for (let first = 0; first * segmentChunks < common; first += batchSegments) {
    const last = Math.min(segmentCount(common), first + batchSegments);
    const [theirs, own] = await Promise.all([
      questions.ask('segment', first, last),
      checksums.of('segment', first, last, ours),
    ]);
    request.progressed();
    for (let segment = first; segment < last; segment += 1) {
      const start = segment * segmentChunks;
      const end = Math.min(start + segmentChunks, common);
      const isWhole = end === start + segmentChunks || target.size === offer.size;
      if (isWhole && theirs[segment - first] === own[segment - first]) {
        matches.add(start, end);
      } else if (byChunk && partly < transferLimits.openSegments) {
        const theirChunks = await questions.ask('chunk', start, end);
        const ourChunks = await checksums.chunks(start, end);
        for (let i = start; i < end; i += 1) {
          if (theirChunks[i - start] === ourChunks[i - start]) matches.add(i, i + 1);
        }
        if (!matches.gaps(start, end).hasAll(start, end)) partly += 1;
      }
    }
  }
  return matches;
}

/** Copies chunks of `target` into the sink, those that it lacks. */
export async function copyChunks(
  target: ChunkSource,
  sink: ChunkSink,
  chunks: RangeSet,
  chunkBytes: number,
): Promise<void> {
  await withFileBuffer(chunks.size * chunkBytes, chunkBytes, async (buffer) => {
    const batch = buffer.length / chunkBytes;
    for (const { start, end } of chunks) {
      for (const gap of sink.ledger.held.gaps(start, end)) {
        for (let first = gap.start; first < gap.end; first += batch) {
          const count = Math.min(batch, gap.end - first);
          const view = buffer.subarray(0, count * chunkBytes);
          const bytes = await target.read(view, first * chunkBytes);
          const slices: Uint8Array[] = [];
          for (let at = 0; at < bytes; at += chunkBytes) {
            slices.push(buffer.subarray(at, Math.min(at + chunkBytes, bytes)));
          }
          await sink.write(first, slices, slices.map(checksum));
        }
      }
    }
  });
}
