/**
 * Chunks on their way out, laid out as they leave: header, payload, header, payload, … in one buffer
 * that is used again and again. Content is read straight into its places, and one write of one piece
 * takes it to the socket, where TLS would copy many pieces together first.
 */
import { checksum } from '../protocol/checksum.ts';
import { chunkCode } from '../protocol/frames.ts';
import { encodeHeader, headerBytes } from '../protocol/header.ts';
import type { ChunkSource } from './storage.ts';

export class ChunkBatch {
  /** How many chunks it can carry. */
  readonly capacity: number;
  /** XXH64 of each chunk that it carries now. */
  readonly sums: bigint[] = [];
  readonly #chunkBytes: number;
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  /** Where payloads go. */
  readonly #places: Uint8Array[] = [];
  /** Nothing of it leaves any more: it does not wait for its reader. */
  isDropped = false;
  #hasBegun = false;
  /** Of all the payloads that it carries now. */
  #payloadBytes = 0;

  /** `memory` is of `bytesFor` bytes. */
  constructor(chunkBytes: number, capacity: number, memory: ArrayBuffer) {
    this.capacity = capacity;
    this.#chunkBytes = chunkBytes;
    this.#bytes = Buffer.from(memory);
    this.#view = new DataView(memory);
    for (let i = 0; i < capacity; i += 1) {
      const at = this.#frameAt(i) + headerBytes;
      this.#places.push(this.#bytes.subarray(at, at + chunkBytes));
    }
  }

  /** Memory that a batch takes. */
  static bytesFor(chunkBytes: number, capacity: number): number {
    return capacity * (headerBytes + chunkBytes);
  }

  #frameAt(chunk: number): number {
    return chunk * (headerBytes + this.#chunkBytes);
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
    const places = this.#placesOf(bytes);
    if (source.readv !== undefined) return await source.readv(places, positionBytes);
    let done = 0;
    for (const place of places) {
      const read = await source.read(place, positionBytes + done);
      done += read;
      if (read < place.length) break;
    }
    return done;
  }

  #placesOf(bytes: number): readonly Uint8Array[] {
    if (bytes === this.capacity * this.#chunkBytes) return this.#places;
    const places = this.#places.slice(0, Math.ceil(bytes / this.#chunkBytes));
    const last = places.pop();
    if (last !== undefined) places.push(last.subarray(0, bytes - places.length * this.#chunkBytes));
    return places;
  }

  /** The payloads as they were filled, in order. */
  payloads(): readonly Uint8Array[] {
    return this.#placesOf(this.#payloadBytes);
  }

  /**
   * Makes frames of the `bytes` that were filled in: chunks of `request` from index `first` on,
   * with 0 for their checksums where those are not wanted.
   */
  seal(request: number, first: number, bytes: number, checksums = true): void {
    this.#payloadBytes = bytes;
    this.#hasBegun = false;
    this.sums.length = 0;
    for (const payload of this.#placesOf(bytes)) {
      const i = this.sums.length;
      const sum = checksums ? checksum(payload) : 0n;
      this.sums.push(sum);
      const { length } = payload;
      const header = {
        type: chunkCode,
        flags: 0,
        length,
        request,
        index: first + i,
        checksum: sum,
      };
      encodeHeader(header, this.#bytes, this.#view, this.#frameAt(i));
    }
  }

  /** Payload bytes of the chunks from `from` to before `to`. */
  payloadBytes(from: number, to: number): number {
    return Math.min(this.#payloadBytes, to * this.#chunkBytes) - from * this.#chunkBytes;
  }

  /** The frames of the chunks from `from` to before `to`. */
  frames(from: number, to: number): Uint8Array {
    const start = this.#frameAt(from);
    this.#hasBegun = true;
    return this.#bytes.subarray(
      start,
      start + (to - from) * headerBytes + this.payloadBytes(from, to),
    );
  }
}
