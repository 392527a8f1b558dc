/**
 * Reads and writes in the calling thread, while the disk answers promptly.
 *
 * Strategy: most of what is read and written passes through the system's memory, and takes less time
 * than to wake another thread for it. A client serves nobody else, so it may do that itself. Where a
 * call turns out slow, as on a disk that is busy or far away, the thread pool takes over for a while:
 * then heartbeats and progress go on beside it.
 */
import { readvSync, writevSync } from 'node:fs';
import { setImmediate as turn } from 'node:timers/promises';
import { type FileCalls, FileIo, type PromptCall, pooledCalls } from './file-io.ts';

/** A call that takes longer was slow. */
export const promptMs: number = 50;
/** So long the thread pool takes over then. */
const pooledMs = 10_000;
/** After so long, whatever else waits in this thread gets its turn. */
const turnMs = 5;

type Call = (fd: number, buffers: readonly Uint8Array[], position: number) => number;

interface PromptCalls {
  readonly readv: Call;
  readonly writev: Call;
}

const systemCalls: PromptCalls = {
  readv: (fd, buffers, position) => readvSync(fd, buffers, position),
  writev: (fd, buffers, position) => writevSync(fd, buffers, position),
};

/** `calls` are those of the system, except in tests. */
export function promptIo(calls: PromptCalls = systemCalls): FileIo {
  let pooledUntilMs = 0;
  let turnedAtMs = performance.now();
  /** As `call`, if the disk was prompt of late; undefined if it was not. */
  const now =
    (call: Call): PromptCall =>
    (fd, buffers, position) => {
      const startedAtMs = performance.now();
      if (startedAtMs < pooledUntilMs) return undefined;
      const bytes = call(fd, buffers, position);
      const endedAtMs = performance.now();
      if (endedAtMs - startedAtMs > promptMs) pooledUntilMs = endedAtMs + pooledMs;
      return bytes;
    };
  const promptly =
    (call: Call, pooled: FileCalls['readv']): FileCalls['readv'] =>
    async (fd, buffers, position) => {
      if (performance.now() - turnedAtMs > turnMs) {
        await turn();
        turnedAtMs = performance.now();
      }
      return now(call)(fd, buffers, position) ?? (await pooled(fd, buffers, position));
    };
  return new FileIo({
    readv: promptly(calls.readv, pooledCalls.readv),
    writev: promptly(calls.writev, pooledCalls.writev),
    writevNow: now(calls.writev),
    isInThread: () => performance.now() >= pooledUntilMs,
  });
}
