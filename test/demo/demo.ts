/**
 * `npm run demo`: the real programs, a real cut, a real kill, and every byte compared at the end.
 *
 * What it says was measured in this run, by ferry itself and by a proxy that counts what passes.
 */
import { once } from 'node:events';
import { rmSync } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import type { SummaryEvent } from '../../client/events.ts';
import { limits, segmentBytes } from '../../protocol/limits.ts';
import { type DaemonProcess, startDaemon } from '../system/helpers/daemon.ts';
import { type FerryProcess, startFerry } from '../system/helpers/ferry.ts';
import {
  firstDifference,
  MiB,
  type TempFolder,
  tempFolder,
  writeRandomFile,
} from '../system/helpers/files.ts';
import { killAll } from '../system/helpers/processes.ts';
import { Proxy } from '../system/helpers/proxy.ts';

const sizeBytes = 256 * MiB;
const halfBytes = sizeBytes / 2;
/** The promise: an interruption costs at most one segment and what was on its way. */
const resentMaxBytes = segmentBytes + limits.inFlightBytes;

const { isTTY: colored } = process.stdout;
const paint = (code: number, text: string): string =>
  colored ? `\u001b[${code}m${text}\u001b[0m` : text;
const bold = (text: string): string => paint(1, text);
const dim = (text: string): string => paint(2, text);
const green = (text: string): string => paint(32, text);
const red = (text: string): string => paint(31, text);

const mib = (bytes: number): string => `${(bytes / MiB).toFixed(1)} MiB`;
const secondsSince = (startMs: number): number => (performance.now() - startMs) / 1000;

function say(text: string): void {
  process.stdout.write(`${text}\n`);
}

function step(number: number, title: string): void {
  say(`\n${bold(`${number}. ${title}`)}`);
}

function result(text: string): void {
  say(`${green('✔')} ${text}`);
}

/** What a command was meant to do, it did not. */
class Failed extends Error {}

/** Takes ferry's bar off the line that comes next. */
function clearBar(): void {
  if (process.stderr.isTTY) process.stderr.write('\r\u001b[K');
}

/** Runs ferry with its bar where people see it, and its events where we hear them. */
function ferry(folder: string, ...args: string[]): FerryProcess {
  say(dim(`$ ferry ${args.join(' ')}`));
  return startFerry([...args, '--json', '--progress'], {
    cwd: folder,
    showStderr: true,
    onEvent: (event) => {
      if (event.type !== 'retry') return;
      clearBar();
      say(`${red('✘')} ${event.reason} Trying again in ${event.delaySeconds} s.`);
    },
  });
}

async function succeed(run: FerryProcess): Promise<SummaryEvent> {
  const { code, signal, summary } = await run.result;
  if (code !== 0) throw new Failed(`ferry ended with ${signal ?? `exit code ${code}`}.`);
  if (summary === undefined) throw new Failed('ferry ended without a summary.');
  return summary;
}

function checkResent(resentBytes: number): void {
  if (resentBytes <= resentMaxBytes) return;
  throw new Failed(`${mib(resentBytes)} were sent twice: more than ${mib(resentMaxBytes)}.`);
}

async function checkSame(a: string, b: string): Promise<void> {
  const at = await firstDifference(a, b);
  if (at !== undefined) throw new Failed(`${b} differs from the original from byte ${at} on.`);
}

/** Waits until half of the content has passed; false when the command ended before that. */
async function halfPassed(proxy: Proxy, run: FerryProcess): Promise<boolean> {
  let ended = false;
  void run.result.then(() => {
    ended = true;
  });
  while (proxy.contentBytes('up') < halfBytes && !ended) await sleep(1);
  return !ended;
}

/** The network cuts every connection half-way: ferry carries on by itself. */
async function uploadThroughCut(daemon: DaemonProcess, folder: TempFolder): Promise<void> {
  step(1, `Upload ${mib(sizeBytes)}; half-way the network cuts the connection.`);
  const proxy = await Proxy.start(daemon.port);
  try {
    const startMs = performance.now();
    const run = ferry(folder.path, 'upload', 'original.bin', proxy.url('copy.bin'));
    if (!(await halfPassed(proxy, run))) throw new Failed('ferry ended before the cut.');
    const cutAtMs = performance.now();
    let offlineSeconds: number | undefined;
    proxy.onConnect = () => {
      offlineSeconds ??= secondsSince(cutAtMs);
    };
    proxy.cutNow();
    const { bytesSent } = await succeed(run);
    const seconds = secondsSince(startMs);
    if (offlineSeconds === undefined) throw new Failed('ferry never connected again.');
    // What ferry handed to a lost connection is more than what came out of it at the proxy.
    const sentBytes = Math.max(bytesSent, proxy.contentBytes('up'));
    checkResent(sentBytes - sizeBytes);
    result(
      `Resumed by itself. Sent twice: ${mib(sentBytes - sizeBytes)}. ` +
        `${seconds.toFixed(1)} s, of which ${offlineSeconds.toFixed(1)} s offline; ` +
        `${(sentBytes / MiB / (seconds - offlineSeconds)).toFixed(0)} MiB/s while connected.`,
    );
    await checkSame(folder.at('original.bin'), folder.at('served', 'copy.bin'));
  } finally {
    await proxy.close();
  }
}

/** ferry is killed half-way: the same command, run again, carries on. */
async function uploadThroughKill(daemon: DaemonProcess, folder: TempFolder): Promise<void> {
  step(2, 'Upload again; half-way ferry is killed with kill -9.');
  const proxy = await Proxy.start(daemon.port);
  try {
    const command = ['upload', 'original.bin', proxy.url('second.bin')];
    const victim = ferry(folder.path, ...command);
    if (!(await halfPassed(proxy, victim))) throw new Failed('ferry ended before it was killed.');
    victim.kill('SIGKILL');
    const { signal } = await victim.result;
    clearBar();
    if (signal !== 'SIGKILL') throw new Failed('ferry ended before it was killed.');
    const before = proxy.contentBytes('up');
    say(`${red('✘')} Killed after ${mib(before)}.`);

    const startMs = performance.now();
    await succeed(ferry(folder.path, ...command));
    const seconds = secondsSince(startMs);
    const sentBytes = proxy.contentBytes('up');
    checkResent(sentBytes - sizeBytes);
    result(
      `The same command carried on. Sent twice: ${mib(sentBytes - sizeBytes)}. ` +
        `The other ${mib(sentBytes - before)} took ${seconds.toFixed(1)} s.`,
    );
    await checkSame(folder.at('original.bin'), folder.at('served', 'second.bin'));
  } finally {
    await proxy.close();
  }
}

async function downloadAndCompare(daemon: DaemonProcess, folder: TempFolder): Promise<void> {
  step(3, 'Download it, and compare every byte.');
  const startMs = performance.now();
  await succeed(ferry(folder.path, 'download', daemon.url('copy.bin'), 'back.bin'));
  const seconds = secondsSince(startMs);
  await checkSame(folder.at('original.bin'), folder.at('back.bin'));
  result(
    `Identical. ${seconds.toFixed(1)} s, ${(sizeBytes / MiB / seconds).toFixed(0)} MiB/s, ` +
      'every chunk checked, on disk (fsync) at the end.',
  );
}

async function demonstrate(folder: TempFolder): Promise<void> {
  await mkdir(folder.at('served'));
  await writeRandomFile(folder.at('original.bin'), sizeBytes, `demo ${Date.now()}`);
  const daemon = await startDaemon({
    folder: folder.at('served'),
    state: folder.at('state'),
  });
  say(dim('$ ferryd served --plain --listen 127.0.0.1:0'));
  say(`ferryd listens on port ${daemon.port}; everything here happens in ${folder.path}`);
  await uploadThroughCut(daemon, folder);
  await uploadThroughKill(daemon, folder);
  await downloadAndCompare(daemon, folder);
  const { code } = await daemon.stop();
  if (code !== 0) throw new Failed(`ferryd ended with exit code ${code}.`);
}

/** Waits for a signal that ends the demo; gives the exit code that shells expect. */
async function interrupted(): Promise<number> {
  const exitCodes = { SIGINT: 130, SIGTERM: 143, SIGHUP: 129 } as const;
  const signals = Object.keys(exitCodes) as (keyof typeof exitCodes)[];
  return await Promise.race(
    signals.map(async (signal) => {
      await once(process, signal);
      return exitCodes[signal];
    }),
  );
}

async function main(): Promise<number> {
  const startMs = performance.now();
  const folder = await tempFolder();
  // However it ends, nothing of it stays: no process, no file.
  process.on('exit', () => {
    killAll();
    rmSync(folder.path, { recursive: true, force: true, maxRetries: 3 });
  });
  try {
    const exitCode = await Promise.race([demonstrate(folder).then(() => 0), interrupted()]);
    if (exitCode === 0) say(`\n${bold('All is well.')} ${secondsSince(startMs).toFixed(1)} s.`);
    return exitCode;
  } catch (error) {
    const reason = error instanceof Failed ? error.message : String(error);
    process.stderr.write(`\n${red('The demo failed:')} ${reason}\n`);
    return 1;
  }
}

process.exit(await main());
