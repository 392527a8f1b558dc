/**
 * Bytes in, frames out.
 *
 * Strategy: the caller owns the bytes (a region of a reused buffer) and asks for one frame at a
 * time. Nothing is copied: the payload of a chunk is a view of the caller's buffer. A frame's length
 * is checked against its type's limit as soon as its header is there, before anybody makes room for
 * the rest.
 */
import { ProtocolError } from './errors.ts';
import { decodeFrame, type Frame, payloadLimit } from './frames.ts';
import { decodeHeader, type Header, headerBytes, zeroFlag } from './header.ts';
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

  /**
   * Decodes the frame at `start` when all of it lies before `end`. Gives undefined while bytes are missing; then call
   * again with the same frame at `start` and more behind it.
   *
   * Throws ProtocolError.
   */
  next(bytes: Uint8Array, view: DataView, start: number, end: number): DecodedFrame | undefined {
    if (this.#header === undefined) {
      if (end - start < headerBytes) return undefined;
      const header = decodeHeader(bytes, view, start);
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
    const verified = this.unverified.size === 0 || !this.unverified.has(header.request);
    if (header.flags === zeroFlag && !this.zeroChunks) {
      throw new ProtocolError('protocol', 'A chunk of zeros came that was not agreed upon.');
    }
    return { frame: decodeFrame(header, payload, verified), length };
  }
}

export interface DecodedFrame {
  readonly frame: Frame;
  /** Bytes that the frame took, header and payload. */
  readonly length: number;
}
