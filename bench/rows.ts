/**
 * The table of work that is done side by side: what is done, by whom, and what is expected of the
 * ratio. Each contestant undoes its work before it does it again, and shows that it was done right.
 */
import type { Sample } from './measure.ts';
import type { Place } from './place.ts';
import { largeRows } from './rows-large.ts';
import { networkRow } from './rows-network.ts';
import { resumeRow } from './rows-resume.ts';
import { treeRows } from './rows-tree.ts';

export interface Contestant {
  readonly name: string;
  /** Makes everything as it was before the work. */
  reset(): Promise<void>;
  run(): Promise<Sample>;
  /** Throws unless the result is right, byte for byte; not timed. */
  check(): Promise<void>;
}

/** Two who do the same work. */
export interface Contest {
  readonly ours: Contestant;
  readonly peer: Contestant;
  /** Content that one run moves, or knows to be there. */
  readonly bytes: number;
  /** Stops what was started for it; the place is cleared by its owner. */
  readonly close: () => Promise<void>;
}

export interface Row {
  /** Short, for the command line. */
  readonly id: string;
  readonly title: string;
  /** Programs it can't do without. */
  readonly needs: readonly string[];
  /** The folder to work in; by default memory. */
  readonly where?: string;
  /** What is compared: of time less is better, of throughput more. */
  readonly compared: 'seconds' | 'bytesPerSecond';
  /** The ratio ours ÷ theirs that is promised, and the one that is aimed at; without: a look around. */
  readonly floor?: number;
  readonly aim?: number;
  begin(place: Place): Promise<Contest>;
}

export const rows: readonly Row[] = [...largeRows, ...treeRows, networkRow, resumeRow];
