/** One stream of measured content on one connection: transfers, one after another. */
import { TransferError } from '../../protocol/errors.ts';
import type { Bench, BenchReport } from '../../protocol/frames/bench.ts';
import type { Connection } from '../../transfer/connection.ts';
import { type EndFigures, Meter } from '../../transfer/measure/meter.ts';
import type { Request } from '../../transfer/request.ts';
import type { Storage } from '../../transfer/storage.ts';
import { type DaemonFigures, type DirectionFigures, noFigures, sum } from './figures.ts';
import { type BenchSettings, type Share, shareOf } from './settings.ts';

/** Between two reports of the daemon: short enough for every interval to have news. */
const reportMs = 200;

/** What streams share. */
export interface StreamContext {
  readonly settings: BenchSettings;
  readonly connection: Connection;
  /** The local disk; undefined where none is measured. */
  readonly storage: Storage | undefined;
}

export abstract class Stream {
  protected readonly context: StreamContext;
  protected readonly share: Share;
  protected isStopped = false;
  #near = noFigures;
  #far = noFigures;
  #report: BenchReport | undefined;
  #farDataBytes = 0;
  protected meter: Meter;
  /** Settles when content flows. */
  readonly begun: Promise<void>;
  /** Content flows. */
  protected begin: () => void = () => undefined;
  /** Settles when all content has reached its receiver; what follows only tidies up. */
  readonly through: Promise<void>;
  /** All content has reached its receiver. */
  end: () => void = () => undefined;

  constructor(context: StreamContext) {
    this.context = context;
    this.share = shareOf(context.settings);
    this.meter = new Meter(context.connection);
    this.begun = new Promise((resolve) => {
      this.begin = resolve;
    });
    this.through = new Promise((resolve) => {
      this.end = resolve;
    });
  }

  /** What has to be there before content flows, and is not measured. */
  async prepare(): Promise<void> {}

  abstract run(): Promise<void>;

  /** Ends the content; `run` settles when that has reached its receiver. */
  stop(): void {
    this.isStopped = true;
  }

  /** Content on our disk. */
  protected get dataBytes(): number {
    return 0;
  }

  /** Content that reached its receiver. */
  protected get passedBytes(): number {
    return this.near.bytes;
  }

  protected get near(): EndFigures {
    return sum(this.#near, this.meter.figures);
  }

  protected get far(): EndFigures {
    return this.#report === undefined ? this.#far : sum(this.#far, endOf(this.#report));
  }

  get figures(): DirectionFigures {
    return {
      bytes: this.passedBytes,
      near: this.near,
      far: this.far,
      nearDataBytes: this.dataBytes,
      farDataBytes: this.#farDataBytes,
    };
  }

  /** The daemon's latest word of itself. */
  get daemon(): DaemonFigures | undefined {
    return this.#report && daemonOf(this.#report);
  }

  /** Opens a bench with `asked`, and hears what the daemon's end of it spends. */
  protected open(asked: Pick<Bench, 'part'> & Partial<Bench>): Request {
    const { connection, settings } = this.context;
    if (!connection.features.includes('bench')) {
      throw new TransferError('unsupported', 'That daemon is too old to measure with.');
    }
    const { chunkBytes, writeBytes, checksums, path, mode } = settings;
    this.settle();
    const request = connection.open({
      type: 'bench',
      request: 0,
      store: mode.startsWith('disk') && !this.isHereOnDisk ? 'disk' : 'memory',
      path,
      chunkBytes,
      writeBytes,
      reportMs,
      checksums,
      ...asked,
    });
    request.onReport = (report) => {
      this.#report = report;
      this.#farDataBytes = Math.max(this.#farDataBytes, report.dataBytes);
    };
    return request;
  }

  /** Whether the disk that is measured is ours. */
  protected get isHereOnDisk(): boolean {
    return false;
  }

  /** What went before the next transfer is kept in sums. */
  protected settle(): void {
    this.#near = this.near;
    this.meter = new Meter(this.context.connection);
    this.#far = this.far;
    this.#report = undefined;
  }
}

const endOf = (report: BenchReport): EndFigures => ({
  elapsedMs: report.elapsedUs / 1000,
  bytes: report.bytes,
  chunksRepeated: report.chunksRepeated,
  diskMs: report.diskUs / 1000,
  windowMs: report.windowUs / 1000,
  socketMs: report.socketUs / 1000,
  pacedMs: report.pacedUs / 1000,
});

export const daemonOf = (report: BenchReport): DaemonFigures => ({
  cpuMs: report.cpuUs / 1000,
  busyMs: report.busyUs / 1000,
  aliveMs: report.threadUs / 1000,
  memoryBytes: report.memoryBytes,
});
