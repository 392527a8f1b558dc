/**
 * Sends one file: written once, used by the client's uploads and the daemon's downloads.
 *
 * Strategy: the receiver says what it lacks; the sender answers wants in order, several batches at a
 * time (one being read, one being sent), and computes checksums for `compare` beside that, so that
 * new chunks flow while old ones are compared. All checksums, whatever they were computed for,
 * go into one ledger: it gives the digest that proves the whole.
 */
import { createHash } from 'node:crypto';
import { checksum } from '../protocol/checksum.ts';
import { FerryError, ProtocolError, TransferError } from '../protocol/errors.ts';
import type { Level } from '../protocol/frames/requests.ts';
import type { Complete, Want, Working } from '../protocol/frames/transfer.ts';
import type { ControlFrame, FrameOf } from '../protocol/frames.ts';
import { limits, segmentBytes } from '../protocol/limits.ts';
import { type Range, RangeSet, unbounded } from '../protocol/ranges.ts';
import { chunkCount, Ledger } from '../protocol/segments.ts';
import { transferLimits } from './limits.ts';
import type { Request } from './request.ts';
import { Signal } from './signal.ts';
import { SourceChecksums, sumsPage } from './source-checksums.ts';
import type { ChunkSource } from './storage.ts';
import { whileWorking } from './working.ts';

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
  hash(position: number, bytes: Uint8Array): void {
    const from = this.#hashedBytes - position;
    if (!this.options.sha256 || this.source.rewindable || from < 0 || from >= bytes.length) return;
    this.#hash.update(bytes.subarray(from));
    this.#hashedBytes = position + bytes.length;
  }

  /** SHA-256 of a stream up to here. */
  get hashed(): Uint8Array {
    return this.#hash.copy().digest();
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

interface CompareJob extends Range {
  readonly level: Level;
}

class SendLane {
  readonly #sending: Sending;
  readonly #request: Request;
  readonly #wanted = new RangeSet();
  readonly #wake = new Signal();
  readonly #compareWake = new Signal();
  readonly #buffers: Uint8Array[] = [];
  #jobs: CompareJob[] = [];
  #checksums: SourceChecksums | undefined;
  #comparing = false;
  #round = 0;
  #endedRound = 0;
  #last = false;
  #batches = 0;
  #complete: Complete | undefined;
  #failure: FerryError | undefined;

  constructor(sending: Sending, request: Request) {
    this.#sending = sending;
    this.#request = request;
  }

  get #over(): boolean {
    return this.#complete !== undefined || this.#failure !== undefined;
  }

  async run(): Promise<Complete> {
    const { source, options, sizeBytes = Infinity } = this.#sending;
    const { batchBytes: wantedBytes = transferLimits.sendBatchBytes } = options;
    const mostBytes = Math.max(wantedBytes, options.chunkBytes);
    // Most files are small: what they need is allocated, no more.
    const batchBytes = Math.min(mostBytes, Math.max(options.chunkBytes, sizeBytes));
    const mostBatches = source.rewindable ? transferLimits.sendBatches : 1;
    const batches = Math.min(mostBatches, Math.ceil(sizeBytes / batchBytes));
    for (let i = 0; i < batches; i += 1) this.#buffers.push(Buffer.allocUnsafeSlow(batchBytes));
    this.#request.listen({
      onFrame: (frame, bulkBytes) => this.#hear(frame, bulkBytes),
      onFailed: (error) => this.#fail(error),
    });
    await Promise.all([this.#sendLoop(), this.#compareLoop()]);
    if (this.#failure !== undefined) throw this.#failure;
    return this.#complete as Complete;
  }

  #fail(error: unknown): void {
    const failure =
      error instanceof FerryError
        ? error
        : new TransferError('internal', 'Reading failed unexpectedly.', { cause: error });
    this.#failure ??= failure;
    this.#request.fail(failure);
    this.#wake.notify();
    this.#compareWake.notify();
  }

  #hear(frame: ControlFrame, bulkBytes: number): void {
    const { options, source } = this.#sending;
    this.#request.carrier.consumed(bulkBytes);
    switch (frame.type) {
      case 'want':
        this.#hearWant(frame);
        return;
      case 'compare':
        for (const range of frame.ranges) this.#jobs.push({ level: frame.level, ...range });
        this.#checkHeld(this.#jobs.length);
        this.#compareWake.notify();
        return;
      case 'have':
        // A stream keeps the segment that its receiver may ask about chunk by chunk.
        source.release(Math.floor(frame.durable / segmentBytes) * segmentBytes);
        options.onHave?.(frame.received);
        return;
      case 'working':
        options.onWorking?.(frame);
        return;
      case 'complete':
        this.#complete = frame;
        this.#wake.notify();
        this.#compareWake.notify();
        return;
      default:
        throw new ProtocolError('protocol', `A ${frame.type} frame makes no sense in a transfer.`);
    }
  }

  #hearWant(want: FrameOf<'want'>): void {
    const { round, last, ranges } = want;
    this.#sending.options.onWant?.(want);
    const { chunks, source } = this.#sending;
    for (const { start, end } of ranges) {
      // Where a stream ended the receiver can't know before it is told.
      if (start >= chunks && source.size !== undefined) {
        throw new ProtocolError('protocol', 'A chunk past the end of the file is wanted.');
      }
      this.#wanted.add(start, Math.min(end, chunks));
    }
    this.#checkHeld(this.#wanted.rangeCount);
    this.#round = round;
    this.#last = last;
    this.#wake.notify();
  }

  #checkHeld(count: number): void {
    if (count > transferLimits.rangesHeld) {
      throw new ProtocolError('protocol', 'Too many ranges are wanted at once.');
    }
  }

  // ---- chunks --------------------------------------------------------------------------------

  async #sendLoop(): Promise<void> {
    try {
      while (!this.#over) {
        if (!this.#wanted.empty && this.#buffers.length > 0) this.#startBatch();
        else if (this.#owesEnd()) await this.#sayEnd();
        else await this.#wake.wait();
      }
    } catch (error) {
      this.#fail(error);
    }
  }

  #owesEnd(): boolean {
    return this.#wanted.empty && this.#batches === 0 && this.#round > this.#endedRound;
  }

  #startBatch(): void {
    const buffer = this.#buffers.pop() as Uint8Array;
    const { chunkBytes } = this.#sending.options;
    const range = this.#wanted.takeFirst(Math.floor(buffer.length / chunkBytes)) as Range;
    this.#batches += 1;
    this.#sendBatch(range, buffer)
      .catch((error: unknown) => this.#fail(error))
      .finally(() => {
        this.#batches -= 1;
        this.#buffers.push(buffer);
        this.#wake.notify();
      });
  }

  async #sendBatch(range: Range, buffer: Uint8Array): Promise<void> {
    const { options, sent, ledger } = this.#sending;
    const bytes = await this.#read(buffer, range);
    this.#sending.hash(range.start * options.chunkBytes, buffer.subarray(0, bytes));
    const indexes: number[] = [];
    const slices: Uint8Array[] = [];
    const sums: bigint[] = [];
    let repeated = 0;
    for (let at = 0; at < bytes; at += options.chunkBytes) {
      const index = range.start + indexes.length;
      const slice = buffer.subarray(at, Math.min(at + options.chunkBytes, bytes));
      const sum = options.checksums === false ? 0n : checksum(slice);
      if (sent.has(index)) repeated += 1;
      sent.add(index, index + 1);
      ledger.add(index, sum);
      indexes.push(index);
      slices.push(slice);
      sums.push(sum);
    }
    if (indexes.length === 0) return;
    await this.#request.sayChunks(indexes, slices, sums, (written) => {
      options.onSent?.(written, repeated);
      repeated = 0;
    });
  }

  /** Fills `buffer` with the chunks of `range`; gives fewer bytes only where the file ends. */
  async #read(buffer: Uint8Array, range: Range): Promise<number> {
    const { source, options, sizeBytes } = this.#sending;
    const position = range.start * options.chunkBytes;
    const most = (range.end - range.start) * options.chunkBytes;
    const expected = sizeBytes === undefined ? most : Math.min(most, sizeBytes - position);
    const reading = source.read(buffer.subarray(0, expected), position);
    // A stream's producer may take its time: meanwhile the receiver hears that we are alive.
    const bytes = source.rewindable
      ? await reading
      : await whileWorking(() => [this.#request], 'waiting', reading);
    if (bytes < expected) {
      if (sizeBytes !== undefined) throw sourceChanged();
      this.#sending.foundEnd(position + bytes);
      this.#wanted.remove(this.#sending.chunks, unbounded);
    }
    return bytes;
  }

  #working(working: Working): void {
    this.#request.progressed();
    this.#request.say({ type: 'working', request: this.#request.id, ...working });
    this.#sending.options.onWorking?.(working);
  }

  async #sayEnd(): Promise<void> {
    const { source, sizeBytes, options } = this.#sending;
    const round = this.#round;
    if (!(await source.unchanged())) throw sourceChanged();
    let digest: bigint | undefined;
    let sha256: Uint8Array | undefined;
    if (this.#last) {
      digest = await this.#digest();
      if (options.sha256 && this.#round === round) sha256 = await this.#sha256();
      if (!(await source.unchanged())) throw sourceChanged();
    }
    // Something new was wanted meanwhile: this round's end will be the end of that one.
    if (this.#round !== round || this.#over) return;
    this.#endedRound = round;
    const size = sizeBytes ?? 0;
    this.#request.say({ type: 'end', request: this.#request.id, round, size, digest, sha256 });
  }

  // ---- checksums -----------------------------------------------------------------------------

  async #compareLoop(): Promise<void> {
    try {
      while (!this.#over) {
        const job = this.#jobs.shift();
        if (job === undefined) {
          await this.#compareWake.wait();
          continue;
        }
        this.#comparing = true;
        await this.#compare(job);
        this.#comparing = false;
        this.#wake.notify();
      }
    } catch (error) {
      this.#fail(error);
    }
  }

  async #compare({ level, start, end }: CompareJob): Promise<void> {
    const { chunks } = this.#sending;
    if (end > SourceChecksums.count(level, chunks)) {
      throw new ProtocolError('protocol', 'Checksums past the end are asked for.');
    }
    this.#checksums ??= this.#newChecksums();
    for (let first = start; first < end && !this.#over; first += sumsPage) {
      const last = Math.min(end, first + sumsPage);
      const checksums = await this.#checksums.of(level, first, last, chunks);
      const request = this.#request.id;
      await this.#request.sayBulk({ type: 'sums', request, level, first, checksums, last: false });
    }
  }

  #newChecksums(): SourceChecksums {
    const { source, options, ledger } = this.#sending;
    return new SourceChecksums(source, options.chunkBytes, ledger);
  }

  async #digest(): Promise<bigint | undefined> {
    const round = this.#round;
    while ((this.#jobs.length > 0 || this.#comparing) && !this.#over) {
      await this.#wake.wait();
      // What differs is wanted again, and needn't wait for the rest of the comparison.
      if (this.#round !== round) return undefined;
    }
    const { ledger, chunks, sizeBytes, options } = this.#sending;
    const total = sizeBytes ?? 0;
    const checksums = this.#newChecksums();
    for (const { start, end } of ledger.held.gaps(0, chunks)) {
      for (let first = start; first < end && !this.#over; first += limits.segmentChunks) {
        await checksums.chunks(first, Math.min(end, first + limits.segmentChunks));
        this.#working({ phase: 'hashing', done: first * options.chunkBytes, total });
      }
    }
    return ledger.digest(total, options.chunkBytes);
  }

  async #sha256(): Promise<Uint8Array> {
    const { source, sizeBytes = 0 } = this.#sending;
    if (!source.rewindable) return this.#sending.hashed;
    return await sha256Of(source, sizeBytes, (done) =>
      this.#working({ phase: 'hashing', done, total: sizeBytes }),
    );
  }
}

/** Said at most this often while a file is read for its SHA-256. */
const workingMs = 500;

/** SHA-256 of the first `sizeBytes` of what can be read, telling now and then how far it got. */
export async function sha256Of(
  source: Pick<ChunkSource, 'read'>,
  sizeBytes: number,
  onProgress: (doneBytes: number) => void,
): Promise<Uint8Array> {
  const hash = createHash('sha256');
  const buffer = Buffer.allocUnsafeSlow(transferLimits.sendBatchBytes);
  let toldAtMs = performance.now();
  for (let position = 0; position < sizeBytes; ) {
    const length = Math.min(buffer.length, sizeBytes - position);
    const bytes = await source.read(buffer.subarray(0, length), position);
    if (bytes < length) throw sourceChanged();
    hash.update(buffer.subarray(0, bytes));
    position += bytes;
    if (performance.now() - toldAtMs > workingMs) {
      toldAtMs = performance.now();
      onProgress(position);
    }
  }
  return hash.digest();
}

function sourceChanged(): TransferError {
  return new TransferError('source-changed', 'The file changed while it was being sent.');
}
