/** strace: counts the calls of a program under test, and lets one of them kill it, fail or wait. */
import { execFileSync } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import test from 'ava';
import { isLinux, isRoot } from './scene.ts';

function hasStrace(): boolean {
  try {
    execFileSync('strace', ['-V'], { stdio: 'ignore' });
    return isLinux;
  } catch {
    return false;
  }
}

type Serial = typeof test.serial | typeof test.serial.skip;

/** Skips by name where there is no strace. */
export const testWithStrace: Serial = hasStrace() ? test.serial : test.serial.skip;
/** Skips by name where nothing can be mounted. */
export const testAsRoot: Serial = isLinux && isRoot ? test.serial : test.serial.skip;

/** One thread for asynchronous calls: strace counts the calls of each thread by itself. */
export const oneThread: Readonly<Record<string, string>> = { UV_THREADPOOL_SIZE: '1' };

/** Writes the calls to `trace`; `-D` leaves the program the process that was started. */
export function tracing(calls: readonly string[], trace: string): string[] {
  return ['strace', '-D', '-f', '-o', trace, '-e', `trace=${calls.join()}`];
}

/** The same with a fault, e.g. `fsync:signal=KILL:when=3`. */
export function injecting(fault: string, trace: string): string[] {
  const [call = ''] = fault.split(':');
  return [...tracing(call.split(','), trace), '-e', `inject=${fault}`];
}

/** How often each call was made, by the thread that made it most. */
export async function callCounts(trace: string): Promise<Map<string, number>> {
  const counts = new Map<string, Map<string, number>>();
  for (const line of (await readFile(trace, 'latin1')).split('\n')) {
    const [, thread = '', call = ''] = /^(\d+)\s+(\w+)\(/.exec(line) ?? [];
    if (call === '') continue;
    const threads = counts.get(call) ?? new Map<string, number>();
    counts.set(call, threads.set(thread, (threads.get(thread) ?? 0) + 1));
  }
  return new Map([...counts].map(([call, threads]) => [call, Math.max(...threads.values())]));
}

/** Runs a tool of the system to its end; throws when it fails. */
export function runTool(tool: string, ...args: readonly string[]): void {
  execFileSync(tool, args);
}
