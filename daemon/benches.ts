/**
 * Measurements as the daemon sees them: it makes content up or drops it, and tells what that took.
 * Nothing of it gets a name or counts as anybody's content.
 */
import { totalmem } from 'node:os';
import { type FerryError, TransferError } from '../protocol/errors.ts';
import type { FrameOf } from '../protocol/frames.ts';
import { atOnce } from '../transfer/at-once.ts';
import { BusyClock } from '../transfer/measure/busy-clock.ts';
import { type Extent, MadeUpSource } from '../transfer/measure/made-up.ts';
import { Meter } from '../transfer/measure/meter.ts';
import {
  hashMeasured,
  madeUpOffer,
  openScratchSource,
  receiveMeasured,
  sendMeasured,
} from '../transfer/measure/transfers.ts';
import type { Request } from '../transfer/request.ts';
import type { Storage } from '../transfer/storage.ts';
import { Throttle } from '../transfer/throttle.ts';
import { whilePassing } from '../transfer/working.ts';
import type { Allowance } from './allowances.ts';
import { type DaemonLimits, defaultLimits } from './limits.ts';
import type { Shares } from './shares.ts';
import type { Summary } from './uploads.ts';

type BenchLimits = Pick<DaemonLimits, 'benches' | 'benchBytes' | 'benchMs'>;

/** Of the thread that all of them share. */
const clock = new BusyClock();
/** Reports more often than this tell nothing new. */
const reportMsLeast = 50;
/** What is put on a disk to be read where nobody says how much. */
const usualStoreBytes = 1024 ** 3;
/** Between two signs that hashing goes on. */
const workingMs = 500;

export class Benches {
  readonly #shares: Shares;
  readonly #limits: BenchLimits;
  /** Processor time of this process so far, in microseconds. */
  readonly #cpuUs: () => number;
  readonly #open = new Set<OpenBench>();

  constructor(shares: Shares, limits: BenchLimits = defaultLimits, cpuUs: () => number = () => 0) {
    this.#shares = shares;
    this.#limits = limits;
    this.#cpuUs = cpuUs;
  }

  /** Ends all that is under way. */
  stop(error: FerryError): void {
    for (const { request } of this.#open) request.fail(error);
  }

  /** Does the daemon's part of a bench, at the token's rate and beside its quota. Throws FerryError. */
  async serve(
    request: Request,
    bench: FrameOf<'bench'>,
    allowance: Pick<Allowance, 'pace'>,
  ): Promise<Summary> {
    if (this.#open.size >= this.#limits.benches) throw limitReached('benches', this.#limits);
    const open = new OpenBench(request, bench, this.#limits, this.#cpuUs, allowance);
    this.#open.add(open);
    try {
      const storage = bench.store === 'disk' ? this.#shares.at(bench.path).storage : undefined;
      await this.#perform(open, storage);
      return { path: bench.path, result: bench.part, bytes: open.meter.bytes };
    } finally {
      open.close();
      this.#open.delete(open);
    }
  }

  async #perform(open: OpenBench, storage: Storage | undefined): Promise<void> {
    switch (open.bench.part) {
      case 'receive':
        await open.receive(storage, () => this.#leftBytes(open));
        return;
      case 'send':
        await open.send(storage, this.#leftBytes(open));
        return;
      case 'hash':
        await open.hash();
        return;
    }
  }

  /** What `open` may have on the disks, beside all others. */
  #leftBytes(open: OpenBench): number {
    let bytes = this.#limits.benchBytes;
    for (const other of this.#open) if (other !== open) bytes -= other.dataBytes;
    return Math.max(0, bytes);
  }
}

/** One bench under way. */
class OpenBench {
  readonly request: Request;
  readonly bench: FrameOf<'bench'>;
  readonly meter: Meter;
  /** Content that it has on a disk. */
  dataBytes = 0;
  readonly #limits: BenchLimits;
  readonly #cpuUs: () => number;
  readonly #allowance: Pick<Allowance, 'pace'>;
  #reporter: NodeJS.Timeout | undefined;
  #timer: NodeJS.Timeout | undefined;

  constructor(
    request: Request,
    bench: FrameOf<'bench'>,
    limits: BenchLimits,
    cpuUs: () => number,
    allowance: Pick<Allowance, 'pace'>,
  ) {
    this.request = request;
    this.bench = bench;
    this.#limits = limits;
    this.#cpuUs = cpuUs;
    this.#allowance = allowance;
    this.meter = new Meter(request.carrier);
  }

  /** Lets content pass at the token's rate; a peer that waits for it hears why. */
  readonly #pass = (bytes: number): Promise<void> => {
    const passing = whilePassing(() => [this.request], this.#allowance.pace(bytes));
    return passing === atOnce ? passing : this.meter.paced.during(passing);
  };

  /** Reports now and then, from now on. */
  #reportOften(): void {
    const { reportMs } = this.bench;
    if (reportMs === undefined) return;
    this.#reporter = setInterval(() => this.#report(), Math.max(reportMsLeast, reportMs));
  }

  close(): void {
    clearInterval(this.#reporter);
    clearTimeout(this.#timer);
  }

  async receive(storage: Storage | undefined, leftBytes: () => number): Promise<void> {
    const { bench, meter, request } = this;
    const { chunkBytes, size, writeBytes, checksums } = bench;
    const offer = madeUpOffer({ chunkBytes, size });
    this.#reportOften();
    this.#after(this.#limits.benchMs, () => request.fail(limitReached('benchMs', this.#limits)));
    await receiveMeasured(request, offer, {
      writeBytes,
      checksums,
      meter,
      storage,
      pass: this.#pass,
      onArrived: () => {
        if (storage === undefined) return;
        this.dataBytes = meter.bytes;
        if (this.dataBytes > leftBytes()) throw limitReached('benchBytes', this.#limits);
      },
      onComplete: () => this.#report(),
    });
  }

  async send(storage: Storage | undefined, leftBytes: number): Promise<void> {
    const { bench, meter, request } = this;
    const { chunkBytes, durationMs, writeBytes, checksums, bytesPerSecond } = bench;
    // Where time may end it, its size can't be known.
    const size = durationMs === undefined ? bench.size : undefined;
    const extent = { chunkBytes, size, mostBytes: bench.size };
    const source =
      storage === undefined
        ? new MadeUpSource(extent)
        : await this.#scratch(storage, extent, leftBytes);
    try {
      request.say({ type: 'offer', request: request.id, ...madeUpOffer(extent) });
      this.#reportOften();
      const throttle = bytesPerSecond === undefined ? undefined : new Throttle(bytesPerSecond);
      const onDisk = storage !== undefined;
      await sendMeasured(request, source, {
        chunkBytes,
        writeBytes,
        checksums,
        meter,
        onDisk,
        throttle,
        pass: this.#pass,
        onBegin: () => {
          meter.begin();
          const stopMs = Math.min(durationMs ?? Infinity, this.#limits.benchMs);
          this.#after(stopMs, () => source.stop());
        },
        onEnd: () => this.#report(),
      });
    } finally {
      await source.close();
    }
  }

  /** Writes what will be read: whole chunks, as many as are wanted and allowed. */
  async #scratch(storage: Storage, extent: Extent, leftBytes: number): Promise<MadeUpSource> {
    const { chunkBytes, size = Infinity, storeBytes = usualStoreBytes } = this.bench;
    const chunks = Math.ceil(Math.min(size, storeBytes, leftBytes) / chunkBytes);
    if (leftBytes < chunkBytes) throw limitReached('benchBytes', this.#limits);
    this.dataBytes = Math.max(1, chunks) * chunkBytes;
    const { request, dataBytes: total } = this;
    return await openScratchSource(storage, extent, total, (done) => {
      request.progressed();
      request.say({ type: 'working', request: request.id, phase: 'waiting', done, total });
    });
  }

  async hash(): Promise<void> {
    const { request, meter } = this;
    const { chunkBytes, size = Infinity, durationMs = Infinity } = this.bench;
    let isOver = false;
    this.#reportOften();
    this.#after(Math.min(durationMs, this.#limits.benchMs), () => {
      isOver = true;
    });
    const ticker = setInterval(() => {
      request.progressed();
      const { id } = request;
      request.say({ type: 'working', request: id, phase: 'hashing', done: meter.bytes, total: 0 });
    }, workingMs);
    await hashMeasured(chunkBytes, meter, () => isOver || request.over || meter.bytes >= size);
    clearInterval(ticker);
    this.#report();
    request.say({ type: 'done', request: request.id });
  }

  #after(ms: number, work: () => void): void {
    this.#timer = setTimeout(work, ms);
  }

  #report(): void {
    const { elapsedMs, diskMs, windowMs, socketMs, pacedMs, ...counts } = this.meter.figures;
    const { busyMs, aliveMs } = clock.read();
    this.request.say({
      type: 'benchReport',
      request: this.request.id,
      ...counts,
      elapsedUs: micros(elapsedMs),
      diskUs: micros(diskMs),
      windowUs: micros(windowMs),
      socketUs: micros(socketMs),
      pacedUs: micros(pacedMs),
      cpuUs: this.#cpuUs(),
      busyUs: micros(busyMs),
      threadUs: micros(aliveMs),
      memoryBytes: totalmem(),
      dataBytes: this.dataBytes,
    });
  }
}

const micros = (ms: number): number => Math.round(ms * 1000);

function limitReached(name: keyof BenchLimits, limits: BenchLimits): TransferError {
  return new TransferError('limit', `The daemon's ${name} of ${limits[name]} is reached.`);
}
