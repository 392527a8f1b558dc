/**
 * Sends one file: written once, used by the client's uploads and the daemon's downloads.
 *
 * Strategy: the receiver says what it lacks; the sender answers wants in order, several batches at a
 * time (one being read, one being sent), and computes checksums for `compare` beside that, so that
 * new chunks flow while old ones are compared. All checksums, whatever they were computed for,
 * go into one ledger: it gives the digest that proves the whole.
 */
import { createHash } from 'node:crypto';
import { TransferError } from '../protocol/errors.ts';
import type { Complete, Want, Working } from '../protocol/frames/transfer.ts';
import { RangeSet, unbounded } from '../protocol/ranges.ts';
import { chunkCount, Ledger } from '../protocol/segments.ts';
import type { Request } from './request.ts';
import { SendLane } from './send-lane.ts';
import type { ChunkSource } from './storage.ts';

export interface SendOptions {
  readonly chunkBytes: number;
  /** The offer promised a SHA-256. */
  readonly sha256: boolean;
  /** Bytes read and sent at a time, at least a chunk; undefined: `transferLimits.sendBatchBytes`. */
  readonly batchBytes?: number | undefined;
  /** Checksums of this version of the source, which others who send it fill, too. */
  readonly ledger?: Ledger;
  /** False: chunks carry 0 for their checksum, which the receiver knows. */
  readonly checksums?: boolean;
  /** Waits until so many bytes of content may leave, or rejects. */
  readonly pass?: (bytes: number) => Promise<void>;
  /** Content was handed to the connection: bytes, and how many of the chunks were repeats. */
  readonly onSent?: (bytes: number, repeatedChunks: number) => void;
  /** The receiver told what it holds. */
  readonly onHave?: (receivedBytes: number) => void;
  /** The receiver asked for chunks: it names the transfer for `join`. */
  readonly onWant?: (want: Want) => void;
  /** Either side does something silent. */
  readonly onWorking?: (working: Working) => void;
}

/** One file on its way, over one or several requests that share what is known of it. */
export class Sending {
  readonly source: ChunkSource;
  readonly options: SendOptions;
  readonly ledger: Ledger;
  /** Chunks that were sent at least once. */
  readonly sent: RangeSet = new RangeSet();
  #sizeBytes: number | undefined;
  /** Of a stream, which can't be read again at its end. */
  readonly #hash = createHash('sha256');
  #hashedBytes = 0;
  /** What the latest `end` with a digest told: only that can have been stored. */
  #proved: Pick<Complete, 'digest' | 'sha256'> = {};

  constructor(source: ChunkSource, options: SendOptions) {
    this.source = source;
    this.options = options;
    this.ledger = options.ledger ?? new Ledger();
    this.#sizeBytes = source.size;
  }

  get sizeBytes(): number | undefined {
    return this.#sizeBytes;
  }

  /** Chunks of the whole file, once its end is known. */
  get chunks(): number {
    return this.#sizeBytes === undefined
      ? unbounded
      : chunkCount(this.#sizeBytes, this.options.chunkBytes);
  }

  /** Content of a stream was read: its SHA-256 goes along. */
  hash(position: number, payloads: readonly Uint8Array[]): void {
    if (!this.options.sha256 || this.source.rewindable) return;
    let at = position;
    for (const bytes of payloads) {
      const from = this.#hashedBytes - at;
      at += bytes.length;
      if (from < 0 || from >= bytes.length) continue;
      this.#hash.update(bytes.subarray(from));
      this.#hashedBytes = at;
    }
  }

  /** Chunks from `first` on were read and are about to leave; gives how many of them are repeats. */
  leaving(first: number, sums: readonly bigint[]): number {
    const end = first + sums.length;
    const repeats = this.sent.within(first, end).size;
    this.ledger.addRun(first, sums);
    this.sent.add(first, end);
    return repeats;
  }

  /** SHA-256 of a stream up to here. */
  get hashed(): Uint8Array {
    return this.#hash.copy().digest();
  }

  proved(digest: bigint | undefined, sha256?: Uint8Array): void {
    this.#proved = { digest, sha256 };
  }

  get isProved(): boolean {
    return this.#proved.digest !== undefined;
  }

  /** Throws TransferError when the receiver says that it stored something else. */
  checkStored({ digest, sha256 }: Complete): void {
    const { digest: ours, sha256: ourSha256 } = this.#proved;
    const isSame =
      ours !== undefined &&
      digest === ours &&
      (ourSha256 === undefined || Buffer.compare(ourSha256, sha256 ?? new Uint8Array()) === 0);
    if (isSame) return;
    throw new TransferError(
      'integrity',
      'The other side says that it stored the file, but not what was sent.',
    );
  }

  /** The stream ended here. */
  foundEnd(sizeBytes: number): void {
    // Reads that overlap may each run into the end.
    this.#sizeBytes = Math.min(this.#sizeBytes ?? sizeBytes, sizeBytes);
  }

  /**
   * Answers the receiver on `request` until it says `complete`. Throws TransferError when either
   * side gives up, the connection's error when that is lost.
   */
  async serve(request: Request): Promise<Complete> {
    return await new SendLane(this, request).run();
  }
}
