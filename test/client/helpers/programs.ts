/** Runs the real programs. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { provideToken, testToken } from '../../helpers/token.ts';

const ferryPath = fileURLToPath(new URL('../../../bin/ferry.js', import.meta.url));
const daemonPath = fileURLToPath(new URL('../../../daemon/main.js', import.meta.url));

export interface Ended {
  readonly exitCode: number | null;
  readonly out: string;
  readonly err: string;
}

export interface Running {
  readonly child: ChildProcess;
  readonly ended: Promise<Ended>;
}

export interface Surroundings {
  readonly env?: Readonly<Record<string, string>>;
  readonly cwd?: string;
  readonly input?: string;
}

export function startFerry(words: readonly string[], around: Surroundings = {}): Running {
  const inherited = Object.entries(process.env).filter(([name]) => !name.startsWith('FERRY_'));
  const child = spawn(process.execPath, [ferryPath, ...words], {
    env: { ...Object.fromEntries(inherited), FERRY_TOKEN: testToken, ...around.env },
    cwd: around.cwd,
    stdio: ['pipe', 'pipe', 'pipe'],
  });
  child.stdin.on('error', () => undefined);
  child.stdin.end(around.input ?? '');
  const text = { out: '', err: '' };
  child.stdout.setEncoding('utf8').on('data', (piece: string) => (text.out += piece));
  child.stderr.setEncoding('utf8').on('data', (piece: string) => (text.err += piece));
  const ended = once(child, 'close').then(([exitCode]) => ({
    exitCode: exitCode as number | null,
    ...text,
  }));
  return { child, ended };
}

export function ferry(words: readonly string[], around: Surroundings = {}): Promise<Ended> {
  return startFerry(words, around).ended;
}

export interface Served {
  /** Where the daemon is, without a path. */
  readonly remote: string;
  /** What it serves. */
  readonly folder: string;
  /** A folder beside it, for local files. */
  readonly local: string;
  stop(): Promise<void>;
}

/** A daemon on a free port, with a folder of its own. */
export async function serve(): Promise<Served> {
  const base = await mkdtemp(join(tmpdir(), 'ferry-cli-'));
  const [folder, local] = [join(base, 'served'), join(base, 'local')];
  await mkdir(folder);
  await mkdir(local);
  provideToken(join(base, 'state'));
  const options = ['--plain', '--listen', '127.0.0.1:0', '--log-format', 'json'];
  const words = [daemonPath, ...options, '--state', join(base, 'state'), folder];
  const child = spawn(process.execPath, words, { stdio: ['ignore', 'pipe', 'pipe'] });
  const port = await listeningPort(child);
  return {
    remote: `ferry+tcp://127.0.0.1:${port}`,
    folder,
    local,
    async stop() {
      child.kill('SIGKILL');
      await once(child, 'exit');
      await rm(base, { recursive: true });
    },
  };
}

/** The log may be on either stream. */
function listeningPort(child: ChildProcess): Promise<number> {
  return new Promise((resolve, reject) => {
    let log = '';
    for (const stream of [child.stdout, child.stderr]) {
      stream?.setEncoding('utf8').on('data', (piece: string) => {
        log += piece;
        const line = log.split('\n').find((text) => text.includes('"event":"listening"'));
        if (line?.endsWith('}') === true) resolve((JSON.parse(line) as { port: number }).port);
      });
    }
    child.once('exit', () => reject(new Error(`ferryd ended: ${log}`)));
  });
}

export function jsonLines(text: string): Record<string, unknown>[] {
  return text
    .split('\n')
    .slice(0, -1)
    .map((line) => JSON.parse(line) as Record<string, unknown>);
}
