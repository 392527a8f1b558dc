/**
 * Chunks that came one after another. A read brings a dozen of them: what has to be decided about them is
 * decided once.
 */
import type { ChunkFrame } from './frames.ts';

/** At least one chunk. Payloads are valid only as long as the buffer they were read into. */
export interface ChunkRun {
  /** The others are like it: of the same request, both intact or not, with content or without. */
  readonly first: ChunkFrame;
  /** Of all of them, whose indexes count up by one. Those without content have the same checksum. */
  readonly payloads: readonly Uint8Array[];
  readonly checksums: readonly bigint[];
  /** Payload of all, as it travelled. */
  readonly payloadBytes: number;
}

/** Index behind the last chunk. */
export const endOf = ({ first, payloads }: ChunkRun): number => first.index + payloads.length;

/** The chunks of a run, each as a run of its own. */
export function* oneByOne({ first, payloads, checksums }: ChunkRun): Generator<ChunkRun> {
  for (const [i, payload] of payloads.entries()) {
    const checksum = checksums[i] as bigint;
    yield {
      first: { ...first, index: first.index + i, payload, checksum },
      payloads: [payload],
      checksums: [checksum],
      payloadBytes: payload.length,
    };
  }
}
