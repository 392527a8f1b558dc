/** Runs a bench: starts its clients, watches them, and tells what comes of it. */
import { setTimeout as sleep } from 'node:timers/promises';
import { FerryError, TransferError } from '../../protocol/errors.ts';
import type { FerryEvent, IntervalEvent } from '../events.ts';
import type { Session } from '../session.ts';
import { Crew } from './crew.ts';
import { later, type Sample, since } from './figures.ts';
import { latencyOf } from './latency.ts';
import { Probe } from './probe.ts';
import type { BenchSettings } from './settings.ts';
import { perSecond, type Result, summaryOf, tooSlow } from './summary.ts';

/** What is on its way when the time is up gets so long to arrive. */
const drainMs = 60_000;
/** After a signal nobody wants to wait that long. */
const abortMs = 3_000;

export interface BenchOptions {
  readonly settings: BenchSettings;
  /** Processor time of this process so far, in microseconds. */
  readonly cpuUs: () => number;
  readonly signal: AbortSignal;
}

/** One moment of the whole. */
interface Moment {
  readonly atMs: number;
  readonly sample: Sample;
  readonly cpuUs: number;
}

/** Runs a bench; what ends it early is an `error` event before the summary. Throws what forbids it. */
export async function* runBench(
  session: Session,
  options: BenchOptions,
): AsyncGenerator<FerryEvent> {
  const { settings } = options;
  const connection = await session.connection();
  if (!connection.features.includes('bench')) {
    throw new TransferError('unsupported', 'That daemon is too old to measure with.');
  }
  const probe = new Probe(connection, settings);
  // What is refused here need not be started.
  await probe.transfer();
  const crew = new Crew({ ...session.origin, settings });
  try {
    yield* new Bench(crew, probe, options).run();
  } finally {
    probe.stop();
    await crew.terminate();
  }
}

class Bench {
  readonly #crew: Crew;
  readonly #probe: Probe;
  readonly #options: BenchOptions;
  #failure: FerryError | undefined;
  #isOver = false;
  #beganAtMs = 0;
  /** Later than the warm-up's end where a busy machine came late: the whole time is measured. */
  #countedFromMs = 0;
  #isStopped = false;

  constructor(crew: Crew, probe: Probe, options: BenchOptions) {
    this.#crew = crew;
    this.#probe = probe;
    this.#options = options;
  }

  async *run(): AsyncGenerator<FerryEvent> {
    const over = this.#watch();
    await Promise.race([this.#crew.ready().catch(() => undefined), over]);
    const ready = await this.#moment();
    await Promise.race([this.#crew.go(), over]);
    const isByBytes = this.#options.settings.bytes !== undefined;
    // Of an amount every byte counts, of a time only what lies in it.
    let before = isByBytes ? { ...ready, atMs: performance.now() } : await this.#moment();
    let counted = before;
    this.#beganAtMs = before.atMs;
    this.#countedFromMs = this.#omittedUntilMs;
    this.#probe.take();
    const pingMs: number[] = [];
    const completeMs: number[] = [];
    while (!this.#isOver) {
      await Promise.race([sleep(this.#nextMs(before.atMs)), over]);
      const now = await this.#moment();
      const isOmitted = before.atMs < this.#omittedUntilMs;
      const latencies = this.#probe.take();
      yield this.#interval(before, now, isOmitted, latencies.pingMs, latencies.completeMs);
      before = now;
      if (isOmitted) {
        counted = now;
        this.#countedFromMs = Math.max(this.#omittedUntilMs, now.atMs);
      } else {
        pingMs.push(...latencies.pingMs);
        completeMs.push(...latencies.completeMs);
      }
      this.#stopInTime(now.atMs);
    }
    yield* this.#end(counted, before, pingMs, completeMs);
  }

  get #omittedUntilMs(): number {
    return this.#beganAtMs + this.#options.settings.omitMs;
  }

  get #stopAtMs(): number {
    return this.#countedFromMs + (this.#options.settings.durationMs ?? Infinity);
  }

  /** Time until the interval that began at `fromMs` ends. */
  #nextMs(fromMs: number): number {
    const edges = [this.#omittedUntilMs, this.#stopAtMs].filter((atMs) => atMs > fromMs + 1);
    const nextAtMs = Math.min(fromMs + this.#options.settings.intervalMs, ...edges);
    return Math.max(1, nextAtMs - performance.now());
  }

  #stopInTime(nowMs: number): void {
    if (nowMs < this.#stopAtMs - 1) return;
    if (!this.#isStopped) this.#crew.stop();
    this.#isStopped = true;
    if (nowMs > this.#stopAtMs + drainMs) {
      this.#fail(new FerryError('timeout', 'What was sent did not arrive in time.'));
      this.#isOver = true;
    }
  }

  /** Settles when all is over, whichever way. */
  async #watch(): Promise<void> {
    const { signal } = this.#options;
    const done = this.#crew.done().catch((error: unknown) => this.#fail(error));
    // The probe ends by itself only when it fails.
    const probing = this.#probe.run().catch((error: unknown) => this.#fail(error));
    const aborted = new Promise<void>((resolve) => {
      const abort = (): void => {
        this.#fail(signal.reason);
        this.#crew.stop();
        setTimeout(resolve, abortMs).unref();
      };
      if (signal.aborted) abort();
      else signal.addEventListener('abort', abort, { once: true });
    });
    await Promise.race([done, probing, aborted]);
    this.#isOver = true;
  }

  #fail(error: unknown): void {
    this.#failure ??=
      error instanceof FerryError
        ? error
        : new FerryError('internal', `Measuring failed unexpectedly: ${String(error)}`, {
            cause: error,
          });
  }

  async #moment(): Promise<Moment> {
    const sample = await this.#crew.sample();
    const daemon = later(sample.daemon, this.#probe.daemon);
    return { atMs: performance.now(), sample: { ...sample, daemon }, cpuUs: this.#options.cpuUs() };
  }

  #interval(
    before: Moment,
    now: Moment,
    omitted: boolean,
    pingMs: readonly number[],
    completeMs: readonly number[],
  ): IntervalEvent {
    const { directions, daemon } = since(now.sample, before.sample);
    const elapsedMs = now.atMs - before.atMs;
    const { up, down } = directions;
    const bytes = up.bytes + down.bytes;
    const bytesPerSecond = perSecond(bytes, elapsedMs);
    return {
      type: 'interval',
      from: seconds(before.atMs - this.#beganAtMs),
      to: seconds(now.atMs - this.#beganAtMs),
      omitted,
      bytes,
      bytesPerSecond,
      bitsPerSecond: 8 * bytesPerSecond,
      upBytesPerSecond: perSecond(up.bytes, elapsedMs),
      downBytesPerSecond: perSecond(down.bytes, elapsedMs),
      chunksRepeated: up.near.chunksRepeated + down.near.chunksRepeated,
      pingMs: latencyOf(pingMs),
      completeMs: latencyOf(completeMs),
      clientCpu: ratio(now.cpuUs - before.cpuUs, 1000 * elapsedMs),
      daemonCpu: daemon === undefined ? null : ratio(daemon.cpuMs, daemon.aliveMs),
    };
  }

  *#end(
    counted: Moment,
    last: Moment,
    pingMs: readonly number[],
    completeMs: readonly number[],
  ): Generator<FerryEvent> {
    const { settings } = this.#options;
    const elapsedMs = last.atMs - counted.atMs;
    const result: Result = {
      settings,
      sample: since(last.sample, counted.sample),
      elapsedMs,
      ping: latencyOf(pingMs),
      complete: latencyOf(completeMs),
      clientCpu: ratio(last.cpuUs - counted.cpuUs, 1000 * elapsedMs),
    };
    const failure = this.#failure ?? tooSlow(result);
    if (failure !== undefined) {
      const { failure: name, message, exitCode } = failure;
      yield { type: 'error', failure: name, message, exitCode };
    }
    yield summaryOf(result, failure?.exitCode ?? 0);
  }
}

const seconds = (ms: number): number => Math.round(ms) / 1000;

/** To three digits behind the point. */
const ratio = (part: number, whole: number): number =>
  whole > 0 ? Math.round((1000 * part) / whole) / 1000 : 0;
