/** Runs the real ferryd. */
import assert from 'node:assert/strict';
import { fileURLToPath } from 'node:url';
import { provideToken } from '../../helpers/token.ts';
import { type OpenFiles, openFiles } from './descriptors.ts';
import { tempFolder } from './files.ts';
import {
  type Exit,
  eachLine,
  type ProgramOptions,
  parseObject,
  startProgram,
} from './processes.ts';
import { watchForTokens } from './secrets.ts';

export interface DaemonSettings extends ProgramOptions {
  /** The folder to serve as `/`; leave it out to give `--share` in `args`. */
  readonly folder?: string;
  readonly args?: readonly string[];
  /** A port that an earlier daemon had; by default a free one. */
  readonly port?: number;
  /** The daemon's own folder; by default a temporary one. */
  readonly state?: string;
  /** Whether it serves plain TCP, the default here: what TLS does has tests of its own. */
  readonly plain?: boolean;
}

const leftOver = fileURLToPath(new URL('left-over.js', import.meta.url));

export type LogRecord = Readonly<Record<string, unknown>>;

/** A running ferryd. */
export interface DaemonProcess {
  readonly host: string;
  readonly port: number;
  readonly pid: number;
  /** What it logged so far. */
  readonly logs: readonly LogRecord[];
  /** The same, as it was written. */
  readonly lines: readonly string[];
  /** Lines on stderr that are no log records: there should be none. */
  readonly stray: readonly string[];
  /** What it had open when it began to listen. */
  readonly openAtFirst: OpenFiles;
  readonly exit: Promise<Exit>;
  /** `ferry+tcp://host:port/path`. */
  url(path?: string): string;
  /** The first record with this event, waiting for it if need be. */
  logged(event: string): Promise<LogRecord>;
  /** SIGTERM; gives how it ended. */
  stop(): Promise<Exit>;
  /** SIGKILL, and waits until it is gone. */
  kill9(): Promise<Exit>;
}

/** The log as it comes in. */
class Log {
  readonly records: LogRecord[] = [];
  readonly lines: string[] = [];
  readonly stray: string[] = [];
  #waiting: (() => void)[] = [];
  #over = false;

  read(stream: NodeJS.ReadableStream): void {
    eachLine(stream, (line) => {
      const record = parseObject(line);
      if (record === undefined) this.stray.push(line);
      else this.#add(record, line);
      this.#notify();
    });
    stream.on('close', () => {
      this.#over = true;
      this.#notify();
    });
  }

  #add(record: LogRecord, line: string): void {
    this.records.push(record);
    this.lines.push(line);
  }

  #notify(): void {
    for (const wake of this.#waiting.splice(0)) wake();
  }

  /** Throws when the log ends without it. */
  async find(event: string): Promise<LogRecord> {
    for (;;) {
      const record = this.records.find((candidate) => candidate['event'] === event);
      if (record !== undefined) return record;
      if (this.#over) throw new Error(`ferryd ended without "${event}": ${this.text()}`);
      await new Promise<void>((resolve) => this.#waiting.push(resolve));
    }
  }

  text(): string {
    return [...this.records.map((record) => JSON.stringify(record)), ...this.stray].join('\n');
  }
}

/** Starts ferryd on loopback; settles when it listens, throws when it won't. */
export async function startDaemon(settings: DaemonSettings): Promise<DaemonProcess> {
  const { folder, args = [], port: wantedPort = 0, state, plain = true } = settings;
  const ownState = state === undefined ? await tempFolder() : undefined;
  const standard = [
    ...(plain ? ['--plain'] : []),
    '--listen',
    `127.0.0.1:${wantedPort}`,
    '--log-format',
    'json',
  ];
  const stateFolder = state ?? ownState?.path ?? '';
  provideToken(stateFolder);
  const all = [...(folder === undefined ? [] : [folder]), ...standard, '--state', stateFolder];
  const { child, exit: exited } = startProgram(
    'ferryd',
    [...all, ...args],
    ['ignore', 'ignore', 'pipe'],
    { ...settings, nodeArguments: ['--import', leftOver, ...(settings.nodeArguments ?? [])] },
  );
  const log = new Log();
  log.read(child.stderr as NodeJS.ReadableStream);
  const exit = exited.then(async (ended) => {
    await ownState?.remove();
    const left = log.stray.filter((line) => line.startsWith('left over: '));
    assert.deepEqual(left, [], 'nothing is at work after a stop');
    return ended;
  });
  const end = (signal: NodeJS.Signals): Promise<Exit> => {
    child.kill(signal);
    return exit;
  };
  try {
    const { host, port } = await log.find('listening');
    return {
      host: host as string,
      port: port as number,
      pid: child.pid as number,
      logs: log.records,
      lines: log.lines,
      stray: log.stray,
      openAtFirst: await openFiles(child.pid as number),
      exit,
      url: (path = '') =>
        `ferry${plain ? '+tcp' : ''}://${host as string}:${port as number}/${path}`,
      logged: (event) => log.find(event),
      stop: () => end('SIGTERM'),
      kill9: () => end('SIGKILL'),
    };
  } catch (error) {
    await end('SIGKILL');
    throw error;
  }
}

/** Runs `ferryd ...args` to its end. */
export async function runFerryd(
  args: readonly string[],
  settings: ProgramOptions = {},
): Promise<{ code: number | null; stdout: string; stderr: string }> {
  const { child, exit } = startProgram('ferryd', args, ['ignore', 'pipe', 'pipe'], settings);
  // These are asked for one.
  const tells = args.some((word) => word === 'token' || word === 'link');
  const hasToldToken = watchForTokens(tells ? null : child.stdout);
  let [stdout, stderr] = ['', ''];
  child.stdout?.setEncoding('utf8').on('data', (text: string) => {
    stdout += text;
  });
  child.stderr?.setEncoding('utf8').on('data', (text: string) => {
    stderr += text;
  });
  const { code } = await exit;
  assert.ok(!hasToldToken(), 'no token on stdout');
  return { code, stdout, stderr };
}
