/** One request on a connection, as one end sees it: what it says, and who hears the answers. */

import type { ChunkRun } from '../protocol/chunk-run.ts';
import { Conversation, type Speaker } from '../protocol/conversation.ts';
import { type FerryError, ProtocolError, TransferError } from '../protocol/errors.ts';
import type { ControlFrame, FrameOf } from '../protocol/frames.ts';
import type { ChunkBatch } from './chunk-batch.ts';
import type { SendingFigures } from './flow.ts';
import type { Block } from './input-buffer.ts';

/** Hears how many payload bytes were handed to the socket, in the moment they are. */
export type OnWritten = (bytes: number) => void;

/** Content that has passed, in bytes of chunks as they travel. */
export interface Traffic {
  receivedBytes: number;
  sentBytes: number;
}

/** What a request needs of its connection. */
export interface Carrier {
  /** Names the run of the program at the other end. */
  readonly peerSession: Uint8Array;
  /** Optional features that both sides know. */
  readonly features: readonly string[];
  say(frame: ControlFrame): void;
  /** Waits for the in-flight limit, then says a bulk frame; settles when it was handed on. */
  sayBulk(frame: ControlFrame): Promise<void>;
  sayChunks(
    request: number,
    indexes: readonly number[],
    slices: readonly Uint8Array[],
    sums: readonly bigint[],
    onWritten?: OnWritten,
  ): Promise<void>;
  /** Waits for the in-flight limit, then says chunks that are framed already; settles as `sayChunks`. */
  sayBatch(request: number, batch: ChunkBatch, onWritten: OnWritten): Promise<void>;
  /** Content of one of its requests moved. */
  moved(): void;
  /** Bulk payload bytes are done with. */
  consumed(bytes: number): void;
  pin(): Block;
  unpin(block: Block): void;
  /** Requests under way on it, this one among them. */
  readonly openRequests: number;
  /** What all requests together moved. */
  readonly traffic: Traffic;
  /** When the peer was last heard from, by the monotonic clock. */
  readonly heardAtMs: number;
  /** What bulk frames waited for so far. */
  readonly sending: SendingFigures;
  /** Whether chunks of a request are verified; they are, unless both ends agreed otherwise. */
  verify(request: number, verified: boolean): void;
  /**
   * From now on chunks of the request may have so many bytes, where those of files may not. `onClosed` is called
   * when it has come to its end, and nothing of them can be in memory any more.
   */
  takeLong(request: number, chunkBytes: number, onClosed?: () => void): void;
  /** Ends the connection, telling the peer why. */
  close(reason: FerryError): void;
}

/** Hears the frames of a request. All calls are synchronous, in the order of arrival. */
export interface Listener {
  /**
   * A control frame that the conversation allows. For a bulk one the listener owes
   * `consumed(bulkBytes)`, now or later; for any other `bulkBytes` is 0.
   */
  onFrame(frame: ControlFrame, bulkBytes: number): void;
  /**
   * Chunks, to be used or dropped; only the listener knows whether they are progress. It owes
   * `consumed(payload bytes)`, now or later; payloads are valid during the call, and longer only
   * under a pin.
   */
  onChunks?(run: ChunkRun): void;
  /** No more frames of this read: time to write what came together. */
  onReadEnd?(): void;
  /** The request is over: the peer's error, or the connection's end. Called at most once. */
  onFailed(error: FerryError): void;
}

/** How long a request is waited for. */
export interface Patience {
  /** Without anything that comes forward. */
  readonly progressMs: number;
  /** What whoever set it knows it by. */
  readonly progressName: string;
  /** With nothing but what the peer says of itself. */
  readonly workingMs: number;
}

export class Request {
  readonly id: number;
  /** Which of the two speakers we are. */
  readonly role: Speaker;
  readonly carrier: Carrier;
  readonly traffic: Traffic = { receivedBytes: 0, sentBytes: 0 };
  readonly #conversation = new Conversation();
  #listener: Listener | undefined;
  #failure: FerryError | undefined;
  #lastWorking = '';
  /** Hears what the peer's end of a bench spent. */
  onReport: (report: FrameOf<'benchReport'>) => void = () => undefined;
  /** When the request last came forward, by what either side did, or the peer says of itself. */
  progressAtMs: number = performance.now();
  /** The same without what the peer only says: it could say so for ever. */
  provenAtMs: number = performance.now();

  constructor(id: number, role: Speaker, carrier: Carrier) {
    this.id = id;
    this.role = role;
    this.carrier = carrier;
  }

  get peerRole(): Speaker {
    return this.role === 'sender' ? 'receiver' : 'sender';
  }

  get closed(): boolean {
    return this.#conversation.closed;
  }

  /** Whether nothing more may be said: the request is closed, failed, or one side has left it. */
  get over(): boolean {
    return this.closed || this.left;
  }

  /** Whether one side has said its last word before the request came to its end. */
  get left(): boolean {
    return (
      this.#failure !== undefined ||
      this.#conversation.hasLeft('sender') ||
      this.#conversation.hasLeft('receiver')
    );
  }

  get state(): string {
    return this.#conversation.state;
  }

  /** Whether a page of small files goes on in it. */
  get isPage(): boolean {
    return /^page|Page$/.test(this.#conversation.state);
  }

  /** Content came or went: the other requests of the connection wait for their turn meanwhile. */
  moved(): void {
    this.progressed();
    this.carrier.moved();
  }

  progressed(): void {
    this.progressAtMs = performance.now();
    this.provenAtMs = this.progressAtMs;
  }

  /** Why the request is to be given up by now, if it is: content of others moved at `othersMovedAtMs`. */
  overdue(
    nowMs: number,
    othersMovedAtMs: number,
    { progressMs, progressName, workingMs }: Patience,
  ): string | undefined {
    if (this.over) return undefined;
    if (nowMs - Math.max(this.progressAtMs, othersMovedAtMs) > progressMs) {
      return `Nothing moved for ${Math.round(progressMs / 1000)} s (${progressName}).`;
    }
    return nowMs - this.provenAtMs > workingMs
      ? `The other side only said for ${Math.round(workingMs / 1000)} s that it works (workingMs).`
      : undefined;
  }

  listen(listener: Listener): void {
    this.#listener = listener;
    if (this.#failure !== undefined) listener.onFailed(this.#failure);
  }

  /** Says a frame of this request; after its end nothing is said, and no harm done. */
  say(frame: ControlFrame): void {
    if (this.over) return;
    this.#conversation.advance(this.role, frame);
    this.carrier.say(frame);
  }

  async sayBulk(frame: ControlFrame): Promise<void> {
    if (this.over) return;
    this.#conversation.advance(this.role, frame);
    await this.carrier.sayBulk(frame);
    this.progressed();
  }

  /** Sends chunks in one go; `slices` may be reused when the promise settles. */
  async sayChunks(
    indexes: readonly number[],
    slices: readonly Uint8Array[],
    sums: readonly bigint[],
    onWritten?: OnWritten,
  ): Promise<void> {
    if (this.over) return;
    const written = this.#counting(onWritten);
    await this.carrier.sayChunks(this.id, indexes, slices, sums, written);
    this.moved();
  }

  /** Sends the chunks of a batch, which may be filled anew when the promise settles. */
  async sayBatch(batch: ChunkBatch, onWritten: OnWritten): Promise<void> {
    if (this.over) return;
    await this.carrier.sayBatch(this.id, batch, this.#counting(onWritten));
    this.moved();
  }

  #counting(onWritten?: OnWritten): OnWritten {
    return (bytes) => {
      this.traffic.sentBytes += bytes;
      this.carrier.traffic.sentBytes += bytes;
      onWritten?.(bytes);
    };
  }

  /**
   * Ends the request with an error that the peer is told of; who only asked says `cancel`. Broken
   * rules end the connection.
   */
  fail(error: FerryError): void {
    const { failure, message } = error;
    if (error instanceof ProtocolError) {
      this.carrier.close(error);
    } else if (this.#conversation.may(this.role, 'error')) {
      this.say({ type: 'error', request: this.id, failure, message });
    } else {
      this.say({ type: 'cancel', request: this.id });
    }
    this.#settle(error);
  }

  /** Ends the request because its opener lost interest. */
  cancel(): void {
    this.say({ type: 'cancel', request: this.id });
    this.#settle(new TransferError('cancelled', 'The request was cancelled.'));
  }

  /** The connection is gone. */
  lost(error: FerryError): void {
    this.#settle(error);
  }

  #settle(error: FerryError): void {
    if (this.#failure !== undefined) return;
    this.#failure = error;
    this.#listener?.onFailed(error);
  }

  /**
   * The peer said a frame of this request, which carried `bulkBytes` that count against the
   * in-flight limit. Throws ProtocolError when it may not say it.
   */
  hear(frame: ControlFrame, bulkBytes: number): void {
    const draining = this.over;
    this.#conversation.advance(this.peerRole, frame);
    if (frame.type === 'error' || frame.type === 'cancel') {
      this.#peerLeft(frame);
      return;
    }
    if (draining || frame.type === 'cancelled') {
      this.carrier.consumed(bulkBytes);
      return;
    }
    if (frame.type === 'benchReport') {
      this.onReport(frame);
      return;
    }
    if (frame.type !== 'working' || this.#cameForward(frame)) {
      this.progressAtMs = performance.now();
    }
    this.#listener?.onFrame(frame, bulkBytes);
  }

  /** The peer said chunks of this request. Throws ProtocolError when it may not. */
  hearChunks(run: ChunkRun): void {
    const draining = this.over;
    // No chunk changes what may be said next.
    this.#conversation.advance(this.peerRole, run.first);
    const { payloadBytes } = run;
    this.traffic.receivedBytes += payloadBytes;
    this.carrier.traffic.receivedBytes += payloadBytes;
    if (draining || this.#listener?.onChunks === undefined) this.carrier.consumed(payloadBytes);
    else this.#listener.onChunks(run);
  }

  /** Only work that gets on counts as progress. */
  #cameForward({ phase, done }: FrameOf<'working'>): boolean {
    const state = `${phase} ${done}`;
    const isNew = state !== this.#lastWorking;
    this.#lastWorking = state;
    return isNew;
  }

  #peerLeft(frame: Extract<ControlFrame, { type: 'error' | 'cancel' }>): void {
    if (!this.closed) {
      const last = { type: 'cancelled', request: this.id } as const;
      this.#conversation.advance(this.role, last);
      this.carrier.say(last);
    }
    this.#settle(
      frame.type === 'error'
        ? new TransferError(frame.failure, frame.message)
        : new TransferError('cancelled', 'The other side cancelled the request.'),
    );
  }

  readEnd(): void {
    if (!this.over) this.#listener?.onReadEnd?.();
  }
}
