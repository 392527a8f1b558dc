/** One connection's part in sending a file: what is wanted of it, and the batches that go out. */
import { FerryError, ProtocolError, TransferError } from '../protocol/errors.ts';
import type { Complete, Working } from '../protocol/frames/transfer.ts';
import type { ControlFrame, FrameOf } from '../protocol/frames.ts';
import { limits, segmentBytes } from '../protocol/limits.ts';
import { type Range, RangeSet, unbounded } from '../protocol/ranges.ts';
import type { ChunkBatch, Framing } from './chunk-batch.ts';
import { Comparisons } from './comparisons.ts';
import { Demand } from './demand.ts';
import { transferLimits } from './limits.ts';
import type { Request } from './request.ts';
import type { Sending } from './send.ts';
import { SendBatches } from './send-batches.ts';
import { sha256Of } from './sha256.ts';
import { Signal } from './signal.ts';
import { sourceChanged } from './source-changed.ts';
import { SourceChecksums } from './source-checksums.ts';
import { whileWorking } from './working.ts';
import { zeroChunksFeature } from './zeros.ts';

export class SendLane {
  readonly #sending: Sending;
  readonly #request: Request;
  readonly #wanted = new RangeSet();
  readonly #wake = new Signal();
  readonly #batches: SendBatches;
  /** Content that its rate and quota let pass, and that was dropped before it left. */
  #passedBytes = 0;
  /** Settles when the batch begun last has left: batches leave in the order of the file. */
  #before: Promise<void> = Promise.resolve();
  readonly #wantedAgain = new Demand();
  readonly #comparisons: Comparisons;
  #round = 0;
  #endedRound = 0;
  #last = false;
  #underWay = 0;
  #complete: Complete | undefined;
  #failure: FerryError | undefined;

  constructor(sending: Sending, request: Request) {
    this.#sending = sending;
    this.#request = request;
    this.#batches = new SendBatches(sending, request.carrier);
    this.#comparisons = new Comparisons(sending, request);
  }

  get #framing(): Framing {
    const { checksums = true } = this.#sending.options;
    const knowsZeros = this.#request.carrier.features.includes(zeroChunksFeature);
    return { checksums, zeroChunks: checksums && knowsZeros };
  }

  get #over(): boolean {
    return this.#complete !== undefined || this.#failure !== undefined;
  }

  async run(): Promise<Complete> {
    this.#request.listen({
      onFrame: (frame, bulkBytes) => this.#hear(frame, bulkBytes),
      onFailed: (error) => this.#fail(error),
    });
    try {
      await Promise.all([this.#sendLoop(), this.#compareLoop()]);
    } finally {
      this.#batches.close();
    }
    if (this.#failure !== undefined) throw this.#failure;
    const complete = this.#complete as Complete;
    if (complete.outcome === 'stored') await this.#checkStored(complete);
    return complete;
  }

  #fail(error: unknown): void {
    const failure =
      error instanceof FerryError
        ? error
        : new TransferError('internal', 'Reading failed unexpectedly.', { cause: error });
    this.#failure ??= failure;
    this.#request.fail(failure);
    this.#wake.notify();
    this.#comparisons.wake();
  }

  #hear(frame: ControlFrame, bulkBytes: number): void {
    const { options, source } = this.#sending;
    this.#request.carrier.consumed(bulkBytes);
    switch (frame.type) {
      case 'want':
        this.#hearWant(frame);
        return;
      case 'compare':
        this.#comparisons.hear(frame);
        this.#checkHeld(this.#comparisons.waiting);
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
        this.#comparisons.wake();
        return;
      default:
        throw new ProtocolError('protocol', `A ${frame.type} frame makes no sense in a transfer.`);
    }
  }

  #hearWant(want: FrameOf<'want'>): void {
    const { round, last, ranges } = want;
    this.#sending.options.onWant?.(want);
    const { chunks, sent, source } = this.#sending;
    // A want without ranges has the digest told again.
    let again = ranges.length === 0 ? 1 : 0;
    for (const { start, end } of ranges) {
      // Where a stream ended the receiver can't know before it is told.
      if (start >= chunks && source.size !== undefined) {
        throw new ProtocolError('protocol', 'A chunk past the end of the file is wanted.');
      }
      this.#wanted.add(start, Math.min(end, chunks));
      again += sent.within(start, end).size;
    }
    this.#checkHeld(this.#wanted.rangeCount);
    this.#wantedAgain.add(again, sent.size);
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
        const batch = this.#wanted.empty ? undefined : this.#batches.take();
        if (batch !== undefined) this.#startBatch(batch);
        else if (this.#owesEnd()) await this.#sayEnd();
        else await this.#wake.wait();
      }
    } catch (error) {
      this.#fail(error);
    }
  }

  #owesEnd(): boolean {
    return this.#wanted.empty && this.#underWay === 0 && this.#round > this.#endedRound;
  }

  #startBatch(batch: ChunkBatch): void {
    const range = this.#wanted.takeFirst(batch.capacity) as Range;
    let waitedMs = 0;
    this.#underWay += 1;
    this.#before = this.#sendBatch(range, batch, this.#before)
      .then((ms) => void (waitedMs = ms))
      .catch((error: unknown) => this.#fail(error))
      .finally(() => {
        this.#underWay -= 1;
        this.#batches.giveBack(batch, waitedMs);
        this.#wake.notify();
      });
  }

  /** Reads at once, and sends after what came `before`; gives how long the reader took. */
  async #sendBatch(range: Range, batch: ChunkBatch, before: Promise<void>): Promise<number> {
    const { options } = this.#sending;
    const bytes = await this.#read(batch, range);
    this.#sending.hash(range.start * options.chunkBytes, batch.payloads(bytes));
    batch.seal(this.#request.id, range.start, bytes, this.#framing);
    const leaving = batch.payloadBytes();
    const stalled = setTimeout(() => this.#batches.dropWaiting(batch), transferLimits.stallMs);
    try {
      await before;
      await this.#pass(leaving);
      const startedAtMs = performance.now();
      if (!batch.isDropped) await this.#say(range, batch);
      if (batch.isDropped) {
        this.#passedBytes += leaving;
        this.#wanted.add(range.start, range.end);
      }
      return performance.now() - startedAtMs;
    } finally {
      clearTimeout(stalled);
    }
  }

  async #pass(bytes: number): Promise<void> {
    const passed = Math.min(bytes, this.#passedBytes);
    this.#passedBytes -= passed;
    if (bytes > passed) await this.#sending.options.pass?.(bytes - passed);
  }

  async #say(range: Range, batch: ChunkBatch): Promise<void> {
    let isFirst = true;
    await this.#request.sayBatch(batch, (written) => {
      this.#sending.options.onSent?.(
        written,
        isFirst ? this.#sending.leaving(range.start, batch.sums) : 0,
      );
      isFirst = false;
    });
  }

  /** Fills the batch with the chunks of `range`; gives fewer bytes only where the file ends. */
  async #read(batch: ChunkBatch, range: Range): Promise<number> {
    const { source, options, sizeBytes } = this.#sending;
    const position = range.start * options.chunkBytes;
    const most = (range.end - range.start) * options.chunkBytes;
    const expected = sizeBytes === undefined ? most : Math.min(most, sizeBytes - position);
    const reading = batch.fill(source, position, expected);
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
    if (digest !== undefined) this.#sending.proved(digest, sha256);
    this.#request.say({ type: 'end', request: this.#request.id, round, size, digest, sha256 });
  }

  // ---- checksums -----------------------------------------------------------------------------

  async #compareLoop(): Promise<void> {
    try {
      await this.#comparisons.run(
        () => this.#over,
        () => this.#wake.notify(),
      );
    } catch (error) {
      this.#fail(error);
    }
  }

  async #digest(): Promise<bigint | undefined> {
    const round = this.#round;
    while (this.#comparisons.isBusy && !this.#over) {
      await this.#wake.wait();
      // What differs is wanted again, and needn't wait for the rest of the comparison.
      if (this.#round !== round) return undefined;
    }
    return await this.#wholeDigest(() => this.#over);
  }

  /** It may be told again for an answer that was lost: then nothing was proved here yet. */
  async #checkStored(complete: Complete): Promise<void> {
    const { source, isProved } = this.#sending;
    if (!isProved && source.rewindable && complete.digest !== undefined) {
      this.#sending.proved(await this.#wholeDigest(() => false));
    }
    this.#sending.checkStored(complete);
  }

  /** Reads what the ledger lacks. */
  async #wholeDigest(mustStop: () => boolean): Promise<bigint | undefined> {
    const { source, ledger, chunks, sizeBytes, options } = this.#sending;
    const total = sizeBytes ?? 0;
    const checksums = new SourceChecksums(source, options.chunkBytes, ledger, mustStop);
    for (const { start, end } of ledger.held.gaps(0, chunks)) {
      for (let first = start; first < end && !mustStop(); first += limits.segmentChunks) {
        await checksums.chunks(first, Math.min(end, first + limits.segmentChunks));
        this.#working({ phase: 'hashing', done: first * options.chunkBytes, total });
      }
    }
    return ledger.digest(total, options.chunkBytes);
  }

  async #sha256(): Promise<Uint8Array | undefined> {
    const { source, sizeBytes = 0 } = this.#sending;
    if (!source.rewindable) return this.#sending.hashed;
    return await sha256Of(
      source,
      sizeBytes,
      (done) => this.#working({ phase: 'hashing', done, total: sizeBytes }),
      () => this.#over,
    );
  }
}
