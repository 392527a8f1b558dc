/** Runs the real ferry. */
import assert from 'node:assert/strict';
import type { Readable, Writable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import type { FerryEvent, SummaryEvent } from '../../../client/events.ts';
import {
  type Exit,
  eachLine,
  type ProgramOptions,
  parseObject,
  startProgram,
} from './processes.ts';
import { watchForTokens } from './secrets.ts';

export interface FerrySettings extends ProgramOptions {
  /** What its standard input carries; by default nothing. */
  readonly input?: Readable | Uint8Array | string;
  /** Where its standard output goes; by default it is kept. */
  readonly output?: Writable;
  /** Let people see what it shows on stderr, as it is: on a terminal that is the bar. */
  readonly showStderr?: boolean;
  /** Called for each event as it comes, with `--json`. */
  readonly onEvent?: (event: FerryEvent) => void;
}

export interface FerryResult extends Exit {
  readonly stdout: Buffer;
  readonly stderr: string;
  readonly events: readonly FerryEvent[];
  /** The last event; undefined without `--json`, or when it was killed. */
  readonly summary: SummaryEvent | undefined;
}

/** A running ferry. */
export interface FerryProcess {
  readonly pid: number;
  /** Events so far. */
  readonly events: readonly FerryEvent[];
  readonly result: Promise<FerryResult>;
  kill(signal: NodeJS.Signals): void;
}

/** Starts `ferry ...args`. */
export function startFerry(args: readonly string[], settings: FerrySettings = {}): FerryProcess {
  const { input, output, showStderr = false, onEvent } = settings;
  const events: FerryEvent[] = [];
  const hear = (line: string): void => {
    const object = parseObject(line);
    if (object === undefined) return;
    const event = object as unknown as FerryEvent;
    events.push(event);
    onEvent?.(event);
  };
  const { child, exit } = startProgram(
    'ferry',
    args,
    [input === undefined ? 'ignore' : 'pipe', 'pipe', showStderr ? 'inherit' : 'pipe'],
    settings,
  );
  const stderrLines: string[] = [];
  const json = args.includes('--json');
  const { stdin, stdout, stderr } = child;
  // With --json the events are on stdout, but where the content goes there, on stderr.
  const isDownload = args[0] === 'download' || args[0] === 'get';
  const hasContent = isDownload && args.some(isStdout);
  const eventsOnStdout = json && !hasContent;
  const stdoutPieces: Buffer[] = [];
  const hasToldToken = watchForTokens(hasContent ? null : stdout);
  if (stdout !== null) {
    if (output !== undefined) pipeline(stdout, output).catch(() => undefined);
    else stdout.on('data', (bytes: Buffer) => stdoutPieces.push(bytes));
  }
  if (stdout !== null && eventsOnStdout) {
    const lines = splitter(hear);
    stdout.on('data', (bytes: Buffer) => lines(bytes));
  }
  if (stderr !== null) {
    eachLine(stderr, (line) => {
      stderrLines.push(line);
      if (json && !eventsOnStdout) hear(line);
    });
  }
  // A program that ends early closes its input: how it ended is what counts.
  if (stdin !== null && input !== undefined) feed(input, stdin);
  const result = exit.then((ended) => {
    const said = stderrLines.map((line) => `${line}\n`).join('');
    assert.ok(!hasToldToken(), 'no token on stdout');
    return {
      ...ended,
      stdout: Buffer.concat(stdoutPieces),
      stderr: said,
      events,
      summary: events.find((event): event is SummaryEvent => event.type === 'summary'),
    };
  });
  return {
    pid: child.pid as number,
    events,
    result,
    kill: (signal) => void child.kill(signal),
  };
}

/** Whether the word is the `-` that stands for stdout: the value of an option is a list on stdin. */
function isStdout(word: string, place: number, args: readonly string[]): boolean {
  return word === '-' && !/^--[a-z]+-from$/.test(args[place - 1] ?? '');
}

/** Splits bytes into lines without touching the stream that they come from. */
function splitter(onLine: (line: string) => void): (bytes: Buffer) => void {
  let rest = Buffer.alloc(0);
  return (bytes) => {
    rest = Buffer.concat([rest, bytes]);
    for (let end = rest.indexOf(0x0a); end >= 0; end = rest.indexOf(0x0a)) {
      onLine(rest.toString('utf8', 0, end));
      rest = rest.subarray(end + 1);
    }
  };
}

function feed(input: Readable | Uint8Array | string, stdin: Writable): void {
  if (typeof input === 'string' || input instanceof Uint8Array) {
    stdin.on('error', () => undefined);
    stdin.end(input);
    return;
  }
  pipeline(input, stdin).catch(() => undefined);
}

/** Runs `ferry ...args` to its end. */
export async function runFerry(
  args: readonly string[],
  settings: FerrySettings = {},
): Promise<FerryResult> {
  return await startFerry(args, settings).result;
}
