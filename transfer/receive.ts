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
import { unbounded } from '../protocol/ranges.ts';
import { atOnce } from './at-once.ts';
import { Believed } from './believed.ts';
import { Checkpoints, type Have } from './checkpoints.ts';
import { Dealer } from './dealer.ts';
import { KnownSize } from './known-size.ts';
import { OpenSegments } from './open-segments.ts';
import { type Proof, prove } from './proof.ts';
import { ReceiveLane } from './receive-lane.ts';
import { Repeats } from './repeats.ts';
import type { Request } from './request.ts';
import { Signal } from './signal.ts';
import type { ChunkSink } from './storage.ts';

export interface ReceiveOptions {
  /** Names the transfer for `join`, 16 bytes. */
  readonly transfer: Uint8Array;
  readonly epoch: number;
  /** Connections that will take part; with more than one, work is dealt out in pieces. */
  readonly connections: number;
  /** Waits until so many bytes of content may be kept, or rejects; `atOnce` where they may be. */
  readonly pass?: (bytes: number) => Promise<void>;
  /** Chunks of so many bytes arrived; `repeated` of them are damaged, and asked for again. */
  readonly onArrived?: (bytes: number, repeated: number) => void;
  /** What is held changed: bytes of the file. */
  readonly onHave?: (heldBytes: number) => void;
  readonly onWorking?: (working: Working) => void;
}

export class Receiving {
  readonly sink: ChunkSink;
  readonly offer: Offer;
  readonly options: ReceiveOptions;
  readonly knownSize: KnownSize;
  readonly #dealer: Dealer;
  readonly #lanes = new Set<ReceiveLane>();
  readonly #believed: Believed;
  readonly #wake = new Signal();
  readonly #repeats = new Repeats();
  readonly #openSegments: OpenSegments;
  readonly #checkpoints: Checkpoints;
  #heldBytes = 0;
  #digest: bigint | undefined;
  #sha256: Uint8Array | undefined;
  #writes = 0;
  #failure: FerryError | undefined;

  constructor(sink: ChunkSink, offer: Offer, options: ReceiveOptions) {
    this.sink = sink;
    this.offer = offer;
    this.options = options;
    this.knownSize = new KnownSize(offer.chunkBytes, offer.size);
    this.#checkpoints = new Checkpoints(sink, this.knownSize, {
      rewindable: offer.rewindable,
      heldBytes: () => this.#heldBytes,
      say: (have) => this.#sayHave(have),
      onFailed: (error) => this.fail(asTransferError(error)),
    });
    const { held } = sink.ledger;
    held.remove(this.#chunks, unbounded);
    this.#dealer = new Dealer(held.gaps(0, this.#chunks), options.connections);
    this.#openSegments = new OpenSegments(sink.ledger.openCount);
    this.#believed = new Believed(sink, this.#chunks, offer);
    for (const { start, end } of held) this.#heldBytes += this.knownSize.bytesOf(start, end);
  }

  get #chunks(): number {
    return this.knownSize.chunks;
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

  // ---- the connections that take part ----------------------------------------------------------

  /** Lets a request take part; the first one is asked for everything that concerns the whole. */
  attach(request: Request): void {
    const lane = new ReceiveLane(request, this);
    this.#lanes.add(lane);
    request.listen(lane);
    this.#dealer.deal(this.#lanes);
    if (this.#lanes.size === 1) {
      this.#believed.ask(request);
      // A file without chunks still needs its digest.
      if (this.#chunks === 0) lane.want([], true);
    }
    this.#wake.notify();
  }

  /** A request is over; what it was asked for is dealt again. */
  detach(lane: ReceiveLane, error: FerryError): void {
    const wasPrimary = lane.isPrimary;
    if (!this.#lanes.delete(lane)) return;
    for (const { start, end } of lane.dealt) this.#dealer.lacking.add(start, end);
    // A lost connection leaves the others to go on; anything else concerns the whole.
    if (this.#lanes.size === 0 || !error.retryable) this.fail(error);
    const heir = this.primary;
    if (heir !== undefined && wasPrimary) this.#believed.ask(heir.request);
    this.#dealer.deal(this.#lanes);
    this.#wake.notify();
  }

  /** The connection that speaks for the whole: the oldest that is left. */
  get primary(): ReceiveLane | undefined {
    return [...this.#lanes][0];
  }

  // ---- what they bring -------------------------------------------------------------------------

  /** A chunk arrived damaged: it is asked for again, alone, a few times. */
  repeat(lane: ReceiveLane, index: number): void {
    const fault = this.#repeats.damaged(index);
    if (fault !== undefined) {
      this.fail(fault);
      return;
    }
    lane.want([{ start: index, end: index + 1 }], this.options.connections === 1);
  }

  /** Writes a run of verified chunks; settles, as a sink's write, when the slices may be reused. */
  write(first: number, slices: readonly Uint8Array[], sums: readonly bigint[]): Promise<void> {
    const bytes = slices.reduce((sum, slice) => sum + slice.length, 0);
    const passing = this.options.pass?.(bytes) ?? atOnce;
    const writing =
      passing === atOnce
        ? this.sink.write(first, slices, sums)
        : passing.then(() => this.sink.write(first, slices, sums));
    if (writing !== atOnce) return this.#whenWritten(writing, first, sums.length, bytes);
    this.#wrote(first, sums.length, bytes);
    return atOnce;
  }

  async #whenWritten(
    writing: Promise<void>,
    first: number,
    chunks: number,
    bytes: number,
  ): Promise<void> {
    this.#writes += 1;
    try {
      await writing;
    } catch (error) {
      this.fail(asTransferError(error));
      return;
    } finally {
      this.#writes -= 1;
      this.#wake.notify();
    }
    this.#wrote(first, chunks, bytes);
  }

  #wrote(first: number, chunks: number, bytes: number): void {
    try {
      this.#openSegments.set(this.sink.ledger.openCount);
      this.#repeats.intact(first, chunks);
      this.#heldBytes += bytes;
      this.options.onHave?.(this.#heldBytes);
      this.#checkpoints.wrote(bytes);
      const isDealt = this.options.connections > 1 && this.#failure === undefined;
      if (isDealt) this.#dealer.deal(this.#lanes);
    } catch (error) {
      this.fail(asTransferError(error));
    }
    this.#wake.notify();
  }

  #sayHave(have: Have): void {
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
    if (this.knownSize.endAt(end.size)) {
      for (const each of this.#lanes) each.dealt.remove(this.#chunks, unbounded);
      this.#dealer.lacking.remove(this.#chunks, unbounded);
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
    this.#dealer.deal(this.#lanes);
    this.#wake.notify();
  }

  /** Segments that turned out wrong are forgotten and asked for once more. */
  #wantAgain(segments: readonly number[]): void {
    for (const segment of segments) {
      const start = segment * limits.segmentChunks;
      const end = Math.min(start + limits.segmentChunks, this.#chunks);
      for (const held of this.sink.ledger.held.within(start, end)) {
        this.#heldBytes -= this.knownSize.bytesOf(held.start, held.end);
      }
      this.sink.forget(segment);
      this.#dealer.lacking.add(start, end);
      for (const { dealt } of this.#lanes) {
        for (const range of dealt) this.#dealer.lacking.remove(range.start, range.end);
      }
    }
    if (segments.length > 0) this.#dealer.deal(this.#lanes);
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
    const idle = this.#writes === 0 && this.#dealer.lacking.empty && this.#believed.done;
    return (
      idle &&
      this.knownSize.sizeBytes !== undefined &&
      [...this.#lanes].every((lane) => lane.isEnded && lane.dealt.empty) &&
      this.sink.ledger.held.hasAll(0, this.#chunks)
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
      if (isResumedStream && this.#failure === undefined) this.#checkpoints.take();
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
    await this.#checkpoints.settled();
    while (this.#writes > 0) await this.#wake.wait();
  }

  async #prove(): Promise<Proof> {
    const size = this.knownSize.sizeBytes as number;
    const told = { digest: this.#digest, sha256: this.#sha256 };
    try {
      return await prove(
        this.sink,
        this.offer,
        size,
        told,
        (done) => this.#working({ phase: 'hashing', done, total: size }),
        () => this.#failure !== undefined,
      );
    } catch (error) {
      if (this.#failure !== undefined) throw this.#failure;
      if (error instanceof TransferError && error.failure === 'integrity') this.fail(error);
      throw error;
    }
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
