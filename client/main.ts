/** ferry: the process around the commands: streams, signals, environment, exit code. */
import type { Writable } from 'node:stream';
import { FerryError } from '../protocol/errors.ts';
import { hasherReady } from '../protocol/hasher.ts';
import { standardInput, standardOutput } from '../transfer/local/standard-streams.ts';
import { createProgram, run } from './cli.ts';
import { falseFlags } from './commands/options.ts';
import type { Shell } from './commands/shell.ts';

const signals = {
  SIGINT: { failure: 'interrupted', exitCode: 130 },
  SIGTERM: { failure: 'terminated', exitCode: 143 },
} as const;

const words = process.argv.slice(2);
let stop: ((failure: 'interrupted' | 'terminated') => void) | undefined;

const stdout = outputOrExit();

function outputOrExit(): Writable {
  try {
    return standardOutput(() => process.stdout);
  } catch (error) {
    if (!(error instanceof FerryError)) throw error;
    process.stderr.write(`ferry: ${error.message}\n`);
    process.exit(error.exitCode);
  }
}

const shell: Shell = {
  // Few commands read it, and it takes 2 ms to open.
  get stdin() {
    return standardInput(() => process.stdin);
  },
  stdout,
  stderr: process.stderr,
  env: process.env,
  get folder() {
    return currentFolder();
  },
  owner: {
    uid: process.getuid?.(),
    platform: process.platform,
    runtimeFolder: process.env['XDG_RUNTIME_DIR'],
  },
  cpuUs: () => {
    const { user, system } = process.cpuUsage();
    return user + system;
  },
  atWork: () => void import('./engine.ts').then(({ setEngine }) => setEngine(words[0])),
  onStop: (handler) => {
    stop = handler;
  },
};

/** Throws FerryError (`usage`). */
function currentFolder(): string {
  try {
    return process.cwd();
  } catch (cause) {
    throw new FerryError('usage', 'The current folder is gone: change to one that is there.', {
      cause,
    });
  }
}

for (const [signal, { failure, exitCode }] of Object.entries(signals)) {
  process.on(signal, () => {
    const first = stop;
    stop = undefined;
    // The second signal, or one when nothing runs, means at once.
    if (first === undefined) exitAtOnce(exitCode);
    else first(failure);
  });
}

/** A bar may stand on the terminal's line. */
function exitAtOnce(exitCode: number): never {
  if (process.stderr.isTTY) process.stderr.write('\n');
  process.exit(exitCode);
}

// Whoever reads our output may stop reading; that is no failure worth a word.
stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code !== 'EPIPE') {
    // Where content goes there, its command tells what became of it.
    if (stdout.listenerCount('error') > 1) return;
    unexpected(error);
  }
  process.exit(1);
});
process.stderr.on('error', () => process.exit(1));
process.on('uncaughtException', unexpected);
process.on('unhandledRejection', unexpected);

function unexpected(error: unknown): never {
  const isError = error instanceof Error;
  const detail = process.env['FERRY_DEBUG'] === '1' && isError ? error.stack : undefined;
  const text = detail ?? (isError ? error.message : String(error));
  process.stderr.write(`ferry: something unexpected went wrong: ${text}\n`);
  process.exit(1);
}

// A download ends stdout itself; Node then makes it look open again.
let stdoutEnded = false;
stdout.once('finish', () => {
  stdoutEnded = true;
});

/** Settles when all that was written is out. */
function flushed(stream: Writable): Promise<void> {
  return new Promise((resolve) => void stream.write('', () => resolve()));
}

/** Runs the command, and ends the process when all that it wrote is out. */
async function main(): Promise<never> {
  await hasherReady;
  // commander takes any value of a flag's variable for yes.
  for (const name of falseFlags(createProgram(shell, { exitCode: 0 }, words[0]), process.env)) {
    delete process.env[name];
  }
  const exitCode = await run(words, shell);
  await Promise.all([stdoutEnded ? undefined : flushed(stdout), flushed(process.stderr)]);
  // An open stdin or a closing connection must not keep the process.
  process.exit(exitCode);
}

void main();
