/**
 * What is known of the size of a file that is being received: as was offered or, of a stream, as its
 * chunks and its end show.
 */
import { ProtocolError } from '../protocol/errors.ts';
import { limits } from '../protocol/limits.ts';
import { unbounded } from '../protocol/ranges.ts';
import { chunkCount, chunkLength } from '../protocol/segments.ts';

export class KnownSize {
  readonly #chunkBytes: number;
  #sizeBytes: number | undefined;
  /** Of a stream: how far its chunks go, and where one that was short showed its end. */
  #reachedBytes = 0;
  #lastBytes: number | undefined;

  /** `sizeBytes` is undefined for a stream whose end is not known yet. */
  constructor(chunkBytes: number, sizeBytes: number | undefined) {
    this.#chunkBytes = chunkBytes;
    this.#sizeBytes = sizeBytes;
  }

  get sizeBytes(): number | undefined {
    return this.#sizeBytes;
  }

  /** Chunks of the whole file; without bound while its end is not known. */
  get chunks(): number {
    return this.#sizeBytes === undefined
      ? unbounded
      : chunkCount(this.#sizeBytes, this.#chunkBytes);
  }

  /** Bytes of the chunks from `start` to before `end`. */
  bytesOf(start: number, end: number): number {
    if (start >= end) return 0;
    const last =
      this.#sizeBytes === undefined
        ? this.#chunkBytes
        : chunkLength(end - 1, this.#sizeBytes, this.#chunkBytes);
    return (end - 1 - start) * this.#chunkBytes + last;
  }

  /** Checks the contents of chunks from `first` on. Throws ProtocolError as `checkLength`. */
  checkLengths(first: number, contents: readonly Uint8Array[]): void {
    const last = contents.length - 1;
    // Where all before it are whole, only the last one can lie past the end, or be shorter.
    const firstShort = contents.findIndex(({ length }) => length !== this.#chunkBytes);
    for (let i = firstShort === -1 ? last : firstShort; i <= last; i += 1) {
      this.checkLength(first + i, (contents[i] as Uint8Array).length);
    }
  }

  /** Checks a chunk of so many bytes. Throws ProtocolError when it can't be part of the file. */
  checkLength(index: number, bytes: number): void {
    const expected =
      this.#sizeBytes === undefined
        ? Math.min(bytes, this.#chunkBytes)
        : chunkLength(index, this.#sizeBytes, this.#chunkBytes);
    if (bytes !== expected || index * this.#chunkBytes + expected > limits.fileBytes) {
      throw new ProtocolError('protocol', 'A chunk has the wrong length or lies past the end.');
    }
    if (this.#sizeBytes === undefined) {
      this.#reached(index * this.#chunkBytes + expected, expected < this.#chunkBytes);
    }
  }

  /** A stream has at least so many bytes; a chunk that is shorter than the others is its last. */
  #reached(bytes: number, isLast: boolean): void {
    this.#reachedBytes = Math.max(this.#reachedBytes, bytes);
    if (isLast) this.#lastBytes ??= bytes;
    const endBytes = this.#lastBytes ?? this.#reachedBytes;
    if (this.#reachedBytes > endBytes || (isLast && bytes !== endBytes)) {
      throw new ProtocolError('protocol', 'A stream goes on after its last chunk.');
    }
  }

  /**
   * The sender says how many bytes the file has; gives whether that is news. Throws ProtocolError when
   * it can't be.
   */
  endAt(sizeBytes: number): boolean {
    if (this.#sizeBytes === undefined) {
      if (sizeBytes < this.#reachedBytes || sizeBytes !== (this.#lastBytes ?? sizeBytes)) {
        throw new ProtocolError('protocol', 'A stream ends elsewhere than its chunks do.');
      }
      this.#sizeBytes = sizeBytes;
      return true;
    }
    if (sizeBytes !== this.#sizeBytes) {
      throw new ProtocolError('protocol', 'The file has another size than was offered.');
    }
    return false;
  }
}
