/**
 * Receives one file: written once, used by the daemon's uploads and the client's downloads.
 *
 * Strategy: the receiver deals what it lacks out to the connections that take part, in `want`s. What
 * an earlier attempt left is believed at once, so that new chunks flow; meanwhile it is re-read from
 * disk and compared with the sender's checksums, and what no longer matches is wanted again. The
 * transfer is through when every chunk is written, everything believed was confirmed from both
 * sides, and the digests agree.
 */
import { FerryError, ProtocolError, TransferError } from '../protocol/errors.ts';
import type { Offer, Working } from '../protocol/frames/transfer.ts';
import type { ControlFrame, FrameOf } from '../protocol/frames.ts';
import { limits } from '../protocol/limits.ts';
import { type Range, RangeSet, unbounded } from '../protocol/ranges.ts';
import { chunkCount, chunkLength } from '../protocol/segments.ts';
import { Believed } from './believed.ts';
import { transferLimits } from './limits.ts';
import { OpenSegments } from './open-segments.ts';
import { ReceiveLane } from './receive-lane.ts';
import type { Request } from './request.ts';
import { sha256Of } from './sha256.ts';
import { Signal } from './signal.ts';
import type { ChunkSink } from './storage.ts';

export interface ReceiveOptions {
  /** Names the transfer for `join`, 16 bytes. */
  readonly transfer: Uint8Array;
  readonly epoch: number;
  /** Connections that will take part; with more than one, work is dealt out in pieces. */
  readonly connections: number;
  /** Waits until so many bytes of content may be kept, or throws. */
  readonly pass?: (bytes: number) => Promise<void>;
  /** A chunk of so many bytes arrived; `repeated` is 1 when it is damaged, and asked for again. */
  readonly onArrived?: (bytes: number, repeated: number) => void;
  /** What is held changed: bytes of the file. */
  readonly onHave?: (heldBytes: number) => void;
  readonly onWorking?: (working: Working) => void;
}

/** What proves the content: told to the sender with `complete`. */
export interface Proof {
  readonly size: number;
  readonly digest: bigint;
  readonly sha256?: Uint8Array | undefined;
}

/** Several connections get pieces of this many chunks, 32 MiB: a few seconds on a gigabit link. */
const pieceChunks = 4 * limits.segmentChunks;

export class Receiving {
  readonly sink: ChunkSink;
  readonly offer: Offer;
  readonly options: ReceiveOptions;
  /** Chunks that nobody was asked for yet. */
  readonly #lacking: RangeSet;
  readonly #lanes = new Set<ReceiveLane>();
  readonly #believed: Believed;
  readonly #wake = new Signal();
  /** Times that chunks arrived damaged which have not come intact since. */
  readonly #repeats = new Map<number, number>();
  readonly #openSegments: OpenSegments;
  #sizeBytes: number | undefined;
  /** Of a stream: how far its chunks go, and where one that was short showed its end. */
  #reachedBytes = 0;
  #lastBytes: number | undefined;
  #heldBytes = 0;
  #digest: bigint | undefined;
  #sha256: Uint8Array | undefined;
  #writes = 0;
  #sinceCheckpointBytes = 0;
  #durableBytes = 0;
  #checkpointing: Promise<void> | undefined;
  #failure: FerryError | undefined;

  constructor(sink: ChunkSink, offer: Offer, options: ReceiveOptions) {
    this.sink = sink;
    this.offer = offer;
    this.options = options;
    this.#sizeBytes = offer.size;
    const { held } = sink.ledger;
    held.remove(this.chunks, unbounded);
    this.#lacking = held.gaps(0, this.chunks);
    this.#openSegments = new OpenSegments(sink.ledger.openCount);
    this.#believed = new Believed(sink, this.chunks, offer);
    for (const { start, end } of held) this.#heldBytes += this.#rangeBytes(start, end);
  }

  /** Chunks of the whole file; without bound while its end is not known. */
  get chunks(): number {
    const { chunkBytes } = this.offer;
    return this.#sizeBytes === undefined ? unbounded : chunkCount(this.#sizeBytes, chunkBytes);
  }

  get heldBytes(): number {
    return this.#heldBytes;
  }

  /** The requests that take part. */
  get requests(): Request[] {
    return [...this.#lanes].map((lane) => lane.request);
  }

  /** When anybody who takes part was last heard from; never, once nobody does any more. */
  get heardAtMs(): number {
    return Math.max(-Infinity, ...[...this.#lanes].map((lane) => lane.request.carrier.heardAtMs));
  }

  #rangeBytes(start: number, end: number): number {
    const { chunkBytes } = this.offer;
    if (start >= end) return 0;
    const last =
      this.#sizeBytes === undefined
        ? chunkBytes
        : chunkLength(end - 1, this.#sizeBytes, chunkBytes);
    return (end - 1 - start) * chunkBytes + last;
  }

  // ---- the connections that take part ----------------------------------------------------------

  /** Lets a request take part; the first one is asked for everything that concerns the whole. */
  attach(request: Request): void {
    const lane = new ReceiveLane(request, this);
    this.#lanes.add(lane);
    request.listen(lane);
    this.#deal();
    if (this.#lanes.size === 1) {
      this.#believed.ask(request);
      // A file without chunks still needs its digest.
      if (this.chunks === 0) lane.want([], true);
    }
    this.#wake.notify();
  }

  /** A request is over; what it was asked for is dealt again. */
  detach(lane: ReceiveLane, error: FerryError): void {
    const wasPrimary = lane.isPrimary;
    if (!this.#lanes.delete(lane)) return;
    for (const { start, end } of lane.dealt) this.#lacking.add(start, end);
    // A lost connection leaves the others to go on; anything else concerns the whole.
    if (this.#lanes.size === 0 || !error.retryable) this.fail(error);
    const heir = this.primary;
    if (heir !== undefined && wasPrimary) this.#believed.ask(heir.request);
    this.#deal();
    this.#wake.notify();
  }

  /** The connection that speaks for the whole: the oldest that is left. */
  get primary(): ReceiveLane | undefined {
    return [...this.#lanes][0];
  }

  /** Asks every lane that has room for more of what is lacking. */
  #deal(): void {
    for (const lane of this.#lanes) {
      if (this.#lacking.empty) return;
      if (this.options.connections === 1) {
        const ranges = [...this.#lacking];
        this.#lacking.clear();
        lane.want(ranges, true);
        return;
      }
      while (!this.#lacking.empty && lane.dealtChunks < pieceChunks / 2) {
        lane.want([this.#lacking.takeFirst(this.#pieceSize()) as Range], false);
      }
    }
  }

  /** Near the end pieces get smaller, so that all connections finish together. */
  #pieceSize(): number {
    const share = Math.ceil(this.#lacking.size / (4 * this.options.connections));
    return Math.max(limits.segmentChunks / 4, Math.min(pieceChunks, share));
  }

  // ---- what they bring -------------------------------------------------------------------------

  /** Checks a chunk that was asked for. Throws ProtocolError when it can't be part of the file. */
  checkLength(index: number, bytes: number): void {
    const { chunkBytes } = this.offer;
    const expected =
      this.#sizeBytes === undefined
        ? Math.min(bytes, chunkBytes)
        : chunkLength(index, this.#sizeBytes, chunkBytes);
    if (bytes !== expected || index * chunkBytes + expected > limits.fileBytes) {
      throw new ProtocolError('protocol', 'A chunk has the wrong length or lies past the end.');
    }
    if (this.#sizeBytes === undefined) {
      this.#streamReached(index * chunkBytes + expected, expected < chunkBytes);
    }
  }

  /** A stream has at least so many bytes; a chunk that is shorter than the others is its last. */
  #streamReached(bytes: number, isLast: boolean): void {
    this.#reachedBytes = Math.max(this.#reachedBytes, bytes);
    if (isLast) this.#lastBytes ??= bytes;
    const endBytes = this.#lastBytes ?? this.#reachedBytes;
    if (this.#reachedBytes > endBytes || (isLast && bytes !== endBytes)) {
      throw new ProtocolError('protocol', 'A stream goes on after its last chunk.');
    }
  }

  /** A chunk arrived damaged: it is asked for again, alone, a few times. */
  repeat(lane: ReceiveLane, index: number): void {
    const times = (this.#repeats.get(index) ?? 0) + 1;
    this.#repeats.set(index, times);
    if (this.#repeats.size > transferLimits.damagedChunks) {
      const message = 'Too many chunks arrive damaged, and not again intact (damagedChunks).';
      this.fail(new TransferError('integrity', message));
      return;
    }
    if (times > limits.chunkRepeats) {
      this.fail(new TransferError('integrity', `A chunk arrived damaged ${times} times in a row.`));
      return;
    }
    lane.want([{ start: index, end: index + 1 }], this.options.connections === 1);
  }

  /** Writes a run of verified chunks; settles when the slices may be reused. */
  async write(
    first: number,
    slices: readonly Uint8Array[],
    sums: readonly bigint[],
  ): Promise<void> {
    this.#writes += 1;
    try {
      const bytes = slices.reduce((sum, slice) => sum + slice.length, 0);
      await this.options.pass?.(bytes);
      await this.sink.write(first, slices, sums);
      this.#openSegments.set(this.sink.ledger.openCount);
      for (let i = 0; i < sums.length && this.#repeats.size > 0; i += 1) {
        this.#repeats.delete(first + i);
      }
      this.#heldBytes += bytes;
      this.#sinceCheckpointBytes += bytes;
      this.options.onHave?.(this.#heldBytes);
      if (this.#sinceCheckpointBytes >= transferLimits.checkpointBytes) this.#checkpoint();
      if (this.options.connections > 1) this.#deal();
    } catch (error) {
      this.fail(asTransferError(error));
    } finally {
      this.#writes -= 1;
      this.#wake.notify();
    }
  }

  /** Tells the senders what is held; a stream's is synced first, so that it may forget it. */
  #checkpoint(): void {
    this.#sinceCheckpointBytes = 0;
    if (this.offer.rewindable) {
      this.#sayHave();
      return;
    }
    if (this.#checkpointing !== undefined) return;
    const [leading] = this.sink.ledger.held;
    const leadingChunks = leading?.start === 0 ? leading.end : 0;
    this.#checkpointing = this.sink
      .checkpoint()
      .then(() => {
        this.#durableBytes = this.#rangeBytes(0, leadingChunks);
        this.#sayHave();
      })
      .catch((error: unknown) => this.fail(asTransferError(error)))
      .finally(() => {
        this.#checkpointing = undefined;
        if (this.#sinceCheckpointBytes >= transferLimits.checkpointBytes) this.#checkpoint();
      });
  }

  #sayHave(): void {
    const have = { received: this.#heldBytes, durable: this.#durableBytes };
    for (const { request } of this.#lanes) {
      request.say({ type: 'have', request: request.id, ...have });
    }
  }

  hear(lane: ReceiveLane, frame: ControlFrame): void {
    switch (frame.type) {
      case 'end':
        this.#hearEnd(lane, frame);
        return;
      case 'sums':
        this.#wantAgain(this.#believed.compare(frame));
        if (frame.checksums.length > 0) lane.request.progressed();
        this.#wake.notify();
        return;
      case 'working':
        this.options.onWorking?.(frame);
        return;
      default:
        throw new ProtocolError('protocol', `A ${frame.type} frame makes no sense in a transfer.`);
    }
  }

  #hearEnd(lane: ReceiveLane, end: FrameOf<'end'>): void {
    if (this.#sizeBytes === undefined) {
      if (end.size < this.#reachedBytes || end.size !== (this.#lastBytes ?? end.size)) {
        throw new ProtocolError('protocol', 'A stream ends elsewhere than its chunks do.');
      }
      this.#sizeBytes = end.size;
      for (const each of this.#lanes) each.dealt.remove(this.chunks, unbounded);
      this.#lacking.remove(this.chunks, unbounded);
    }
    if (end.size !== this.#sizeBytes) {
      throw new ProtocolError('protocol', 'The file has another size than was offered.');
    }
    this.#digest = end.digest ?? this.#digest;
    this.#sha256 = end.sha256 ?? this.#sha256;
    if (lane.ended(end.round) && !lane.dealt.empty) {
      throw new ProtocolError('protocol', 'Not everything that was wanted was sent.');
    }
    const isProved = end.digest !== undefined && (end.sha256 !== undefined || !this.offer.sha256);
    if (lane.isEnded && lane.askedLast && !isProved) {
      throw new ProtocolError('protocol', 'The digest that was asked for is missing.');
    }
    this.#deal();
    this.#wake.notify();
  }

  /** Segments that turned out wrong are forgotten and asked for once more. */
  #wantAgain(segments: readonly number[]): void {
    for (const segment of segments) {
      const start = segment * limits.segmentChunks;
      const end = Math.min(start + limits.segmentChunks, this.chunks);
      for (const held of this.sink.ledger.held.within(start, end)) {
        this.#heldBytes -= this.#rangeBytes(held.start, held.end);
      }
      this.sink.forget(segment);
      this.#lacking.add(start, end);
      for (const { dealt } of this.#lanes) {
        for (const range of dealt) this.#lacking.remove(range.start, range.end);
      }
    }
    if (segments.length > 0) this.#deal();
  }

  // ---- the end ---------------------------------------------------------------------------------

  /** Ends the transfer: everybody who takes part is told, `finish` throws. */
  fail(error: FerryError): void {
    if (this.#failure !== undefined) return;
    this.#failure = error;
    for (const { request } of this.#lanes) request.fail(error);
    this.#wake.notify();
  }

  /**
   * Waits until the content is whole, verified and proved. Throws what ended the transfer
   * otherwise; the partial is kept then, except where it was proved wrong.
   */
  async finish(): Promise<Proof> {
    const verifying = this.#verify();
    try {
      for (;;) {
        if (this.#failure !== undefined) throw this.#failure;
        if (this.#isWhole()) {
          if (this.#digest !== undefined) break;
          this.#askDigest();
        }
        await this.#wake.wait();
      }
    } finally {
      this.#believed.stop();
      await verifying;
      await this.#settled();
      this.#openSegments.close();
    }
    return await this.#prove();
  }

  #isWhole(): boolean {
    const idle = this.#writes === 0 && this.#lacking.empty && this.#believed.done;
    return (
      idle &&
      this.#sizeBytes !== undefined &&
      [...this.#lanes].every((lane) => lane.isEnded && lane.dealt.empty) &&
      this.sink.ledger.held.hasAll(0, this.chunks)
    );
  }

  #askDigest(): void {
    const lane = this.primary;
    if (lane !== undefined && !lane.askedLast) lane.want([], true);
  }

  /** Re-reads what was believed; tells the sender now and then that this goes on. */
  async #verify(): Promise<void> {
    try {
      await this.#believed.verify(
        (segment) => this.#wantAgain([segment]),
        (done, total) => this.#working({ phase: 'verifying', done, total }),
      );
      // A stream is read on only when its sender may forget what an earlier attempt brought here.
      const isResumedStream = !this.offer.rewindable && this.#heldBytes > 0;
      if (isResumedStream && this.#failure === undefined) this.#checkpoint();
    } catch (error) {
      this.fail(asTransferError(error));
    }
    this.#wake.notify();
  }

  #working(working: Working): void {
    for (const { request } of this.#lanes) {
      request.progressed();
      request.say({ type: 'working', request: request.id, ...working });
    }
    this.options.onWorking?.(working);
  }

  /** No write of ours is under way. */
  async #settled(): Promise<void> {
    await this.#checkpointing;
    while (this.#writes > 0) await this.#wake.wait();
  }

  async #prove(): Promise<Proof> {
    const size = this.#sizeBytes as number;
    const digest = this.sink.ledger.digest(size, this.offer.chunkBytes);
    if (digest === undefined || digest !== this.#digest) {
      throw await this.#disproved('The received file differs from the one that was sent.');
    }
    if (!this.offer.sha256) return { size, digest };
    const sha256 = await sha256Of(this.sink, size, (done) =>
      this.#working({ phase: 'hashing', done, total: size }),
    );
    if (this.#sha256 === undefined || Buffer.compare(sha256, this.#sha256) !== 0) {
      throw await this.#disproved('The SHA-256 of the received file is not that of the one sent.');
    }
    return { size, digest, sha256 };
  }

  /** A partial that was proved wrong must not be continued. */
  async #disproved(message: string): Promise<TransferError> {
    await this.sink.discard();
    const error = new TransferError('integrity', message);
    this.fail(error);
    return error;
  }

  /** Answers the senders: the file is stored, or at least nothing more is needed of them. */
  complete({ digest, sha256 }: Proof): void {
    for (const lane of this.#lanes) {
      const { request } = lane;
      const outcome = lane === this.primary ? 'stored' : 'released';
      request.say({ type: 'complete', request: request.id, outcome, digest, sha256 });
    }
    this.#lanes.clear();
  }
}

function asTransferError(error: unknown): FerryError {
  return error instanceof FerryError
    ? error
    : new TransferError('internal', 'Storing failed unexpectedly.', { cause: error });
}
