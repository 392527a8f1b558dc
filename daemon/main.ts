#!/usr/bin/env node
/** ferryd: the process around the daemon: arguments, signals, exit codes. */
import { homedir } from 'node:os';
import path from 'node:path';
import { FerryError } from '../protocol/errors.ts';
import { type Daemon, startDaemon } from './daemon.ts';
import { addLinkCommand, welcome } from './link.ts';
import { createLog } from './log.ts';
import { type DaemonOptions, daemonCommand } from './options.ts';
import { addTokenCommands } from './token-commands.ts';

/** Where the daemon keeps its files: https://specifications.freedesktop.org/basedir-spec/ */
function defaultState(): string {
  const base = process.env['XDG_STATE_HOME'] ?? '';
  const state = path.isAbsolute(base) ? base : path.join(homedir(), '.local', 'state');
  return path.join(state, 'chunkferry');
}

/** Processor time of this process so far, in microseconds. */
function cpuUs(): number {
  const { user, system } = process.cpuUsage();
  return user + system;
}

/** A stop that takes longer than this is broken off. */
const stopMs = 9_000;

/** From the first moment on: whoever reads that we listen may already ask us to stop. */
function stopOnSignals(starting: Promise<Daemon>): void {
  let stopping = false;
  const stop = (): void => {
    // The second signal means at once.
    if (stopping) process.exit(1);
    stopping = true;
    setTimeout(() => process.exit(1), stopMs).unref();
    starting
      .then((daemon) => daemon.stop())
      .then(
        () => process.exit(0),
        (error: unknown) => fail(error),
      );
  };
  process.on('SIGTERM', stop);
  process.on('SIGINT', stop);
}

function fail(error: unknown): void {
  const known = error instanceof FerryError;
  const message = known ? error.message : `Something unexpected went wrong: ${String(error)}`;
  process.stderr.write(`ferryd: ${message}\n`);
  process.exit(known ? error.exitCode : 1);
}

async function run(options: DaemonOptions): Promise<void> {
  const format = options.logFormat ?? (process.stderr.isTTY ? 'pretty' : 'json');
  const log = createLog(options.logLevel, format, (line) => void process.stderr.write(line));
  try {
    const starting = startDaemon(options, options.state ?? defaultState(), log, cpuUs);
    stopOnSignals(starting);
    const daemon = await starting;
    // For people only: a log must never hold a token.
    if (process.stdout.isTTY && process.stderr.isTTY) {
      await daemon.link().then(
        (text) => void process.stdout.write(welcome(text, daemon.note)),
        () => undefined, // The first token was replaced by others: nothing to show.
      );
    }
  } catch (error) {
    fail(error);
  }
}

const program = daemonCommand(run).exitOverride((error) =>
  process.exit(error.exitCode === 0 ? 0 : 2),
);
addTokenCommands(program, {
  defaultState: defaultState(),
  out: (text) => void process.stdout.write(text),
  say: (text) => void process.stderr.write(text),
});
addLinkCommand(program, {
  defaultState: defaultState(),
  out: (text) => void process.stdout.write(text),
});
await program.parseAsync().catch(fail);
