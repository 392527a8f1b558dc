/**
 * Bytes in, frames out.
 *
 * Strategy: the caller owns the bytes (a region of a reused buffer) and asks for one frame at a
 * time, or for all chunks that follow one. Nothing is copied: the payload of a chunk is a view of the
 * caller's buffer. A frame's length is checked against its type's limit as soon as its header is there,
 * before anybody makes room for the rest.
 */
import { checksum } from './checksum.ts';
import type { ChunkRun } from './chunk-run.ts';
import { ProtocolError } from './errors.ts';
import { type ChunkFrame, chunkCode, decodeFrame, type Frame, payloadLimit } from './frames.ts';
import {
  checksumAt,
  decodeHeader,
  type Header,
  headerBytes,
  isHeaderLike,
  payloadLengthAt,
  zeroFlag,
} from './header.ts';
import { limits } from './limits.ts';

export class FrameDecoder {
  readonly #chunkBytesMost: (request: number) => number;
  #header: Header | undefined;
  /** Requests whose chunks carry no checksums, by agreement: benches of that kind. */
  readonly unverified: Set<number> = new Set();
  /** Whether chunks may stand for zeros, by agreement. */
  zeroChunks = false;

  /** `chunkBytesMost` tells how long a chunk of a request may be. */
  constructor(chunkBytesMost: (request: number) => number = () => limits.chunkBytesMax) {
    this.#chunkBytesMost = chunkBytesMost;
  }

  /** Bytes that the frame under way takes in all, as far as is known. */
  get neededBytes(): number {
    return headerBytes + (this.#header?.length ?? 0);
  }

  #isVerified(request: number): boolean {
    return this.unverified.size === 0 || !this.unverified.has(request);
  }

  /**
   * Decodes the frame at `start` when all of it lies before `end`. Gives undefined while bytes are missing; then call
   * again with the same frame at `start` and more behind it.
   *
   * Throws ProtocolError.
   */
  next(bytes: Uint8Array, view: DataView, start: number, end: number): DecodedFrame | undefined {
    if (this.#header === undefined) {
      if (end - start < headerBytes) return undefined;
      const header = decodeHeader(view, start);
      if (header.length > payloadLimit(header.type, this.#chunkBytesMost(header.request))) {
        throw new ProtocolError('protocol', `A frame of ${header.length} bytes is too long.`);
      }
      this.#header = header;
    }
    const length = headerBytes + this.#header.length;
    if (end - start < length) return undefined;
    const header = this.#header;
    this.#header = undefined;
    const payload = bytes.subarray(start + headerBytes, start + length);
    const verified = this.#isVerified(header.request);
    if (header.flags === zeroFlag && !this.zeroChunks) {
      throw new ProtocolError('protocol', 'A chunk of zeros came that was not agreed upon.');
    }
    return { frame: decodeFrame(header, payload, verified), length };
  }

  /**
   * `first` with the whole chunks behind it, from `start` on, that are like it and go on where it ends: at most
   * `most` in all. Whatever follows them is for `next`, which also says what is wrong with it.
   */
  run(first: ChunkFrame, { bytes, view, start, end }: Bytes, most: number): DecodedRun {
    const { request, index, zero, intact } = first;
    const like = { type: chunkCode, flags: zero ? zeroFlag : 0, request };
    const mostBytes = zero ? 0 : this.#chunkBytesMost(request);
    const verified = this.#isVerified(request);
    // Two indexes from 2^53 on may be the same number.
    const mostChunks = Math.min(most, Number.MAX_SAFE_INTEGER - index + 1);
    const payloads = [first.payload];
    const checksums = [first.checksum];
    let payloadBytes = first.payload.length;
    let at = start;
    while (payloads.length < mostChunks && end - at >= headerBytes) {
      const length = payloadLengthAt(view, at);
      const payloadAt = at + headerBytes;
      const isWhole = length <= mostBytes && payloadAt + length <= end;
      // One without bytes stands for zeros.
      if (!isWhole || (length === 0) !== zero) break;
      if (!isHeaderLike(like, index + payloads.length, view, at)) break;
      const payload = bytes.subarray(payloadAt, payloadAt + length);
      const sum = checksumAt(view, at);
      const isLike = zero
        ? sum === first.checksum
        : (!verified || checksum(payload) === sum) === intact;
      if (!isLike) break;
      payloads.push(payload);
      checksums.push(sum);
      payloadBytes += length;
      at = payloadAt + length;
    }
    return { run: { first, payloads, checksums, payloadBytes }, end: at };
  }
}

/** What was read and not decoded yet lies from `start` to before `end`; `view` covers `bytes`. */
interface Bytes {
  readonly bytes: Uint8Array;
  readonly view: DataView;
  readonly start: number;
  readonly end: number;
}

export interface DecodedRun {
  readonly run: ChunkRun;
  /** Where the frames of its chunks end. */
  readonly end: number;
}

export interface DecodedFrame {
  readonly frame: Frame;
  /** Bytes that the frame took, header and payload. */
  readonly length: number;
}
