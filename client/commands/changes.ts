/** `ferry mkdir`, `ferry rm` and `ferry mv`. */
import { type Command, Option } from 'commander';
import { FerryError, TransferError } from '../../protocol/errors.ts';
import { joinPath, parentAndName, shown } from '../../protocol/paths.ts';
import type { FerryEvent } from '../events.ts';
import type { Ferry } from '../ferry.ts';
import {
  isRemote,
  isSameDaemon,
  parseRemote,
  parseRemotePath,
  type Remote,
  remoteText,
  requireRemote,
} from '../remote.ts';
import {
  addConnectOptions,
  addViewOptions,
  askingOptions,
  type ParsedConnect,
  type ParsedView,
  viewOf,
} from './options.ts';
import { writtenOut } from './paired-words.ts';
import { errorEvent, perform, type Task } from './perform.ts';
import type { Outcome, Shell } from './shell.ts';
import { emptySummary } from './summary.ts';

type Parsed = ParsedView & ParsedConnect;

export function addMkdir(program: Command, shell: Shell, outcome: Outcome): void {
  const command = program
    .command('mkdir')
    .description('make folders')
    .argument('<remote...>', 'the folders')
    // Not by the environment: what changes or removes more is said where it is done.
    .addOption(new Option('-p, --parents', 'make missing parents; what exists is no error'));
  addViewOptions(addConnectOptions(command));
  command.action(async (texts: string[], parsed: Parsed & { parents?: true }) => {
    const parents = parsed.parents ?? false;
    outcome.exitCode = await perform(
      shell,
      'mkdir',
      viewOf(parsed, { summary: 'none' }),
      async () =>
        changeTask(await writtenOut(shell, texts), parsed, { parents }, async (ferry, path) => {
          await ferry.mkdir(path, { parents });
          return 'directories';
        }),
    );
  });
}

export function addRemove(program: Command, shell: Shell, outcome: Outcome): void {
  const command = program
    .command('rm')
    .description('remove files and empty folders')
    .argument('<remote...>', 'what to remove')
    .addOption(new Option('-r, --recursive', 'remove folders with all they hold'));
  addViewOptions(addConnectOptions(command));
  command.action(async (texts: string[], parsed: Parsed & { recursive?: true }) => {
    const recursive = parsed.recursive ?? false;
    outcome.exitCode = await perform(shell, 'rm', viewOf(parsed, { summary: 'none' }), async () =>
      changeTask(await writtenOut(shell, texts), parsed, { recursive }, async (ferry, path) => {
        await ferry.remove(path, { recursive });
        return 'files';
      }),
    );
  });
}

/** Makes one change of each remote, all of them on one daemon. */
function changeTask(
  texts: readonly string[],
  parsed: Parsed,
  settings: Readonly<Record<string, unknown>>,
  change: (ferry: Ferry, path: string) => Promise<'files' | 'directories'>,
): Task {
  const remotes = texts.map(requireRemote);
  const [first] = remotes;
  if (first === undefined || !remotes.every((other) => isSameDaemon(other, first))) {
    throw new FerryError('usage', 'All remotes must be on the same daemon.');
  }
  const paths = remotes.map(({ path }) => path);
  return {
    remote: first,
    connect: askingOptions(parsed),
    settings: { paths: paths.map((path) => `/${path}`), ...settings },
    stopsItself: false,
    resumes: false,
    run: (ferry) => changeEvents(paths, (path) => change(ferry, path)),
  };
}

async function* changeEvents(
  paths: readonly string[],
  change: (path: string) => Promise<'files' | 'directories'>,
): AsyncGenerator<FerryEvent> {
  const startedAtMs = performance.now();
  const counts = { files: 0, directories: 0 };
  const failedNames: string[] = [];
  let exitCode = 0;
  for (const path of paths) {
    try {
      counts[await change(path)] += 1;
    } catch (error) {
      // Anything but a TransferError ends the command: the other paths would only meet the same.
      if (paths.length === 1 || !(error instanceof TransferError)) throw error;
      failedNames.push(`/${path}`);
      exitCode = new FerryError('some-failed', '').exitCode;
      yield { ...errorEvent(error), path };
    }
  }
  const failed = failedNames.length;
  const names = failedNames.slice(0, 100);
  yield { ...emptySummary(startedAtMs, exitCode), ...counts, failed, failedNames: names };
}

export function addMove(program: Command, shell: Shell, outcome: Outcome): void {
  const command = program
    .command('mv')
    .description('rename or move on the daemon; what is there already is not overwritten')
    .argument('<remote>', 'the file or folder')
    .argument('<target>', 'its new path: a remote on the same daemon, or a path that begins with /')
    .addHelpText(
      'after',
      `
Examples:
  ferry mv ferry://nas/a.txt /b.txt     rename
  ferry mv ferry://nas/a.txt /folder/   move into a folder`,
    );
  addViewOptions(addConnectOptions(command));
  command.action(async (from: string, to: string, parsed: Parsed) => {
    outcome.exitCode = await perform(shell, 'mv', viewOf(parsed, { summary: 'none' }), async () => {
      const [source = '', target = ''] = await writtenOut(shell, [from, to]);
      return moveTask(source, target, parsed);
    });
  });
}

function moveTask(fromText: string, toText: string, parsed: Parsed): Task {
  const remote = requireRemote(fromText);
  const to = moveTarget(remote, toText);
  const target = to.isFolder ? joinPath(to.path, parentAndName(remote.path).name) : to.path;
  return {
    remote,
    connect: askingOptions(parsed),
    settings: { target: `/${target}` },
    stopsItself: false,
    resumes: false,
    async *run(ferry) {
      const startedAtMs = performance.now();
      await ferry.rename(remote.path, target);
      yield emptySummary(startedAtMs, 0);
    },
  };
}

function moveTarget(remote: Remote, text: string): Pick<Remote, 'path' | 'isFolder'> {
  if (text.startsWith('/')) return parseRemotePath(text);
  if (!isRemote(text)) {
    const meant = remoteText({ ...remote, path: text.replace(/\/+$/, ''), isFolder: false });
    throw new FerryError(
      'usage',
      `${shown(text)} is no target: write ${shown(`/${text}`)} or ${shown(meant)}.`,
    );
  }
  const to = parseRemote(text);
  if (!isSameDaemon(remote, to)) {
    throw new FerryError('usage', 'ferry mv stays on one daemon; these are two.');
  }
  return to;
}
