/**
 * Chunks that are heard together. A read brings a dozen of them, one after the other of the same file: what
 * has to be decided about them is decided once.
 */
import type { ChunkFrame } from '../protocol/frames.ts';

/** At least one chunk of one request; their indexes count up by one, and all are of one kind. */
export type ArrivedRun = readonly [ChunkFrame, ...ChunkFrame[]];

/** Whether `next` goes on where `last` ends, both intact or both damaged, both with content or both the same zeros. */
export function continues(last: ChunkFrame, next: ChunkFrame): boolean {
  return (
    next.index === last.index + 1 &&
    next.request === last.request &&
    next.intact === last.intact &&
    next.zero === last.zero &&
    (!next.zero || next.checksum === last.checksum)
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
