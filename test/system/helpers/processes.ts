/** The compiled programs, and how their processes end. */
import assert from 'node:assert/strict';
import { type ChildProcess, type StdioOptions, spawn } from 'node:child_process';
import { once } from 'node:events';
import { devNull } from 'node:os';
import { fileURLToPath } from 'node:url';
import { testToken } from '../../helpers/token.ts';
import { watchForTokens } from './secrets.ts';

const programs = {
  ferryd: '../../../daemon/main.js',
  ferry: '../../../bin/ferry.js',
} as const;

/** How a process ended: by itself with a code, or by a signal. */
export interface Exit {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

export interface ProgramOptions {
  /** Added to the environment; undefined takes a name out. */
  readonly env?: Readonly<Record<string, string | undefined>>;
  readonly cwd?: string;
  /** Options for node itself, such as a memory limit. */
  readonly nodeArguments?: readonly string[];
  /** A program with its arguments that runs it in its own place, such as setpriv. */
  readonly through?: readonly string[];
}

/** Everything that was started and has not ended, so that nothing outlives the tests. */
const running = new Set<ChildProcess>();
process.on('exit', killAll);

let failed = 0;
/** How many programs have not come to a good end so far. */
export const failedPrograms = (): number => failed;

/** Kills, at once, everything that was started here and still runs. */
export function killAll(): void {
  for (const child of running) child.kill('SIGKILL');
}

/** The file that node runs for a program. */
export function programPath(program: keyof typeof programs): string {
  return fileURLToPath(new URL(programs[program], import.meta.url));
}

export function startProgram(
  program: keyof typeof programs,
  args: readonly string[],
  stdio: StdioOptions,
  { env = {}, cwd, nodeArguments = [], through = [] }: ProgramOptions,
): { child: ChildProcess; exit: Promise<Exit> } {
  const main = programPath(program);
  const [file, ...before] = [...through, process.execPath];
  const child = spawn(file, [...before, ...nodeArguments, main, ...args], {
    stdio,
    // Whatever this machine's own daemon is set to.
    env: { ...process.env, FERRYD_CONFIG: devNull, FERRY_TOKEN: testToken, ...env },
    ...(cwd === undefined ? {} : { cwd }),
  });
  running.add(child);
  const hasToldToken = watchForTokens(child.stderr);
  // `close` comes when the output is complete, too.
  const exit = once(child, 'close').then(([code, signal]): Exit => {
    running.delete(child);
    if (code !== 0) failed += 1;
    assert.ok(!hasToldToken(), `${program} ${args.join(' ')}: no token on stderr`);
    return { code: code as Exit['code'], signal: signal as Exit['signal'] };
  });
  return { child, exit };
}

/** Calls `onLine` for each line that the stream carries. */
export function eachLine(stream: NodeJS.ReadableStream, onLine: (line: string) => void): void {
  let rest = '';
  stream.setEncoding('utf8');
  stream.on('data', (text: string) => {
    const lines = (rest + text).split('\n');
    rest = lines.pop() ?? '';
    for (const line of lines) onLine(line);
  });
  stream.on('end', () => {
    if (rest !== '') onLine(rest);
  });
}

/** The JSON object in a line; undefined for a line that is something else. */
export function parseObject(line: string): Record<string, unknown> | undefined {
  if (!line.startsWith('{')) return undefined;
  try {
    return JSON.parse(line) as Record<string, unknown>;
  } catch {
    return undefined; // A line for people that happens to begin like one.
  }
}
