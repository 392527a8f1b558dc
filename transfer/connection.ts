/**
 * One connection: a socket that carries frames, and the requests on it.
 *
 * Strategy: everything that is heard is handled synchronously, in the order of arrival, in the call
 * that read it; only writes wait. So a peer can't make us queue what we haven't looked at, and both
 * ends go on reading while their writes are blocked.
 */
import type { Duplex } from 'node:stream';
import type { ChunkRun } from '../protocol/chunk-run.ts';
import { FrameDecoder } from '../protocol/decoder.ts';
import { FerryError, ProtocolError, TransferError } from '../protocol/errors.ts';
import type { Hello, ToldLimits } from '../protocol/frames/connection.ts';
import {
  type ChunkFrame,
  type ControlFrame,
  encodeFrame,
  type Frame,
  isBulk,
} from '../protocol/frames.ts';
import { headerBytes } from '../protocol/header.ts';
import type { ChunkBatch } from './chunk-batch.ts';
import { Deadlines, type Timeouts } from './deadlines.ts';
import { ReceiveWindow, type SendingFigures } from './flow.ts';
import { FrameWriter } from './frame-writer.ts';
import { agreeLimits } from './greeting.ts';
import {
  ClientHandshake,
  DaemonHandshake,
  type Handshake,
  type Prover,
  Unproved,
  type Verifier,
} from './handshake.ts';
import type { Block, InputBuffer } from './input-buffer.ts';
import { transferLimits } from './limits.ts';
import { LongChunks } from './long-chunks.ts';
import { OpenRequests } from './open-requests.ts';
import { Pings } from './pings.ts';
import type { Carrier, OnWritten, Request, Traffic } from './request.ts';
import { zeroChunksFeature } from './zeros.ts';

export interface ConnectionOptions extends Timeouts {
  /** Only a client opens requests. */
  readonly side: 'client' | 'daemon';
  readonly hello: Hello;
  /** A client's token; undefined: it has none. */
  readonly prover?: Prover | undefined;
  /** By what a daemon knows its clients; undefined: it takes everybody. */
  readonly verifier?: Verifier | undefined;
  /** Where content is counted, that of other connections too. */
  readonly traffic?: Traffic;
  /** A request of the peer, with the frame that opened it; the daemon's side needs it. */
  readonly onRequest?: (request: Request, frame: ControlFrame) => void;
  /** Answers that wait for a peer that doesn't read; more ends the connection. */
  readonly replyQueueBytes?: number;
  readonly greetingBytes?: number;
}

/** A client without a valid proof is `refused`: it hears of it later, and nothing it says counts. */
type Phase = 'greeting' | 'refused' | 'open' | 'closed';

export class Connection implements Carrier {
  readonly #link: Duplex;
  readonly #input: InputBuffer;
  readonly #options: ConnectionOptions;
  readonly #decoder: FrameDecoder;
  readonly #handshake: Handshake;
  #greetedBytes = 0;
  readonly #requests: OpenRequests;
  readonly #longChunks = new LongChunks();
  readonly #ticker: NodeJS.Timeout;
  readonly #deadlines: Deadlines;
  #phase: Phase = 'greeting';
  #agreed: ToldLimits | undefined;
  readonly #writer: FrameWriter;
  readonly traffic: Traffic;
  #receiveWindow: ReceiveWindow;
  #saidGoodbye = false;
  #heardGoodbye = false;
  #failure: FerryError | undefined;
  /** Ends a link that does not close by itself. */
  #lingering: NodeJS.Timeout | undefined;
  readonly pings: Pings = new Pings();
  /** Settles when both hellos are through, with the peer's; rejects when they never will be. */
  readonly ready: Promise<Hello>;
  /** Settles when the connection is over, with the reason if it was not asked for. */
  readonly closed: Promise<FerryError | undefined>;
  #resolveReady: (hello: Hello) => void = () => undefined;
  #rejectReady: (error: Error) => void = () => undefined;
  #resolveClosed: (error: FerryError | undefined) => void = () => undefined;

  constructor(link: Duplex, input: InputBuffer, options: ConnectionOptions) {
    this.#link = link;
    this.#writer = new FrameWriter(link);
    this.#input = input;
    this.#options = options;
    this.#deadlines = new Deadlines(options);
    this.traffic = options.traffic ?? { receivedBytes: 0, sentBytes: 0 };
    const write = (bytes: Uint8Array): void => this.#writer.write(bytes);
    this.#handshake =
      options.side === 'client'
        ? new ClientHandshake(options.hello, options.prover, write)
        : new DaemonHandshake(options.hello, options.verifier, write);
    const ours = options.hello.limits;
    this.#requests = new OpenRequests(this, options.side, ours);
    this.#decoder = new FrameDecoder(this.#longChunks.most);
    this.#receiveWindow = new ReceiveWindow(
      ours.inFlightBytes,
      transferLimits.creditBytes,
      (consumed) => this.say({ type: 'credit', request: 0, consumed }),
    );
    this.ready = new Promise((resolve, reject) => {
      this.#resolveReady = resolve;
      this.#rejectReady = reject;
    });
    this.ready.catch(() => undefined); // Whoever doesn't wait for it learns from `closed`.
    this.closed = new Promise((resolve) => {
      this.#resolveClosed = resolve;
    });
    input.parse = (block) => this.#parse(block);
    link.on('error', (cause) => this.#lost(cause));
    link.on('close', () => {
      this.#lost();
      clearTimeout(this.#lingering);
    });
    link.on('end', () => this.#lost());
    this.#ticker = setInterval(() => this.#tick(), this.#deadlines.tickMs);
    this.#handshake.begin();
  }

  get peer(): Hello {
    const { peer } = this.#handshake;
    if (peer === undefined) throw new Error('The connection has not greeted yet.');
    return peer;
  }

  get heardAtMs(): number {
    return this.#deadlines.heardAtMs;
  }

  get peerSession(): Uint8Array {
    return this.peer.session;
  }

  /** The smaller of both sides' limits. */
  get agreed(): ToldLimits {
    if (this.#agreed === undefined) throw new Error('The connection has not greeted yet.');
    return this.#agreed;
  }

  /** Optional features that both sides know. */
  get features(): readonly string[] {
    return this.#options.hello.features.filter((name) => this.peer.features.includes(name));
  }

  get isOpen(): boolean {
    return this.#phase === 'open' && !this.#heardGoodbye;
  }

  get openRequests(): number {
    return this.#requests.count;
  }

  // ---- hearing -------------------------------------------------------------------------------

  /** Parses all whole frames of the block; gives the bytes that the next one needs. */
  #parse(block: Block): number {
    try {
      this.#deadlines.heard(block.end - block.start);
      if (!this.#readPreamble(block)) return block.end - block.start + 1;
      this.#receiveWindow.readBegin();
      this.#parseFrames(block);
      if (this.#phase === 'closed') return 0;
      this.#deadlines.parsed(block.end - block.start);
      for (const request of this.#requests) request.readEnd();
      this.#receiveWindow.readEnd();
    } catch (error) {
      this.#breach(error);
    }
    return this.#decoder.neededBytes;
  }

  #parseFrames(block: Block): void {
    while (this.#phase !== 'closed') {
      if (this.#phase === 'refused') block.start = block.end;
      const { bytes, view, start } = block;
      const decoded = this.#decoder.next(bytes, view, start, block.end);
      if (this.#phase === 'greeting') this.#countGreeting(decoded?.length ?? 0);
      if (decoded === undefined) return;
      const { frame, length } = decoded;
      block.start += length;
      if (this.#phase === 'greeting') {
        this.#greet(frame, bytes.subarray(start + headerBytes, start + length));
      } else if (frame.type === 'chunk') {
        this.#hearRun(this.#runFrom(frame, block));
      } else {
        this.#dispatch(frame, length - headerBytes);
      }
    }
  }

  /** Whether the preamble is behind us. */
  #readPreamble(block: Block): boolean {
    const { preamble } = this.#handshake;
    if (preamble.done) return true;
    const taken = preamble.read(block.bytes.subarray(block.start, block.end));
    block.start += taken;
    this.#greetedBytes += taken;
    if (preamble.done) this.#handshake.preambleRead();
    return preamble.done;
  }

  /** Who has not proved a token yet gets little room to talk. */
  #countGreeting(bytes: number): void {
    this.#greetedBytes += bytes;
    const wanted = bytes === 0 ? this.#decoder.neededBytes : 0;
    const { greetingBytes = transferLimits.greetingBytes } = this.#options;
    if (this.#greetedBytes + wanted > greetingBytes) {
      throw new ProtocolError('protocol', 'The greeting is too long (greetingBytes).');
    }
  }

  #greet(frame: Frame, payload: Uint8Array): void {
    this.#handshake.hear(frame, payload);
    if (this.#handshake.done) this.#open();
  }

  /** A chunk that was decoded, with those that follow it in the block. */
  #runFrom(first: ChunkFrame, block: Block): ChunkRun {
    const { run, end } = this.#decoder.run(first, block, transferLimits.arrivedChunks);
    block.start = end;
    return run;
  }

  #hearRun(run: ChunkRun): void {
    // Of a run that is more than the peer may have on its way nothing is heard.
    for (const { length } of run.payloads) this.#receiveWindow.received(length);
    // Only an open request has chunks.
    const request = this.#requests.hear(run.first) as Request;
    request.hearChunks(run);
    if (request.closed) this.#tidy(request.id);
  }

  #dispatch(frame: ControlFrame, payloadBytes: number): void {
    const bulkBytes = isBulk(frame.type) ? payloadBytes : 0;
    if (bulkBytes > 0) this.#receiveWindow.received(bulkBytes);
    if (frame.request === 0) {
      this.#hearConnection(frame);
      return;
    }
    const request = this.#requests.hear(frame);
    if (request === undefined) {
      this.consumed(bulkBytes);
      return;
    }
    const isNew = request.state === 'idle';
    request.hear(frame, bulkBytes);
    if (isNew) this.#begin(request, frame);
    if (request.closed) this.#tidy(request.id);
  }

  #begin(request: Request, frame: ControlFrame): void {
    if (this.#saidGoodbye) request.fail(new TransferError('stopping', 'The daemon is stopping.'));
    else this.#options.onRequest?.(request, frame);
  }

  /** The greeting is through: requests may come. */
  #open(): void {
    const { peer } = this;
    if (this.#options.side === 'client') {
      this.pings.took(performance.now() - this.#deadlines.startedAtMs);
    }
    this.#agreed = agreeLimits(this.#options.hello.limits, peer.limits);
    const { inFlightBytes } = this.#agreed;
    this.#writer.open(inFlightBytes);
    this.#receiveWindow.agree(inFlightBytes);
    this.#decoder.zeroChunks = this.features.includes(zeroChunksFeature);
    this.#phase = 'open';
    this.#resolveReady(peer);
  }

  #hearConnection(frame: Frame): void {
    switch (frame.type) {
      case 'ping':
        this.say({ type: 'pong', request: 0, token: frame.token });
        return;
      case 'pong':
        this.pings.answered(frame.token);
        return;
      case 'credit':
        this.#writer.credit(frame.consumed);
        return;
      case 'goodbye':
        this.#heardGoodbye = true;
        return;
      case 'error':
        this.#end(new ProtocolError(frame.failure, frame.message));
        return;
      default:
        throw new ProtocolError('protocol', `A ${frame.type} frame is not allowed now.`);
    }
  }

  // ---- saying --------------------------------------------------------------------------------

  /** Opens a request with its first frame (whose request id is filled in). */
  open(frame: ControlFrame): Request {
    if (this.#phase === 'closed') throw this.#failure ?? connectionLost();
    if (this.#phase !== 'open' && this.#options.prover !== undefined) {
      throw new Error('A request may not leave before the daemon has proved itself.');
    }
    return this.#requests.open(frame);
  }

  say(frame: ControlFrame): void {
    if (this.#phase === 'closed') return;
    this.#writer.write(encodeFrame(frame));
    this.#tidy(frame.request);
    const { replyQueueBytes = transferLimits.replyQueueBytes } = this.#options;
    if (this.#writer.isBehind(replyQueueBytes)) {
      this.#end(
        new ProtocolError('timeout', 'The other side does not read its answers (replyQueueBytes).'),
      );
    }
  }

  async sayBulk(frame: ControlFrame): Promise<void> {
    await this.#writer.bulk(encodeFrame(frame), this.#maySay(frame.request));
    this.#tidy(frame.request);
  }

  async sayChunks(
    request: number,
    indexes: readonly number[],
    slices: readonly Uint8Array[],
    sums: readonly bigint[],
    onWritten?: OnWritten,
  ): Promise<void> {
    await this.#writer.chunks({ request, indexes, slices, sums, onWritten }, this.#maySay(request));
  }

  async sayBatch(request: number, batch: ChunkBatch, onWritten: OnWritten): Promise<void> {
    await this.#writer.batch(batch, onWritten, this.#maySay(request));
  }

  /** Forgets the request if it has come to its end for both sides. */
  #tidy(request: number): void {
    this.#requests.tidy(request);
    if (this.#requests.get(request) !== undefined) return;
    this.#longChunks.close(request);
    this.#input.longFrames = this.#longChunks.any;
  }

  /** Whether a request still goes on: nothing may follow a last word. */
  #maySay(request: number): () => boolean {
    return () => this.#requests.get(request)?.left === false;
  }

  verify(request: number, verified: boolean): void {
    if (verified) this.#decoder.unverified.delete(request);
    else this.#decoder.unverified.add(request);
  }

  takeLong(request: number, chunkBytes: number, onClosed: () => void = () => undefined): void {
    if (this.#requests.get(request) === undefined) {
      onClosed();
      return;
    }
    this.#longChunks.take(request, { chunkBytes, onClosed });
    this.#input.longFrames = this.#longChunks.any;
  }

  /** What bulk frames waited for so far, and what of them the peer has taken. */
  get sending(): SendingFigures {
    return this.#writer.figures;
  }

  moved(): void {
    this.#deadlines.movedAtMs = performance.now();
  }

  consumed(bytes: number): void {
    if (bytes > 0 && this.#phase !== 'closed') this.#receiveWindow.consumed(bytes);
  }

  pin(): Block {
    return this.#input.pin();
  }

  unpin(block: Block): void {
    this.#input.unpin(block);
  }

  /** Asks the peer for a sign of life and measures how long it takes. */
  ping(): void {
    this.say({ type: 'ping', request: 0, token: this.pings.next() });
  }

  // ---- time ----------------------------------------------------------------------------------

  #tick(): void {
    const now = performance.now();
    if (this.#phase === 'refused') return;
    if (this.#phase === 'greeting') {
      if (this.#deadlines.greetingIsOver(now)) this.#end(timedOut('did not greet in time'));
      return;
    }
    if (this.#deadlines.owesSign(now, this.#writer.wroteAtMs)) this.ping();
    if (this.#input.paused) this.#deadlines.notReading(now);
    const fault = this.#deadlines.overdue(now);
    if (fault !== undefined) {
      this.close(timedOut(fault));
      return;
    }
    for (const request of this.#requests) {
      const overdue = this.#deadlines.requestOverdue(request, now);
      if (overdue !== undefined) request.fail(new FerryError('timeout', overdue));
    }
    this.#writer.dropUnwanted();
  }

  // ---- ending --------------------------------------------------------------------------------

  /** Tells the peer that no more requests will come or be served; those under way go on. */
  goodbye(): void {
    if (this.#phase !== 'open' || this.#saidGoodbye) return;
    this.#saidGoodbye = true;
    this.say({ type: 'goodbye', request: 0 });
  }

  /** Ends the connection, telling the peer why when there is a reason. */
  close(reason?: FerryError): void {
    if (reason !== undefined && this.#phase === 'open') {
      this.say({ type: 'error', request: 0, failure: reason.failure, message: reason.message });
    }
    this.#end(reason, true);
  }

  /** Something thrown while we listened: the peer broke the rules, or we are broken. */
  #breach(error: unknown): void {
    if (error instanceof Unproved && error.delayMs > 0 && this.#phase === 'greeting') {
      this.#phase = 'refused';
      const { delayMs, message } = error;
      setTimeout(() => this.#breach(new ProtocolError('authentication', message)), delayMs).unref();
      return;
    }
    const failure =
      error instanceof FerryError
        ? error
        : new FerryError('internal', 'Something unexpected went wrong.', { cause: error });
    // Before a valid preamble nobody is told anything.
    const isToldToPeer = this.#handshake.preamble.done;
    if (isToldToPeer && this.#phase !== 'closed') {
      const { failure: name, message } = failure;
      this.#writer.write(encodeFrame({ type: 'error', request: 0, failure: name, message }));
    }
    this.#end(failure, isToldToPeer);
  }

  #lost(cause?: Error): void {
    this.#input.last();
    const isThrough = (this.#saidGoodbye || this.#heardGoodbye) && this.#requests.count === 0;
    this.#end(isThrough ? undefined : connectionLost(cause));
  }

  #end(failure: FerryError | undefined, flush = false): void {
    if (this.#phase === 'closed') return;
    this.#phase = 'closed';
    this.#failure = failure;
    clearInterval(this.#ticker);
    const error = failure ?? connectionLost();
    this.#rejectReady(error);
    this.#writer.fail(error);
    for (const request of this.#requests) request.lost(error);
    this.#requests.clear();
    this.#longChunks.closeAll();
    if (flush) this.#link.end(() => this.#link.destroy());
    else this.#link.destroy();
    // A peer that reads nothing any more must not keep the socket.
    this.#lingering = setTimeout(() => this.#link.destroy(), transferLimits.lingerMs).unref();
    this.#input.release();
    this.#resolveClosed(failure);
  }
}

function connectionLost(cause?: Error): FerryError {
  return new FerryError('connection-lost', 'The connection was lost.', { cause });
}

function timedOut(what: string): FerryError {
  return new FerryError('timeout', `The other side ${what}.`);
}
