/** The last event of the commands that move no content. */
import type { SummaryEvent } from '../events.ts';

export function emptySummary(startedAtMs: number, exitCode: number): SummaryEvent {
  return {
    type: 'summary',
    files: 0,
    directories: 0,
    bytes: 0,
    bytesSent: 0,
    bytesReused: 0,
    chunksRepeated: 0,
    failed: 0,
    failedNames: [],
    seconds: Math.round(performance.now() - startedAtMs) / 1000,
    bytesPerSecond: 0,
    exitCode,
  };
}
