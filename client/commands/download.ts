/** `ferry download`, also `get`. */
import type { Command } from 'commander';
import { FerryError } from '../../protocol/errors.ts';
import { isRemote, isSameDaemon, type Remote, requireLocal, requireRemote } from '../remote.ts';
import {
  addConnectOptions,
  addProgressOption,
  addTransferOptions,
  addViewOptions,
  connectOptions,
  viewOf,
} from './options.ts';
import { writtenOut } from './paired-words.ts';
import { perform, type Task } from './perform.ts';
import { addListOptions, addRuleOptions } from './selection.ts';
import type { Outcome, Shell } from './shell.ts';
import { jobParts, type ParsedCommand, refuseBesideStream, settle } from './transfer.ts';

const examples = `
Examples:
  ferry download ferry://nas/inbox/report.pdf .   into the current folder
  ferry download ferry://nas/backup/photos .      makes ./photos
  ferry download ferry://nas/backup/photos/ here  the content of photos
  ferry download ferry://nas/all.tar - | tar x    a stream`;

export function addDownload(program: Command, shell: Shell, outcome: Outcome): void {
  const command = program
    .command('download')
    .alias('get')
    .usage('[options] <remote...> <path>')
    .description('fetch files and folders; what an earlier run left is carried on')
    .argument('<remote...>', 'what to fetch, and where to at the end; - is stdout')
    .addHelpText('after', examples);
  addTransferOptions(addListOptions(addRuleOptions(command)));
  addProgressOption(addViewOptions(addConnectOptions(command)));
  command.action(async (words: string[], parsed: ParsedCommand) => {
    const view = viewOf(parsed, { summary: 'transfer', dataOnStdout: words.at(-1) === '-' });
    outcome.exitCode = await perform(shell, 'download', view, async () =>
      prepare(shell, await writtenOut(shell, words), parsed),
    );
  });
}

async function prepare(shell: Shell, words: string[], parsed: ParsedCommand): Promise<Task> {
  const { remotes, target } = split(words);
  const [first] = remotes;
  const streams = target === '-';
  if (streams) checkStream(remotes, parsed);
  const { options, settings } = await settle(shell, parsed, false);
  const sources = remotes.map(({ path, isFolder }) => ({ path, isFolder }));
  return {
    remote: first,
    connect: { ...connectOptions(parsed), receives: true },
    settings: { sources: sources.map(({ path }) => `/${path}`), target, ...settings },
    lock: parsed.lock === true ? jobParts(shell, 'download', [target], remotes) : undefined,
    stopsItself: true,
    resumes: !streams && options.resume && !options.dryRun,
    maxDurationMs: options.maxDurationMs,
    run: (ferry, signal) =>
      ferry.download(sources, streams ? { stream: shell.stdout } : target, options, signal),
  };
}

type Remotes = readonly [Remote, ...Remote[]];

function split(words: readonly string[]): { remotes: Remotes; target: string } {
  const target = words.at(-1) ?? '';
  const [first, ...others] = words.slice(0, -1);
  if (first === undefined) {
    const missing = isRemote(target) ? 'where to put it' : 'what to fetch';
    throw new FerryError('usage', `Name ${missing}: ferry download <remote...> <path>.`);
  }
  if (isRemote(target) && !isRemote(first)) {
    throw new FerryError('usage', 'The remote comes first; to send, use ferry upload.');
  }
  const remote = requireRemote(first);
  const remotes: Remotes = [remote, ...others.map(requireRemote)];
  if (!remotes.every((other) => isSameDaemon(other, remote))) {
    throw new FerryError('usage', 'All remotes must be on the same daemon.');
  }
  return { remotes, target: requireLocal(target) };
}

function checkStream(remotes: Remotes, parsed: ParsedCommand): void {
  if (remotes.length > 1) throw new FerryError('usage', 'Stdout (-) takes one file only.');
  if (remotes[0].isFolder) {
    throw new FerryError('usage', 'Stdout (-) takes a file, and the remote names a folder.');
  }
  refuseBesideStream(parsed, [
    ['--digest', parsed.digest !== undefined],
    ['--overwrite', parsed.overwrite !== 'always'],
  ]);
}
