/** A bench as its events tell of it. */
import type { FerryEvent, IntervalEvent, SummaryEvent } from '../../../client/events.ts';
import type { BenchSummary } from '../../../client/measure/summary.ts';

export function intervalOf(from: number, changes: Partial<IntervalEvent> = {}): IntervalEvent {
  return {
    type: 'interval',
    from,
    to: from + 1,
    omitted: false,
    bytes: 1024 ** 2,
    bytesPerSecond: 1024 ** 2,
    bitsPerSecond: 8 * 1024 ** 2,
    upBytesPerSecond: 1024 ** 2,
    downBytesPerSecond: 0,
    chunksRepeated: 0,
    pingMs: { count: 3, p50: 0.5, p95: 1, p99: 12.3, max: 20 },
    completeMs: null,
    clientCpu: 0.5,
    daemonCpu: null,
    ...changes,
  };
}

export const bench: BenchSummary = {
  mode: 'net',
  verdict: 'network, 1.0 MiB/s',
  bitsPerSecond: 8 * 1024 ** 2,
  directions: [
    {
      direction: 'up',
      bytes: 2 * 1024 ** 2,
      bytesPerSecond: 1024 ** 2,
      bitsPerSecond: 8 * 1024 ** 2,
      bottleneck: 'network',
      verdict: 'network, 1.0 MiB/s',
      shares: {
        paced: 0,
        senderDisk: 0,
        senderThread: 0.1,
        window: 0.2,
        socket: 0.9,
        receiverThread: 0.1,
        receiverDisk: 0,
      },
    },
  ],
  pingMs: { count: 6, p50: 0.5, p95: 1, p99: 12.3, max: 20 },
  completeMs: null,
  clientCpu: 0.5,
  daemonCpu: null,
  clientDataBytes: 0,
  clientMemoryBytes: 1024 ** 3,
  daemonDataBytes: 0,
  daemonMemoryBytes: null,
  settings: { chunkBytes: 65_536, path: '/' },
};

export function summaryOf(changes: Partial<BenchSummary> = {}): SummaryEvent {
  return {
    type: 'summary',
    files: 0,
    directories: 0,
    bytes: 2 * 1024 ** 2,
    bytesSent: 2 * 1024 ** 2,
    bytesReused: 0,
    chunksRepeated: 0,
    failed: 0,
    failedNames: [],
    seconds: 2,
    bytesPerSecond: 1024 ** 2,
    exitCode: 0,
    bench: { ...bench, ...changes },
  };
}

export const events: readonly FerryEvent[] = [intervalOf(0), intervalOf(1), summaryOf()];
