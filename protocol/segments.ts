/**
 * Chunks, segments and the checksums of what a receiver holds.
 *
 * A file is chunks of `chunkBytes` (the last may be shorter), 128 chunks are a segment. A segment's
 * checksum is XXH64 over its chunk checksums in order; the file's digest is XXH64 over all segment
 * checksums and the size.
 */
import { checksum, digestOf, fold } from './checksum.ts';
import { limits } from './limits.ts';
import { type Range, RangeSet } from './ranges.ts';

const { segmentChunks } = limits;

/** How many chunks `sizeBytes` take; an empty file has none. */
export function chunkCount(sizeBytes: number, chunkBytes: number): number {
  return Math.ceil(sizeBytes / chunkBytes);
}

/** How many segments `chunks` chunks take. */
export function segmentCount(chunks: number): number {
  return Math.ceil(chunks / segmentChunks);
}

export function segmentOf(chunk: number): number {
  return Math.floor(chunk / segmentChunks);
}

/** Bytes of chunk `index` in a file of `sizeBytes`; 0 or less past its end. */
export function chunkLength(index: number, sizeBytes: number, chunkBytes: number): number {
  return Math.min(chunkBytes, sizeBytes - index * chunkBytes);
}

/** The checksums of the chunks that `bytes` consist of, the last of which may be short. */
export function chunkChecksums(bytes: Uint8Array, chunkBytes: number): BigUint64Array {
  const sums = new BigUint64Array(chunkCount(bytes.byteLength, chunkBytes));
  for (let i = 0; i < sums.length; i += 1) {
    sums[i] = checksum(bytes.subarray(i * chunkBytes, (i + 1) * chunkBytes));
  }
  return sums;
}

interface OpenSegment {
  readonly sums: BigUint64Array;
  /** 1 for each chunk that is there. */
  readonly held: Uint8Array;
  count: number;
}

/** Checksums of segments are kept in pages of so many: only where there are any. */
const pageSegments = 1024;

/**
 * The chunks of one file that are known, with their checksums. A whole segment folds to 8 bytes, so
 * that 1 TiB takes 1 MiB.
 */
export class Ledger {
  /** Known chunks. */
  readonly held: RangeSet = new RangeSet();
  readonly #folded = new Map<number, BigUint64Array>();
  readonly #isFolded = new RangeSet();
  readonly #open = new Map<number, OpenSegment>();

  /** Records that chunk `index` has this checksum, as `addRun`. */
  add(index: number, sum: bigint): void {
    this.addRun(index, [sum]);
  }

  /**
   * Records that the chunks from `first` on have these checksums. A chunk known already is replaced only
   * if its segment was still open before.
   */
  addRun(first: number, sums: ArrayLike<bigint>): void {
    const end = first + sums.length;
    for (let from = first; from < end; ) {
      const segment = segmentOf(from);
      const to = Math.min(end, (segment + 1) * segmentChunks);
      const isFolded = this.#isFolded.has(segment);
      for (const range of isFolded ? this.held.gaps(from, to) : [{ start: from, end: to }]) {
        this.#addTo(segment, range, sums, first);
      }
      from = to;
    }
  }

  /** Records the chunks of `range`, all in `segment`; `sums` begin with that of chunk `first`. */
  #addTo(segment: number, { start, end }: Range, sums: ArrayLike<bigint>, first: number): void {
    this.held.add(start, end);
    let open = this.#open.get(segment);
    if (open === undefined) {
      open = {
        sums: new BigUint64Array(segmentChunks),
        held: new Uint8Array(segmentChunks),
        count: 0,
      };
      this.#open.set(segment, open);
    }
    for (let index = start; index < end; index += 1) {
      const within = index % segmentChunks;
      if (open.held[within] === 0) open.count += 1;
      open.held[within] = 1;
      open.sums[within] = sums[index - first] as bigint;
    }
    if (open.count === segmentChunks) {
      this.#open.delete(segment);
      this.#fold(segment, fold(open.sums));
    }
  }

  /** Records a whole segment by its checksum alone. */
  addSegment(segment: number, sum: bigint, chunks: number): void {
    this.forgetSegment(segment);
    this.held.add(segment * segmentChunks, segment * segmentChunks + chunks);
    this.#fold(segment, sum);
  }

  #fold(segment: number, sum: bigint): void {
    const page = Math.floor(segment / pageSegments);
    let sums = this.#folded.get(page);
    if (sums === undefined) {
      sums = new BigUint64Array(pageSegments);
      this.#folded.set(page, sums);
    }
    sums[segment % pageSegments] = sum;
    this.#isFolded.add(segment, segment + 1);
  }

  /** Forgets every chunk of `segment`. */
  forgetSegment(segment: number): void {
    this.#open.delete(segment);
    this.#isFolded.remove(segment, segment + 1);
    this.held.remove(segment * segmentChunks, (segment + 1) * segmentChunks);
  }

  /**
   * The checksum of `segment` in a file of `chunks` chunks, or undefined while chunks of it are
   * missing.
   */
  segmentChecksum(segment: number, chunks: number): bigint | undefined {
    const first = segment * segmentChunks;
    const length = Math.min(segmentChunks, chunks - first);
    if (!this.held.hasAll(first, first + length)) return undefined;
    if (this.#isFolded.has(segment)) {
      return this.#folded.get(Math.floor(segment / pageSegments))?.[segment % pageSegments];
    }
    return fold((this.#open.get(segment) as OpenSegment).sums.subarray(0, length));
  }

  /** The checksums of all folded segments: runs of them, each with the number of its first. */
  *foldedRuns(): Iterable<[number, BigUint64Array]> {
    for (const [page, sums] of this.#folded) {
      const first = page * pageSegments;
      for (const { start, end } of this.#isFolded.within(first, first + pageSegments)) {
        yield [start, sums.subarray(start - first, end - first)];
      }
    }
  }

  /** How many segments are begun and not folded. */
  get openCount(): number {
    return this.#open.size;
  }

  /** Segments of which chunks are known and that are not folded, in no order. */
  get openSegments(): Iterable<number> {
    return this.#open.keys();
  }

  /** Checksums of the chunks of a segment that is not folded: pairs of chunk index and checksum. */
  *openChunks(segment: number): Iterable<[number, bigint]> {
    const open = this.#open.get(segment);
    if (open === undefined) return;
    for (const [within, isHeld] of open.held.entries()) {
      if (isHeld === 1) yield [segment * segmentChunks + within, open.sums[within] as bigint];
    }
  }

  /** The digest of a whole file of `sizeBytes`, or undefined while chunks of it are missing. */
  digest(sizeBytes: number, chunkBytes: number): bigint | undefined {
    const chunks = chunkCount(sizeBytes, chunkBytes);
    if (!this.held.hasAll(0, chunks)) return undefined;
    return digestOf(this.#segmentChecksums(chunks), sizeBytes);
  }

  *#segmentChecksums(chunks: number): Iterable<bigint> {
    for (let segment = 0; segment < segmentCount(chunks); segment += 1) {
      yield this.segmentChecksum(segment, chunks) as bigint;
    }
  }
}
