/** What one end of a measured transfer spends its time on. */
import { BusyTime } from '../busy-time.ts';
import type { Carrier } from '../request.ts';
import type { ChunkSink, ChunkSource } from '../storage.ts';
import type { Throttle } from '../throttle.ts';

/** Milliseconds since the meter began, and how much passed. */
export interface EndFigures {
  readonly elapsedMs: number;
  readonly bytes: number;
  readonly chunksRepeated: number;
  /** With a read or write of the disk under way. */
  readonly diskMs: number;
  /** With a chunk waiting for `credit`. */
  readonly windowMs: number;
  /** With a chunk waiting for the socket. */
  readonly socketMs: number;
  /** Held back to keep to a rate. */
  readonly pacedMs: number;
}

export class Meter {
  #startedAtMs = performance.now();
  readonly #carrier: Pick<Carrier, 'sending'>;
  #sendingBefore: Carrier['sending'];
  readonly disk: BusyTime = new BusyTime();
  readonly paced: BusyTime = new BusyTime();
  #bytes = 0;
  #chunksRepeated = 0;

  constructor(carrier: Pick<Carrier, 'sending'>) {
    this.#carrier = carrier;
    this.#sendingBefore = carrier.sending;
  }

  /** What was before does not count. */
  begin(): void {
    this.#startedAtMs = performance.now();
    this.#sendingBefore = this.#carrier.sending;
  }

  /** Content that passed so far. */
  get bytes(): number {
    return this.#bytes;
  }

  get figures(): EndFigures {
    const { windowMs, socketMs } = this.#carrier.sending;
    return {
      elapsedMs: performance.now() - this.#startedAtMs,
      bytes: this.#bytes,
      chunksRepeated: this.#chunksRepeated,
      diskMs: this.disk.ms,
      windowMs: windowMs - this.#sendingBefore.windowMs,
      socketMs: socketMs - this.#sendingBefore.socketMs,
      pacedMs: this.paced.ms,
    };
  }

  /** Content passed, `repeated` chunks of it for another time. */
  readonly passed = (bytes: number, repeated: number): void => {
    this.#bytes += bytes;
    this.#chunksRepeated += repeated;
  };

  /** `source`, with its reads timed when they go to a disk, and no faster than `throttle` lets them. */
  source(source: ChunkSource, onDisk: boolean, throttle: Throttle | undefined): ChunkSource {
    return {
      size: source.size,
      mtimeNs: source.mtimeNs,
      mode: source.mode,
      identity: source.identity,
      rewindable: source.rewindable,
      // At a rate it is read chunk by chunk, so that the rate is even.
      readv: throttle === undefined ? source.readv : undefined,
      read: async (buffer, positionBytes) => {
        const reading = source.read(buffer, positionBytes);
        const bytes = await (onDisk ? this.disk.during(reading) : reading);
        if (throttle !== undefined) await this.paced.during(throttle.pass(bytes));
        return bytes;
      },
      release: (positionBytes) => source.release(positionBytes),
      unchanged: () => source.unchanged(),
      close: () => source.close(),
    };
  }

  /** A sink on a disk, with its writes and syncs timed; each write carries `writeBytes`. */
  sink(sink: ChunkSink, runChunks: number): ChunkSink {
    return {
      ledger: sink.ledger,
      ordered: sink.ordered,
      runChunks,
      write: (first, slices, sums) => this.disk.during(sink.write(first, slices, sums)),
      read: (buffer, positionBytes) => sink.read(buffer, positionBytes),
      forget: (segment) => sink.forget(segment),
      checkpoint: () => this.disk.during(sink.checkpoint()),
      commit: (file) => this.disk.during(sink.commit(file)),
      discard: () => sink.discard(),
      close: () => sink.close(),
    };
  }
}
