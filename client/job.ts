/**
 * One upload, download or comparison as it goes on: its counters, and the events they become.
 */
import { FerryError } from '../protocol/errors.ts';
import type { Phase } from '../protocol/frames/transfer.ts';
import { escaped } from '../protocol/paths.ts';
import { Signal } from '../transfer/signal.ts';
import type { FerryEvent, FileEvent, SummaryEvent } from './events.ts';

/** Between two `progress` events. */
const progressMs = 100;
/** The current rate is taken over this time. */
const rateWindowMs = 3_000;
const failedNamesShown = 100;
/** Events that may wait to be read before the work waits for their reader. */
const eventsAhead = 10_000;

export class Job {
  readonly #fileEvents: boolean;
  readonly #startedAtMs = performance.now();
  readonly #events: FerryEvent[] = [];
  readonly #wake = new Signal();
  readonly #read = new Signal();
  readonly #failedNames: string[] = [];
  /** Bytes done at moments of the last seconds, for the current rate. */
  readonly #samples: { atMs: number; bytes: number }[] = [];
  #done = false;
  #abandoned = false;
  #progressAtMs = 0;
  #failed = 0;
  #exitCode = 0;
  /** Of the files that failed: the first one's exit code, and whether all of them kept changing. */
  #firstExit: number | undefined;
  #onlyChanged = true;
  #phase: Phase | null = null;
  /** Bytes of the files that are done with, and of those under way what is there. */
  bytes = 0;
  totalBytes: number | null = 0;
  files = 0;
  totalFiles = 0;
  directories = 0;
  bytesSent = 0;
  bytesReused = 0;
  chunksRepeated = 0;

  /** Without `fileEvents` no file is told of that is done with. */
  constructor(fileEvents = true) {
    this.#fileEvents = fileEvents;
  }

  /** All events, as they happen, some together; ends after the summary. */
  async *events(): AsyncGenerator<FerryEvent[]> {
    for (;;) {
      yield this.#events.splice(0);
      this.#read.notify();
      if (this.#done && this.#events.length === 0) return;
      await this.#wake.wait();
    }
  }

  /** Waits while whoever reads the events is far behind, so that they don't pile up. */
  async room(): Promise<void> {
    while (this.#events.length > eventsAhead && !this.#abandoned) await this.#read.wait();
  }

  /** Nobody reads the events any more. */
  abandon(): void {
    this.#abandoned = true;
    this.#read.notify();
  }

  emit(event: FerryEvent): void {
    this.#events.push(event);
    this.#wake.notify();
  }

  /** Content crossed the network, `repeated` chunks of it for another time. */
  sent(bytes: number, repeated: number): void {
    this.bytesSent += bytes;
    this.chunksRepeated += repeated;
    this.#phase = null;
    this.tick();
  }

  working(phase: Phase): void {
    this.#phase = phase;
    this.tick();
  }

  /** Tells of progress, if it is time to. */
  tick(): void {
    const now = performance.now();
    if (now - this.#progressAtMs < progressMs) return;
    this.#progressAtMs = now;
    this.emit({
      type: 'progress',
      bytes: this.bytes,
      totalBytes: this.totalBytes,
      files: this.files,
      totalFiles: this.totalFiles,
      bytesSent: this.bytesSent,
      bytesReused: this.bytesReused,
      phase: this.#phase,
      ...this.#rates(now),
    });
  }

  #rates(now: number): {
    bytesPerSecond: number;
    averageBytesPerSecond: number;
    secondsLeft: number | null;
  } {
    this.#samples.push({ atMs: now, bytes: this.bytes });
    while ((this.#samples[1]?.atMs ?? now) < now - rateWindowMs) this.#samples.shift();
    const first = this.#samples[0] ?? { atMs: this.#startedAtMs, bytes: 0 };
    const recent = (1000 * (this.bytes - first.bytes)) / Math.max(1, now - first.atMs);
    const average = (1000 * this.bytes) / Math.max(1, now - this.#startedAtMs);
    const left = this.totalBytes === null ? null : (this.totalBytes - this.bytes) / recent;
    return {
      bytesPerSecond: Math.max(0, Math.round(recent)),
      averageBytesPerSecond: Math.round(average),
      secondsLeft: left === null || !Number.isFinite(left) ? null : Math.max(0, Math.round(left)),
    };
  }

  /** A file is in place, or was left alone; `tell` makes its event, if anybody wants it. */
  finished(tell: () => Omit<FileEvent, 'type'>): void {
    this.files += 1;
    if (this.#fileEvents) this.emit({ type: 'file', ...tell() });
    this.tick();
  }

  /** A file would be sent, if this were no dry run. */
  planned(path: string, bytes: number): void {
    this.files += 1;
    this.emit({ type: 'file', path, outcome: 'planned', bytes });
    this.tick();
  }

  /** One file could not be transferred; the others go on. */
  fileFailed(path: string, bytes: number, error: FerryError): void {
    this.#failed += 1;
    if (this.#failedNames.length < failedNamesShown) this.#failedNames.push(escaped(path));
    const { failure, message, exitCode } = error;
    this.emit({ type: 'error', failure, message, exitCode, path });
    this.emit({ type: 'file', path, outcome: 'failed', bytes });
    this.#firstExit ??= exitCode;
    this.#onlyChanged &&= failure === 'source-changed';
  }

  /** The whole ends with this error. */
  aborted(error: unknown): void {
    const known =
      error instanceof FerryError
        ? error
        : new FerryError('internal', `Something unexpected went wrong: ${String(error)}`, {
            cause: error,
          });
    const { failure, message, exitCode } = known;
    this.emit({ type: 'error', failure, message, exitCode });
    this.#exitCode = exitCode;
  }

  /** An exit code of the command's own, e.g. for differences. */
  exitWith(exitCode: number): void {
    this.#exitCode = exitCode;
  }

  /**
   * The rules of docs/cli.md: what ended the whole, else the one named file's own code, else 23, or
   * 24 when all that failed kept changing.
   */
  #finalExit(single: boolean): number {
    if (this.#exitCode !== 0) return this.#exitCode;
    if (this.#firstExit === undefined) return 0;
    if (single && this.#failed === 1) return this.#firstExit;
    return this.#onlyChanged ? this.#firstExit : new FerryError('some-failed', '').exitCode;
  }

  /** Ends the events with the summary; `single` when one file was named. */
  end(single: boolean): void {
    const seconds = (performance.now() - this.#startedAtMs) / 1000;
    const summary: SummaryEvent = {
      type: 'summary',
      files: this.files,
      directories: this.directories,
      bytes: this.bytes,
      bytesSent: this.bytesSent,
      bytesReused: this.bytesReused,
      chunksRepeated: this.chunksRepeated,
      failed: this.#failed,
      failedNames: [...this.#failedNames],
      seconds: Math.round(seconds * 1000) / 1000,
      bytesPerSecond: Math.round(this.bytesSent / Math.max(seconds, 0.001)),
      exitCode: this.#finalExit(single),
    };
    this.emit(summary);
    this.#done = true;
    this.#wake.notify();
  }
}
