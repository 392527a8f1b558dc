/** What a command sees of its process. */
import type { Readable } from 'node:stream';
import type { JobOwner } from '../job-lock.ts';
import type { Outputs } from '../render.ts';

export interface Shell extends Outputs {
  readonly stdin: Readable;
  /** Folder that relative local paths start from. */
  readonly folder: string;
  readonly owner: JobOwner;
  /** Processor time of this process so far, in microseconds. */
  readonly cpuUs: () => number;
  /** A command has all that it needs, and begins its work. */
  readonly atWork: () => void;
  /** Calls `stop` at the first SIGINT or SIGTERM; the second one ends the process. */
  onStop(stop: (failure: 'interrupted' | 'terminated') => void): void;
}

/** What a command's action leaves behind. */
export interface Outcome {
  exitCode: number;
}
