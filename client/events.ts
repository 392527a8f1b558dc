/**
 * What a command tells while it works: the same objects for the library's `for await`, the JSON lines
 * and the progress on a terminal. docs/json.md documents them; fields may be added, never removed.
 */
import type { EntryKind } from '../protocol/entry.ts';
import type { FailureName } from '../protocol/errors.ts';
import type { Phase } from '../protocol/frames/transfer.ts';
import type { Latency } from './measure/latency.ts';
import type { BenchSummary } from './measure/summary.ts';

/** Version of the event schema. */
export const schema = 1;

export interface StartEvent {
  readonly type: 'start';
  readonly schema: typeof schema;
  readonly command: string;
  /** Every setting in force, defaults included. */
  readonly settings: Readonly<Record<string, unknown>>;
}

/** At most ten a second. */
export interface ProgressEvent {
  readonly type: 'progress';
  /** Bytes of the files that are done with: sent, reused, or found unchanged. */
  readonly bytes: number;
  /** Bytes of all files known so far; null while even that is unknown (a stream). */
  readonly totalBytes: number | null;
  readonly files: number;
  readonly totalFiles: number;
  /** Content bytes that crossed the network, repeats included. */
  readonly bytesSent: number;
  /** Bytes that the other side had already. */
  readonly bytesReused: number;
  /** Over the last seconds, and since the start. */
  readonly bytesPerSecond: number;
  readonly averageBytesPerSecond: number;
  /** From the recent rate; null when it can't be told. */
  readonly secondsLeft: number | null;
  /** Silent work that is going on, e.g. `verifying`; null when content flows. */
  readonly phase: Phase | null;
}

/** `planned` is what a dry run would send. */
export type FileOutcome = 'stored' | 'unchanged' | 'skipped' | 'failed' | 'planned';

export interface FileEvent {
  readonly type: 'file';
  /** Relative to what was named on the command line, with its last component in front. */
  readonly path: string;
  readonly outcome: FileOutcome;
  readonly bytes: number;
  /** 16 hex digits; absent for small files, whose chunk checksum covers them. */
  readonly digest?: string;
  /** 64 hex digits, with `--digest sha256`. */
  readonly sha256?: string;
}

export interface EntryEvent {
  readonly type: 'entry';
  readonly path: string;
  readonly kind: EntryKind;
  readonly size: number;
  /** ISO 8601, UTC. */
  readonly mtime: string;
  /** Permission bits, e.g. 0o644 as 420. */
  readonly mode: number;
  readonly contentType: string;
}

export interface DifferenceEvent {
  readonly type: 'difference';
  readonly path: string;
  readonly reason: 'content' | 'size' | 'kind' | 'missing-here' | 'missing-there';
  /** Segments of 8 MiB that differ, the first hundred; only for `content`. */
  readonly segments?: readonly number[];
}

export interface RetryEvent {
  readonly type: 'retry';
  /** 1 for the first retry since something last came forward. */
  readonly attempt: number;
  readonly delaySeconds: number;
  readonly reason: string;
}

export interface WarningEvent {
  readonly type: 'warning';
  readonly message: string;
  readonly path?: string;
}

export interface ErrorEvent {
  readonly type: 'error';
  readonly failure: FailureName;
  readonly message: string;
  readonly exitCode: number;
  /** The file it is about; absent when it ends the whole command. */
  readonly path?: string;
}

/** What a bench came to since the interval before, at the pace of `--interval`. */
export interface IntervalEvent {
  readonly type: 'interval';
  /** Seconds since content flows. */
  readonly from: number;
  readonly to: number;
  /** Whether it lies in the warm-up that the summary leaves out. */
  readonly omitted: boolean;
  /** Content that reached its receiver. */
  readonly bytes: number;
  readonly bytesPerSecond: number;
  readonly bitsPerSecond: number;
  readonly upBytesPerSecond: number;
  readonly downBytesPerSecond: number;
  readonly chunksRepeated: number;
  /** Of pings, and from the last byte of a chunk to its `complete`; null where none was answered. */
  readonly pingMs: Latency | null;
  readonly completeMs: Latency | null;
  /** Processors that each program kept busy; null where the daemon did not tell. */
  readonly clientCpu: number;
  readonly daemonCpu: number | null;
}

/** Always the last. */
export interface SummaryEvent {
  readonly type: 'summary';
  readonly files: number;
  readonly directories: number;
  /** Bytes of all files that are in place now. */
  readonly bytes: number;
  readonly bytesSent: number;
  readonly bytesReused: number;
  readonly chunksRepeated: number;
  readonly failed: number;
  /** The first hundred. */
  readonly failedNames: readonly string[];
  readonly seconds: number;
  /** bytesSent ÷ seconds. */
  readonly bytesPerSecond: number;
  readonly exitCode: number;
  /** Of `ferry bench` only: docs/bench.md. */
  readonly bench?: BenchSummary;
}

export type FerryEvent =
  | StartEvent
  | ProgressEvent
  | FileEvent
  | EntryEvent
  | DifferenceEvent
  | IntervalEvent
  | RetryEvent
  | WarningEvent
  | ErrorEvent
  | SummaryEvent;
