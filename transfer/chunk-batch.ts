/**
 * Chunks on their way out, laid out as they leave: header, payload, header, payload, … in one buffer
 * that is used again and again. Content is read straight into its places, and one write of one piece
 * takes it to the socket, where TLS would copy many pieces together first. Only behind a chunk of
 * zeros, which leaves without its payload, what follows must move up.
 */
import { checksum } from '../protocol/checksum.ts';
import { chunkCode } from '../protocol/frames.ts';
import { encodeHeader, headerBytes, zeroFlag } from '../protocol/header.ts';
import type { ChunkSource } from './storage.ts';
import { isAllZero, zeroChecksum } from './zeros.ts';

export interface Framing {
  /** False: chunks carry 0 for their checksum. */
  readonly checksums: boolean;
  /** Whether the peer knows chunks of zeros. */
  readonly zeroChunks: boolean;
}

export class ChunkBatch {
  /** How many chunks it can carry. */
  readonly capacity: number;
  /** XXH64 of each chunk that it carries now. */
  readonly sums: bigint[] = [];
  readonly #chunkBytes: number;
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  /** Where payloads are read to. */
  readonly #places: Uint8Array[] = [];
  /** Where the frame of each chunk that it carries now ends. */
  readonly #ends: number[] = [];
  /** Nothing of it leaves any more: it does not wait for its reader. */
  isDropped = false;
  #hasBegun = false;

  /** `memory` is of `bytesFor` bytes. */
  constructor(chunkBytes: number, capacity: number, memory: Uint8Array<ArrayBuffer>) {
    this.capacity = capacity;
    this.#chunkBytes = chunkBytes;
    this.#bytes = memory;
    this.#view = new DataView(memory.buffer, memory.byteOffset, memory.byteLength);
    for (let i = 0; i < capacity; i += 1) {
      const at = i * (headerBytes + chunkBytes) + headerBytes;
      this.#places.push(this.#bytes.subarray(at, at + chunkBytes));
    }
  }

  /** Memory that a batch takes. */
  static bytesFor(chunkBytes: number, capacity: number): number {
    return capacity * (headerBytes + chunkBytes);
  }

  /** Whether a part of what it carries now was handed out. */
  get hasBegun(): boolean {
    return this.#hasBegun;
  }

  /** Chunks that it carries now. */
  get chunks(): number {
    return this.sums.length;
  }

  /** Reads `bytes` at `positionBytes` of a source; gives fewer only where that ends. */
  async fill(
    source: Pick<ChunkSource, 'read' | 'readv'>,
    positionBytes: number,
    bytes: number,
  ): Promise<number> {
    const places = this.payloads(bytes);
    if (source.readv !== undefined) return await source.readv(places, positionBytes);
    let done = 0;
    for (const place of places) {
      const read = await source.read(place, positionBytes + done);
      done += read;
      if (read < place.length) break;
    }
    return done;
  }

  /** The first `bytes` that were filled in, in order; until `seal`. */
  payloads(bytes: number): readonly Uint8Array[] {
    if (bytes === this.capacity * this.#chunkBytes) return this.#places;
    const places = this.#places.slice(0, Math.ceil(bytes / this.#chunkBytes));
    const last = places.pop();
    if (last !== undefined) places.push(last.subarray(0, bytes - places.length * this.#chunkBytes));
    return places;
  }

  /** Makes frames of the `bytes` that were filled in: chunks of `request` from index `first` on. */
  seal(request: number, first: number, bytes: number, { checksums, zeroChunks }: Framing): void {
    this.#hasBegun = false;
    this.sums.length = 0;
    this.#ends.length = 0;
    let at = 0;
    for (const [i, payload] of this.payloads(bytes).entries()) {
      const { length } = payload;
      const zero = zeroChunks && length === this.#chunkBytes && isAllZero(payload);
      const sum = zero ? zeroChecksum(length) : checksums ? checksum(payload) : 0n;
      const header = {
        type: chunkCode,
        flags: zero ? zeroFlag : 0,
        length: zero ? 0 : length,
        request,
        index: first + i,
        checksum: sum,
      };
      const from = payload.byteOffset - this.#bytes.byteOffset;
      const to = at + headerBytes;
      if (!zero && from !== to) this.#bytes.copyWithin(to, from, from + length);
      encodeHeader(header, this.#view, at);
      at = to + header.length;
      this.sums.push(sum);
      this.#ends.push(at);
    }
  }

  #startOf(chunk: number): number {
    return chunk === 0 ? 0 : (this.#ends[chunk - 1] as number);
  }

  /** Payload bytes of the chunks from `from` to before `to`, as they leave. */
  payloadBytes(from = 0, to: number = this.chunks): number {
    return this.#startOf(to) - this.#startOf(from) - (to - from) * headerBytes;
  }

  /** The frames of the chunks from `from` to before `to`. */
  frames(from: number, to: number): Uint8Array {
    this.#hasBegun = true;
    return this.#bytes.subarray(this.#startOf(from), this.#startOf(to));
  }
}
