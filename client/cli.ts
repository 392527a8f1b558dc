/** The command line of ferry. */
import { Command, CommanderError, type Option } from 'commander';
import { FerryError } from '../protocol/errors.ts';
import { jsonLine } from '../protocol/paths.ts';
import { version } from '../transfer/version.ts';
import { addBench } from './commands/bench.ts';
import { addMkdir, addMove, addRemove } from './commands/changes.ts';
import { addDownload } from './commands/download.ts';
import { addList, addStat } from './commands/entries.ts';
import { addPair } from './commands/pair.ts';
import { errorEvent } from './commands/perform.ts';
import type { Outcome, Shell } from './commands/shell.ts';
import { emptySummary } from './commands/summary.ts';
import { addUpload } from './commands/upload.ts';
import { addVerify } from './commands/verify.ts';
import { addVersion } from './commands/version.ts';
import { escapeUnsafe } from './render-names.ts';

const footer = `
A remote is ferry://host[:port]/path (TLS, port 7873), or ferry+tcp:// for a daemon with --plain.
Its path is taken as it stands.
Options can be set by the environment: FERRY_RETRIES=10, FERRY_QUIET=1.

Examples:
  ferry upload photos ferry://nas/backup
  ferry download ferry://nas/backup/photos .
  ferry ls -l ferry://nas/
  ferry help upload`;

type AddCommand = (program: Command, shell: Shell, outcome: Outcome) => void;

const commands: Readonly<Record<string, AddCommand>> = {
  upload: addUpload,
  put: addUpload,
  download: addDownload,
  get: addDownload,
  ls: addList,
  stat: addStat,
  mkdir: addMkdir,
  rm: addRemove,
  mv: addMove,
  verify: addVerify,
  bench: addBench,
  pair: addPair,
  unpair: addPair,
  version: addVersion,
};

/**
 * The program; its actions set `outcome.exitCode`. Where `word`, the first of the command line, names
 * a command, it has that one alone: making all of them takes longer than what most of them do.
 */
export function createProgram(shell: Shell, outcome: Outcome, word = ''): Command {
  const program = new Command('ferry')
    .description('Sends and fetches files in checksummed chunks; any interruption resumes.')
    .version(version)
    .addHelpText('after', footer)
    .configureHelp({ optionDescription: describe })
    .configureOutput({
      writeOut: (text) => void shell.stdout.write(text),
      writeErr: (text) => void shell.stderr.write(text),
      // `run` tells of it, in one form for all errors.
      outputError: () => undefined,
    })
    .exitOverride();
  const named = Object.hasOwn(commands, word) ? [commands[word]] : Object.values(commands);
  for (const add of new Set(named)) add?.(program, shell, outcome);
  return program;
}

/** Without the variable of each option: the footer says how they are named. */
function describe({ description, defaultValue, defaultValueDescription }: Option): string {
  const value = defaultValueDescription ?? defaultValue;
  return typeof value === 'string' ? `${description} (default: ${value})` : description;
}

/** Runs the command that `words` (without program name) say, and gives the exit code. */
export async function run(words: readonly string[], shell: Shell): Promise<number> {
  const startedAtMs = performance.now();
  const outcome: Outcome = { exitCode: 0 };
  try {
    await createProgram(shell, outcome, words[0]).parseAsync(words, { from: 'user' });
    return outcome.exitCode;
  } catch (error) {
    // Help and version were asked for and are out.
    if (error instanceof CommanderError && error.exitCode === 0) return 0;
    return showUsageError(words, shell, usageError(error), startedAtMs);
  }
}

/** What commander found wrong, as one of our errors; anything else stays what it is. */
function usageError(error: unknown): unknown {
  if (!(error instanceof CommanderError)) return error;
  // Without a command the help is shown already.
  if (error.code === 'commander.help') {
    return new FerryError('usage', 'Name a command.', { cause: error });
  }
  const message = error.message
    .replace(/^error: /, '')
    .replace(/\s*\(Did you mean (.*)\?\)$/s, '; did you mean $1?');
  return new FerryError('usage', message, { cause: error });
}

/** Where not even the command is known, `--json` still gets its last two events. */
function showUsageError(
  words: readonly string[],
  shell: Shell,
  error: unknown,
  startedAtMs: number,
): number {
  const event = errorEvent(error);
  const options = words.includes('--') ? words.slice(0, words.indexOf('--')) : words;
  const json = options.includes('--json') || (shell.env['FERRY_JSON'] ?? '') !== '';
  const dataOnStdout = words.at(-1) === '-' && ['download', 'get'].includes(words[0] ?? '');
  if (!json || !dataOnStdout) {
    shell.stderr.write(`ferry: ${escapeUnsafe(event.message)}\n`);
  }
  if (json) {
    const output = dataOnStdout ? shell.stderr : shell.stdout;
    for (const line of [event, emptySummary(startedAtMs, event.exitCode)]) {
      output.write(`${jsonLine(line)}\n`);
    }
  }
  return event.exitCode;
}
