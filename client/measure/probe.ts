/** How long others wait while the bench runs: pings and small transfers on a connection of their own. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Connection } from '../../transfer/connection.ts';
import { MadeUpSource } from '../../transfer/measure/made-up.ts';
import { Meter } from '../../transfer/measure/meter.ts';
import { sendMeasured } from '../../transfer/measure/transfers.ts';
import { type DaemonFigures, later } from './figures.ts';
import type { BenchSettings } from './settings.ts';
import { daemonOf } from './stream.ts';

/** Between an answer and the next question. */
const pingGapMs = 50;
const transferGapMs = 200;

export interface Latencies {
  readonly pingMs: readonly number[];
  readonly completeMs: readonly number[];
}

export class Probe {
  readonly #connection: Connection;
  readonly #settings: BenchSettings;
  #pingMs: number[] = [];
  #completeMs: number[] = [];
  #isOver = false;
  #daemon: DaemonFigures | undefined;

  constructor(connection: Connection, settings: BenchSettings) {
    this.#connection = connection;
    this.#settings = settings;
  }

  /** The daemon's latest word of itself. */
  get daemon(): DaemonFigures | undefined {
    return this.#daemon;
  }

  /** What was measured since the last call. */
  take(): Latencies {
    const taken = { pingMs: this.#pingMs, completeMs: this.#completeMs };
    this.#pingMs = [];
    this.#completeMs = [];
    return taken;
  }

  /** Measures until `stop`. Rejects with FerryError when the daemon refuses. */
  async run(): Promise<void> {
    this.#connection.pings.onRoundTrip = (ms) => {
      this.#pingMs.push(ms);
      if (!this.#isOver) setTimeout(() => this.#ping(), pingGapMs).unref();
    };
    this.#ping();
    while (!this.#isOver) {
      await this.transfer();
      await sleep(transferGapMs);
    }
  }

  stop(): void {
    this.#isOver = true;
  }

  #ping(): void {
    if (!this.#isOver && this.#connection.isOpen) this.#connection.ping();
  }

  /** One chunk to where the content goes, measured from its last byte to `complete`. */
  async transfer(): Promise<void> {
    const { mode, path, chunkBytes, checksums } = this.#settings;
    const toDisk = mode === 'disk-write' || mode === 'e2e';
    const request = this.#connection.open({
      type: 'bench',
      request: 0,
      part: 'receive',
      store: toDisk ? 'disk' : 'memory',
      path,
      chunkBytes,
      size: chunkBytes,
      checksums,
    });
    request.onReport = (report) => {
      this.#daemon = later(this.#daemon, daemonOf(report));
    };
    let sentAtMs = 0;
    await sendMeasured(request, new MadeUpSource({ chunkBytes, size: chunkBytes }), {
      chunkBytes,
      writeBytes: undefined,
      checksums,
      meter: new Meter(this.#connection),
      onDisk: false,
      throttle: undefined,
      onEnd: () => {
        sentAtMs = performance.now();
      },
    });
    this.#completeMs.push(performance.now() - sentAtMs);
  }
}
