/** What a bench comes to. */
import { totalmem } from 'node:os';
import { FerryError } from '../../protocol/errors.ts';
import type { SummaryEvent } from '../events.ts';
import { rateText } from '../render-units.ts';
import type { Sample } from './figures.ts';
import type { Latency } from './latency.ts';
import type { BenchMode, BenchSettings, Direction } from './settings.ts';
import { type Bottleneck, bottleneckOf, type Shares, sharesOf, verdictText } from './verdict.ts';

export interface DirectionSummary {
  readonly direction: Direction;
  readonly bytes: number;
  readonly bytesPerSecond: number;
  readonly bitsPerSecond: number;
  readonly bottleneck: Bottleneck;
  /** `receiver disk, 393.2 MiB/s` */
  readonly verdict: string;
  /** What the verdict is drawn from: shares of the time, from 0 to 1. */
  readonly shares: Shares;
}

export interface BenchSummary {
  readonly mode: BenchMode;
  /** Of all directions, in one line. */
  readonly verdict: string;
  readonly bitsPerSecond: number;
  readonly directions: readonly DirectionSummary[];
  /** Round trip of a ping on a connection of its own. */
  readonly pingMs: Latency | null;
  /** From the last byte of one chunk to its `complete`, on that connection. */
  readonly completeMs: Latency | null;
  /** Processors that each program kept busy; null where the daemon did not tell. */
  readonly clientCpu: number;
  readonly daemonCpu: number | null;
  /** Content on the disks that were measured, and the memory that may have held it. */
  readonly clientDataBytes: number;
  readonly clientMemoryBytes: number;
  readonly daemonDataBytes: number;
  readonly daemonMemoryBytes: number | null;
  /** Every setting in force; null for what is not set. */
  readonly settings: Readonly<Record<string, unknown>>;
}

/** What was measured, without what was omitted. */
export interface Result {
  readonly settings: BenchSettings;
  readonly sample: Sample;
  readonly elapsedMs: number;
  readonly ping: Latency | null;
  readonly complete: Latency | null;
  readonly clientCpu: number;
}

export const perSecond = (bytes: number, elapsedMs: number): number =>
  Math.round((1000 * bytes) / Math.max(1, elapsedMs));

function bytesOf({ sample, settings }: Result): number {
  return settings.directions.reduce((sum, name) => sum + sample.directions[name].bytes, 0);
}

/** The failure of a bench that was slower than it had to be. */
export function tooSlow(result: Result): FerryError | undefined {
  const least = result.settings.minBytesPerSecond;
  const rate = perSecond(bytesOf(result), result.elapsedMs);
  if (least === undefined || rate >= least) return undefined;
  return new FerryError(
    'too-slow',
    `It went at ${rateText(rate)}, and should at ${rateText(least)} (--min-rate).`,
  );
}

export function summaryOf(result: Result, exitCode: number): SummaryEvent {
  const { sample, elapsedMs } = result;
  const bytes = bytesOf(result);
  const bytesPerSecond = perSecond(bytes, elapsedMs);
  const { up, down } = sample.directions;
  return {
    type: 'summary',
    files: 0,
    directories: 0,
    bytes,
    bytesSent: bytes,
    bytesReused: 0,
    chunksRepeated: up.near.chunksRepeated + down.near.chunksRepeated,
    failed: 0,
    failedNames: [],
    seconds: Math.round(elapsedMs) / 1000,
    bytesPerSecond,
    exitCode,
    bench: benchOf(result, bytesPerSecond),
  };
}

function benchOf(result: Result, bytesPerSecond: number): BenchSummary {
  const { settings, sample } = result;
  const { up, down } = sample.directions;
  const { daemon } = sample;
  const directions = settings.directions.map((direction) => directionOf(result, direction));
  return {
    mode: settings.mode,
    verdict: directions
      .map(({ direction, verdict }) =>
        directions.length === 1 ? verdict : `${direction}: ${verdict}`,
      )
      .join('; '),
    bitsPerSecond: 8 * bytesPerSecond,
    directions,
    pingMs: result.ping,
    completeMs: result.complete,
    clientCpu: result.clientCpu,
    daemonCpu: daemon === undefined ? null : rounded(daemon.cpuMs / Math.max(1, daemon.aliveMs)),
    clientDataBytes: up.nearDataBytes + down.nearDataBytes,
    clientMemoryBytes: totalmem(),
    daemonDataBytes: up.farDataBytes + down.farDataBytes,
    daemonMemoryBytes: daemon?.memoryBytes ?? null,
    settings: shownSettings(settings),
  };
}

function directionOf(
  { sample, settings, elapsedMs }: Result,
  direction: Direction,
): DirectionSummary {
  const { bytes } = sample.directions[direction];
  const bytesPerSecond = perSecond(bytes, elapsedMs);
  const shares = sharesOf(sample, direction);
  const hashing = direction === 'up' ? 'client CPU' : 'daemon CPU';
  const bottleneck = settings.mode === 'hash' ? hashing : bottleneckOf(shares);
  return {
    direction,
    bytes,
    bytesPerSecond,
    bitsPerSecond: 8 * bytesPerSecond,
    bottleneck,
    verdict: verdictText(bottleneck, bytesPerSecond),
    shares: Object.fromEntries(
      Object.entries(shares).map(([name, value]) => [name, rounded(value as number)]),
    ) as unknown as Shares,
  };
}

const rounded = (value: number): number => Math.round(1000 * value) / 1000;

/** JSON has no `undefined`: what is not set is null. */
export function shownSettings(settings: BenchSettings): Readonly<Record<string, unknown>> {
  const { path, ...rest } = settings;
  const shown: Record<string, unknown> = { ...rest, path: `/${path}` };
  const names = ['durationMs', 'bytes', 'writeBytes', 'bytesPerSecond', 'minBytesPerSecond'];
  for (const name of names) shown[name] ??= null;
  return shown;
}
