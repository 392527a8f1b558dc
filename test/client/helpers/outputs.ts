/** Streams that remember what was written, for renderers. */
import { Writable } from 'node:stream';
import type { ProgressEvent, SummaryEvent } from '../../../client/events.ts';
import type { Outputs, View } from '../../../client/render.ts';

export class Memory extends Writable {
  readonly isTTY: boolean;
  readonly columns: number | undefined;
  text = '';

  constructor(columns?: number) {
    super({ decodeStrings: false });
    this.isTTY = columns !== undefined;
    this.columns = columns;
  }

  override _write(piece: string, _encoding: string, done: () => void): void {
    this.text += piece;
    done();
  }

  get lines(): string[] {
    return this.text.split('\n').slice(0, -1);
  }
}

/** With `columns`, stderr is a terminal of that width. */
export function outputs(columns?: number): Outputs & { stdout: Memory; stderr: Memory } {
  return { stdout: new Memory(), stderr: new Memory(columns), env: {} };
}

export const view: View = {
  json: false,
  quiet: false,
  verbose: false,
  progress: false,
  dataOnStdout: false,
  summary: 'transfer',
  entryText: ({ path }) => `${path}\n`,
};

export const progressEvent: ProgressEvent = {
  type: 'progress',
  bytes: 50 * 1024 ** 2,
  totalBytes: 200 * 1024 ** 2,
  files: 3,
  totalFiles: 12,
  bytesSent: 40 * 1024 ** 2,
  bytesReused: 10 * 1024 ** 2,
  bytesPerSecond: 10 * 1024 ** 2,
  averageBytesPerSecond: 8 * 1024 ** 2,
  secondsLeft: 15,
  phase: null,
};

export const summaryEvent: SummaryEvent = {
  type: 'summary',
  files: 3,
  directories: 1,
  bytes: 3 * 1024 ** 2,
  bytesSent: 2 * 1024 ** 2,
  bytesReused: 1024 ** 2,
  chunksRepeated: 1,
  failed: 0,
  failedNames: [],
  seconds: 2,
  bytesPerSecond: 1024 ** 2,
  exitCode: 0,
};
