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
import { type FileCalls, FileIo, pooledCalls } from './file-io.ts';

/** A call that takes longer was slow. */
export const promptMs: number = 50;
/** So long the thread pool takes over then. */
const pooledMs = 10_000;
/** After so long without one, whatever else waits in this thread gets its turn. */
const turnMs = 50;

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
  /** The turn of the event loop in which calls stop this thread, and since when they do. */
  let turnCount = -1;
  let stoppedSinceMs = 0;
  const isPrompt = (): boolean => performance.now() >= pooledUntilMs;
  const isTurnDue = (): boolean => {
    const { loopCount } = performance.nodeTiming.uvMetricsInfo;
    if (loopCount !== turnCount) {
      turnCount = loopCount;
      stoppedSinceMs = performance.now();
    }
    return performance.now() - stoppedSinceMs > turnMs;
  };
  const timed =
    (call: Call): Call =>
    (fd, buffers, position) => {
      const startedAtMs = performance.now();
      const bytes = call(fd, buffers, position);
      const endedAtMs = performance.now();
      if (endedAtMs - startedAtMs > promptMs) pooledUntilMs = endedAtMs + pooledMs;
      return bytes;
    };
  const promptly = (call: Call, pooled: FileCalls['readv']): FileCalls['readv'] => {
    const prompt = timed(call);
    return async (fd, buffers, position) => {
      if (isTurnDue()) {
        await turn();
        stoppedSinceMs = performance.now();
      }
      return isPrompt() ? prompt(fd, buffers, position) : await pooled(fd, buffers, position);
    };
  };
  const writev = timed(calls.writev);
  return new FileIo({
    readv: promptly(calls.readv, pooledCalls.readv),
    writev: promptly(calls.writev, pooledCalls.writev),
    writevNow: (fd, buffers, position) =>
      isPrompt() && !isTurnDue() ? writev(fd, buffers, position) : undefined,
    isInThread: isPrompt,
  });
}
