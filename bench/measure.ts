/**
 * What a command costs, as a whole process: wall time, processor time and memory, of the command and
 * of the server that it talks to. Read from /proc (proc(5)), so that every program is measured alike.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';

export interface Sample {
  readonly seconds: number;
  /** Of the command, and of the server meanwhile. */
  readonly clientCpuSeconds: number;
  readonly serverCpuSeconds: number;
  /** Largest resident size of one process (VmHWM). */
  readonly clientPeakBytes: number;
  readonly serverPeakBytes: number;
  /** What the command says that it reached; for those that measure themselves. */
  readonly bytesPerSecond?: number;
  /** What the command printed on stdout. */
  readonly output: string;
}

export interface Command {
  readonly file: string;
  readonly args: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  readonly cwd?: string;
}

/**
 * What every command is started with, ours and theirs, so that a machine's settings are not measured.
 * NODE_EXTRA_CA_CERTS, which some set for everybody, has Node parse all certificates of the system at each
 * start, with or without TLS: 40 ms.
 */
const environment = Object.fromEntries(
  ['PATH', 'HOME', 'TMPDIR', 'LANG'].map((name) => [name, process.env[name]]),
);

/** USER_HZ, in which proc(5) counts processor time: 100 on every Linux that Node runs on. */
const ticksPerSecond = 100;
const pollMs = 20;
/** A server that forks for each client has to bury its child before its time can be read. */
const settleMs = 60;

/** Runs the command to its end, while `serverPid` serves it. Throws when it fails. */
export async function measure(command: Command, serverPid?: number): Promise<Sample> {
  const before = readTimes(serverPid);
  const startMs = performance.now();
  const child = spawn(command.file, [...command.args], {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...environment, ...command.env },
    ...(command.cwd === undefined ? {} : { cwd: command.cwd }),
  });
  const out: Buffer[] = [];
  const complaints: Buffer[] = [];
  child.stdout.on('data', (bytes: Buffer) => out.push(bytes));
  child.stderr.on('data', (bytes: Buffer) => complaints.push(bytes));
  let endMs = startMs;
  child.once('exit', () => {
    endMs = performance.now();
  });
  const peaks = { client: 0, server: 0 };
  const poll = setInterval(() => {
    peaks.client = Math.max(peaks.client, peakOf(child.pid));
    peaks.server = Math.max(peaks.server, peakOf(serverPid));
  }, pollMs);
  const [code, signal] = (await once(child, 'close')) as [number | null, string | null];
  clearInterval(poll);
  const output = Buffer.concat(out).toString();
  if (code !== 0) {
    const why = Buffer.concat(complaints).toString().trim() || output.trim();
    throw new Error(`${command.file} ended with ${signal ?? code}: ${why}`);
  }
  await sleep(settleMs);
  const after = readTimes(serverPid);
  return {
    seconds: (endMs - startMs) / 1000,
    clientCpuSeconds: after.buried - before.buried,
    serverCpuSeconds: after.server - before.server,
    clientPeakBytes: peaks.client,
    serverPeakBytes: Math.max(peaks.server, peakOf(serverPid)),
    output,
  };
}

/** Seconds of the children that this process has waited for, and of the server with its own. */
function readTimes(serverPid: number | undefined): { buried: number; server: number } {
  const [, , childUser = 0, childSystem = 0] = timesOf('self');
  const server = serverPid === undefined ? [] : timesOf(serverPid);
  return {
    buried: (childUser + childSystem) / ticksPerSecond,
    server: server.reduce((sum, ticks) => sum + ticks, 0) / ticksPerSecond,
  };
}

/** utime, stime, cutime, cstime: fields 14 to 17, counted behind the name in parentheses. */
function timesOf(pid: number | 'self'): number[] {
  const text = readFileSync(`/proc/${pid}/stat`, 'utf8');
  const fields = text.slice(text.lastIndexOf(')') + 2).split(' ');
  return fields.slice(11, 15).map(Number);
}

/** The largest VmHWM of a process and its descendants; 0 for one that is gone. */
function peakOf(pid: number | undefined): number {
  if (pid === undefined) return 0;
  try {
    const status = readFileSync(`/proc/${pid}/status`, 'utf8');
    const kib = Number(/^VmHWM:\s+(\d+)/m.exec(status)?.[1] ?? 0);
    const children = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').split(' ');
    return Math.max(kib * 1024, ...children.filter(Boolean).map((child) => peakOf(Number(child))));
  } catch {
    return 0; // It ended between two looks.
  }
}
