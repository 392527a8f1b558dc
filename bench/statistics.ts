/** Medians, and how far figures lie apart. Pure. */
import type { Sample } from './measure.ts';
import type { Row } from './rows.ts';

export interface Spread {
  readonly median: number;
  readonly least: number;
  readonly most: number;
}

/** Throws on an empty list. */
export function spreadOf(values: readonly number[]): Spread {
  const sorted = [...values].sort((a, b) => a - b);
  const [least, most] = [sorted[0], sorted.at(-1)];
  if (least === undefined || most === undefined) throw new Error('Nothing was measured.');
  const middle = (sorted.length - 1) / 2;
  const low = sorted[Math.floor(middle)] as number;
  const high = sorted[Math.ceil(middle)] as number;
  return { median: (low + high) / 2, least, most };
}

/** One contestant's figures, all runs together. */
export interface Figures {
  readonly name: string;
  readonly seconds: Spread;
  readonly bytesPerSecond: Spread | null;
  readonly cpuSeconds: Spread;
  readonly clientPeakBytes: number;
  readonly serverPeakBytes: number;
}

export interface RowResult {
  readonly id: string;
  readonly title: string;
  readonly compared: Row['compared'];
  readonly floor: number | null;
  readonly aim: number | null;
  readonly bytes: number;
  readonly runs: number;
  readonly ours: Figures;
  readonly peer: Figures;
  /** Ours ÷ theirs, run by run, so that a machine whose speed drifts does not decide. */
  readonly ratio: Spread;
  readonly cpuRatio: Spread;
  /** When, and on what, in words. */
  readonly measured: string;
}

const cpuOf = (sample: Sample): number => sample.clientCpuSeconds + sample.serverCpuSeconds;

export function figuresOf(name: string, samples: readonly Sample[]): Figures {
  const speeds = samples.flatMap(({ bytesPerSecond }) => bytesPerSecond ?? []);
  return {
    name,
    seconds: spreadOf(samples.map(({ seconds }) => seconds)),
    bytesPerSecond: speeds.length === 0 ? null : spreadOf(speeds),
    cpuSeconds: spreadOf(samples.map(cpuOf)),
    clientPeakBytes: Math.max(...samples.map(({ clientPeakBytes }) => clientPeakBytes)),
    serverPeakBytes: Math.max(...samples.map(({ serverPeakBytes }) => serverPeakBytes)),
  };
}

/** Ratios of runs that happened side by side. */
export function ratios(
  ours: readonly Sample[],
  theirs: readonly Sample[],
  value: (sample: Sample) => number,
): Spread {
  return spreadOf(ours.map((sample, i) => value(sample) / value(theirs[i] as Sample)));
}

export const cpuRatios = (ours: readonly Sample[], theirs: readonly Sample[]): Spread =>
  ratios(ours, theirs, (sample) => Math.max(cpuOf(sample), 0.01));

/** Whether a row keeps what it promises; undefined where nothing is promised. */
export function keepsFloor({ floor, compared, ratio }: RowResult): boolean | undefined {
  if (floor === null) return undefined;
  return compared === 'seconds' ? ratio.median <= floor : ratio.median >= floor;
}
