/** Writes frames to a link: control frames at once, bulk frames as the peer and the socket allow. */
import type { Duplex } from 'node:stream';
import { FerryError } from '../protocol/errors.ts';
import { chunkCode } from '../protocol/frames.ts';
import { encodeHeader, headerBytes } from '../protocol/header.ts';
import { bufferPool } from './buffer-pool.ts';
import { BusyTime } from './busy-time.ts';
import type { ChunkBatch } from './chunk-batch.ts';
import { type SendingFigures, SendWindow } from './flow.ts';
import { transferLimits } from './limits.ts';
import type { OnWritten } from './request.ts';
import { Signal } from './signal.ts';

/** Chunks of one request that leave together. */
export interface LeavingRun {
  readonly request: number;
  readonly indexes: readonly number[];
  readonly slices: readonly Uint8Array[];
  readonly sums: readonly bigint[];
  readonly onWritten?: OnWritten | undefined;
}

/** Memory of a run with its headers. */
const runMemoryBytes = transferLimits.sendRunBytes + transferLimits.sendRunChunks * headerBytes;

/** Memory of answers that wait, of all connections of the process together. */
let repliesBytes = 0;

export class FrameWriter {
  readonly #link: Duplex;
  readonly #opened = new Signal();
  /** Undefined until the peer told it: before that nothing bulky may leave. */
  #window: SendWindow | undefined;
  #drained: Promise<void> | undefined;
  #wakeDraining: (() => void) | undefined;
  readonly #windowTime = new BusyTime();
  readonly #socketTime = new BusyTime();
  #failure: FerryError | undefined;
  /** When something was last written, by the monotonic clock. */
  wroteAtMs: number = performance.now();
  /** Memory of all frames but chunks that the link has not taken yet. */
  #controlBytes = 0;

  constructor(link: Duplex) {
    this.#link = link;
  }

  get figures(): SendingFigures {
    return {
      windowMs: this.#windowTime.ms,
      socketMs: this.#socketTime.ms,
      confirmedBytes: this.#window?.consumedBytes ?? 0,
    };
  }

  /** The peer takes so many bulk bytes at a time. */
  open(inFlightBytes: number): void {
    this.#window = new SendWindow(inFlightBytes);
    this.#opened.notify();
  }

  /** The peer confirmed bulk bytes. Throws ProtocolError when it can't have. */
  credit(consumedBytes: number): void {
    this.#window?.credit(consumedBytes);
  }

  /** Nothing can be written any more. */
  fail(error: FerryError): void {
    this.#failure = error;
    this.#window?.fail(error);
    this.#opened.notify();
  }

  /** Bulk frames that wait for a peer that does not read, and whose request is over, wait no more. */
  dropUnwanted(): void {
    this.#window?.dropUnwanted();
    this.#wakeDraining?.();
  }

  write(bytes: Uint8Array): void {
    this.wroteAtMs = performance.now();
    const queuedBytes = bytes.length + transferLimits.queuedFrameBytes;
    this.#controlBytes += queuedBytes;
    repliesBytes += queuedBytes;
    // Also called for what will never leave.
    this.#link.write(bytes, () => {
      this.#controlBytes -= queuedBytes;
      repliesBytes -= queuedBytes;
    });
  }

  /** Whether more than `mostBytes` of answers wait, or more than there is room for in all. */
  isBehind(mostBytes: number): boolean {
    const hasRoom = repliesBytes <= transferLimits.repliesBytes;
    return this.#controlBytes > (hasRoom ? mostBytes : transferLimits.repliesLeastBytes);
  }

  /** Writes a bulk frame when it may leave, and if `mayWrite` still says so then. */
  async bulk(frame: Uint8Array, mayWrite: () => boolean): Promise<void> {
    const payloadBytes = frame.length - headerBytes;
    if (await this.#turn(payloadBytes, mayWrite, transferLimits.pageQueueBytes)) this.write(frame);
  }

  /** Writes chunks in portions that fit the peer's window; settles when slices may be reused. */
  async chunks(run: LeavingRun, mayWrite: () => boolean): Promise<void> {
    const { slices, onWritten } = run;
    const lengths = slices.map(({ length }) => length);
    const { limitBytes } = await this.#whenOpen();
    const mostBytes = Math.min(limitBytes, transferLimits.sendRunBytes);
    for (let from = 0, to = 0; from < slices.length; from = to) {
      let bytes = 0;
      do {
        bytes += lengths[to] as number;
        to += 1;
      } while (to < slices.length && bytes + (lengths[to] as number) <= mostBytes);
      if (!(await this.#turn(bytes, mayWrite))) return;
      // What the socket holds may have left, whatever becomes of the connection.
      onWritten?.(bytes);
      await this.#putRun(run, from, to, bytes);
    }
  }

  async #putRun(run: LeavingRun, from: number, to: number, payloadBytes: number): Promise<void> {
    const bytes = (to - from) * headerBytes + payloadBytes;
    // What is dropped after each run would wait for a garbage collection.
    const pooled = bytes <= runMemoryBytes ? bufferPool.take(runMemoryBytes) : undefined;
    try {
      const memory = pooled === undefined ? Buffer.allocUnsafe(bytes) : pooled.subarray(0, bytes);
      await this.#socketTime.during(this.#put(framed(run, from, to, memory)));
    } finally {
      if (pooled !== undefined) bufferPool.give(pooled);
    }
  }

  /** Writes framed chunks in portions that fit the peer's window; settles when they were copied out. */
  async batch(batch: ChunkBatch, onWritten: OnWritten, mayWrite: () => boolean): Promise<void> {
    const { limitBytes } = await this.#whenOpen();
    for (let from = 0, to = 0; from < batch.chunks; from = to) {
      do to += 1;
      while (to < batch.chunks && batch.payloadBytes(from, to + 1) <= limitBytes);
      const bytes = batch.payloadBytes(from, to);
      if (!(await this.#turn(bytes, () => !batch.isDropped && mayWrite()))) return;
      // What the socket holds may have left, whatever becomes of the connection.
      onWritten(bytes);
      await this.#socketTime.during(this.#put(batch.frames(from, to)));
    }
  }

  /** Settles when the link has taken the bytes over. */
  async #put(bytes: Uint8Array): Promise<void> {
    this.wroteAtMs = performance.now();
    await new Promise<void>((resolve, reject) => {
      this.#link.write(bytes, (cause) => {
        if (cause) reject(this.#failure ?? writeFailed(cause));
        else resolve();
      });
    });
  }

  /** Waits for the window and the socket; false when the frame has no business any more. */
  async #turn(
    payloadBytes: number,
    mayWrite: () => boolean,
    queueBytes: number = transferLimits.sendQueueBytes,
  ): Promise<boolean> {
    const window = await this.#whenOpen();
    if (!(await this.#windowTime.during(window.reserve(payloadBytes, mayWrite)))) return false;
    await this.#socketTime.during(this.#drain(queueBytes, mayWrite));
    if (this.#failure !== undefined) throw this.#failure;
    if (mayWrite()) return true;
    window.giveBack(payloadBytes);
    return false;
  }

  async #whenOpen(): Promise<SendWindow> {
    while (this.#window === undefined) {
      if (this.#failure !== undefined) throw this.#failure;
      await this.#opened.wait();
    }
    return this.#window;
  }

  /** Waits until less than `queueBytes` are queued on the socket: who woke first may have filled it. */
  async #drain(queueBytes: number, isWanted: () => boolean): Promise<void> {
    const isFull = (): boolean => this.#link.writableLength >= queueBytes;
    while (this.#failure === undefined && isFull() && isWanted()) {
      this.#drained ??= this.#nextDrain();
      await this.#drained;
    }
  }

  #nextDrain(): Promise<void> {
    return new Promise((resolve) => {
      const go = (): void => {
        this.#drained = undefined;
        this.#wakeDraining = undefined;
        this.#link.off('drain', go);
        this.#link.off('close', go);
        resolve();
      };
      this.#wakeDraining = go;
      this.#link.once('drain', go);
      this.#link.once('close', go);
    });
  }
}

/** The chunks from `from` to before `to` in one piece: of small ones a copy costs less than a vector. */
function framed(run: LeavingRun, from: number, to: number, bytes: Uint8Array): Uint8Array {
  const { request, indexes, slices, sums } = run;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  let at = 0;
  for (let i = from; i < to; i += 1) {
    const payload = slices[i] as Uint8Array;
    const header = {
      type: chunkCode,
      flags: 0,
      length: payload.length,
      request,
      index: indexes[i] as number,
      checksum: sums[i] as bigint,
    };
    encodeHeader(header, view, at);
    bytes.set(payload, at + headerBytes);
    at += headerBytes + payload.length;
  }
  return bytes;
}

function writeFailed(cause: Error): FerryError {
  return new FerryError('connection-lost', 'The connection was lost.', { cause });
}
