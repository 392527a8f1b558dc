/**
 * Chunks that are heard together. A read brings a dozen of them, one after the other of the same file: what
 * has to be decided about them is decided once.
 */
import type { ChunkFrame } from '../protocol/frames.ts';
import { transferLimits } from './limits.ts';

/** At least one chunk of one request; their indexes count up by one, and all are of one kind. */
export type ArrivedRun = readonly [ChunkFrame, ...ChunkFrame[]];

/** Whether `next` goes on where `run` ends, both intact or both damaged, both with content or both the same zeros. */
function continues(run: ArrivedRun, next: ChunkFrame): boolean {
  const [first] = run;
  return (
    next.index === endOf(run) &&
    next.request === first.request &&
    next.intact === first.intact &&
    next.zero === first.zero &&
    (!next.zero || next.checksum === first.checksum)
  );
}

/** Payload of the chunks, as it travelled. */
export function payloadBytes(run: ArrivedRun): number {
  let bytes = 0;
  for (const { payload } of run) bytes += payload.length;
  return bytes;
}

/** Index behind the last chunk. */
export const endOf = (run: ArrivedRun): number => run[0].index + run.length;

/** Puts chunks together as they are parsed. */
export class ArrivedRuns {
  readonly #hear: (run: ArrivedRun) => void;
  #run: [ChunkFrame, ...ChunkFrame[]] | undefined;

  /** `hear` is called with each run once it has ended. */
  constructor(hear: (run: ArrivedRun) => void) {
    this.#hear = hear;
  }

  add(chunk: ChunkFrame): void {
    const run = this.#run;
    if (run && run.length < transferLimits.arrivedChunks && continues(run, chunk)) {
      run.push(chunk);
      return;
    }
    this.end();
    this.#run = [chunk];
  }

  /** Nothing that follows belongs to the run. */
  end(): void {
    const run = this.#run;
    this.#run = undefined;
    if (run !== undefined) this.#hear(run);
  }
}
