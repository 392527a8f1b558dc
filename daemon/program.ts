/** What ferryd does as a program: arguments, signals, exit codes. */
import { closeSync, openSync } from 'node:fs';
import path from 'node:path';
import type { Command } from 'commander';
import { FerryError } from '../protocol/errors.ts';
import { homeFolder } from '../transfer/local/home-folder.ts';
import { keepNewSpaceSmall } from '../transfer/local/new-space.ts';
import { daemonCommand, type Flags } from './cli.ts';
import { type Daemon, startDaemon } from './daemon.ts';
import { addLinkCommand, welcome } from './link.ts';
import { createLog, type Logger } from './log.ts';
import { type Configuration, readOptions } from './options.ts';
import { addTokenCommands } from './token-commands.ts';

/** Where the daemon keeps its files: https://specifications.freedesktop.org/basedir-spec/ */
function defaultState(): string {
  const base = process.env['XDG_STATE_HOME'] ?? '';
  if (path.isAbsolute(base)) return path.join(base, 'chunkferry');
  const home = homeFolder(process.env, 'set HOME, or give --state');
  return path.join(home, '.local', 'state', 'chunkferry');
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
  for (const line of message.split('\n')) process.stderr.write(`ferryd: ${line}\n`);
  process.exit(known ? error.exitCode : 1);
}

/** SIGHUP reads the settings again. It also comes when the terminal is gone: then stop. */
function reloadOnSignal(
  starting: Promise<Daemon>,
  read: () => Promise<Configuration>,
  log: Logger,
): void {
  const startedOnTerminal = process.stderr.isTTY;
  let reloading: Promise<unknown> = starting.catch(() => undefined);
  const reload = async (): Promise<void> => {
    const { options, warnings } = await read();
    for (const warning of warnings) log.warn({ event: 'settings' }, warning);
    await (await starting).reload(options);
  };
  process.on('SIGHUP', () => {
    if (startedOnTerminal && !existsTerminal()) {
      process.kill(process.pid, 'SIGTERM');
      return;
    }
    reloading = reloading.then(reload).catch((error: unknown) => {
      const reason = error instanceof Error ? error.message : String(error);
      log.error({ event: 'reload', reason }, 'the settings so far stay in force');
    });
  });
}

function existsTerminal(): boolean {
  try {
    closeSync(openSync('/dev/tty', 'r'));
    return true;
  } catch {
    return false;
  }
}

async function run(flags: Flags): Promise<void> {
  const read = (): Promise<Configuration> => readOptions({ ...flags, env: process.env });
  try {
    const { options, file, warnings } = await read();
    const format = options.logFormat ?? (process.stderr.isTTY ? 'pretty' : 'json');
    const log = createLog(options.logLevel, format, (line) => void process.stderr.write(line));
    if (file !== undefined) log.info({ event: 'settings', file }, 'settings read');
    for (const warning of warnings) log.warn({ event: 'settings' }, warning);
    const starting = startDaemon(options, options.state ?? defaultState(), log, cpuUs);
    stopOnSignals(starting);
    reloadOnSignal(starting, read, log);
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

async function check(flags: Flags): Promise<void> {
  try {
    const configuration = await readOptions({ ...flags, env: process.env });
    const { report } = await import('./check.ts');
    const state = configuration.options.state ?? defaultState();
    process.stdout.write(await report(configuration, state));
  } catch (error) {
    if (!(error instanceof FerryError)) throw error;
    // Whatever it is, it is a fault of the settings.
    throw new FerryError('usage', error.message, { cause: error });
  }
}

/** The state folder of the daemon that a command is about: a folder that is named needs no settings. */
async function stateOf(command: Command): Promise<string> {
  const given = command.optsWithGlobals<{ state?: string | string[]; config?: string }>();
  const named = command.opts<{ state?: string }>().state ?? [given.state].flat().at(-1);
  if (named !== undefined) return named;
  const { options } = await readOptions({ flags: {}, config: given.config, env: process.env });
  return options.state ?? defaultState();
}

keepNewSpaceSmall();
const program = daemonCommand({ run, check }).exitOverride((error) =>
  process.exit(error.exitCode === 0 ? 0 : 2),
);
const out = (text: string): void => void process.stdout.write(text);
addTokenCommands(program, { stateOf, out, say: (text) => void process.stderr.write(text) });
addLinkCommand(program, { stateOf, out });
await program.parseAsync().catch(fail);
