/** `ferry upload`, also `put`. */
import type { Command } from 'commander';
import { FerryError } from '../../protocol/errors.ts';
import { parentAndName } from '../../protocol/paths.ts';
import type { Ferry } from '../ferry.ts';
import { isRemote, parseRemote, type Remote, requireLocal, requireRemote } from '../remote.ts';
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
  ferry upload report.pdf ferry://nas/inbox/      the file, into the folder inbox
  ferry upload photos ferry://nas/backup          makes backup/photos
  ferry upload photos/ ferry://nas/backup/photos  the content of photos
  tar c . | ferry upload - ferry://nas/all.tar    a stream`;

export function addUpload(program: Command, shell: Shell, outcome: Outcome): void {
  const command = program
    .command('upload')
    .alias('put')
    .usage('[options] <path...> <remote>')
    .description('send files and folders; what an earlier run left is carried on')
    .argument('<path...>', 'what to send, and where to at the end; - is stdin')
    .addHelpText('after', examples);
  addTransferOptions(addListOptions(addRuleOptions(command)));
  addProgressOption(addViewOptions(addConnectOptions(command)));
  command.action(async (words: string[], parsed: ParsedCommand) => {
    const view = viewOf(parsed, { summary: 'transfer' });
    outcome.exitCode = await perform(shell, 'upload', view, async () =>
      prepare(shell, await writtenOut(shell, words), parsed),
    );
  });
}

type UploadSource = Parameters<Ferry['upload']>[0][number];

async function prepare(shell: Shell, words: string[], parsed: ParsedCommand): Promise<Task> {
  const { paths, remote } = split(words);
  const streams = paths.includes('-');
  if (streams) checkStream(paths, remote, parsed);
  const { options, settings } = await settle(shell, parsed, streams);
  const { name } = parentAndName(remote.path);
  const sources = paths.map(
    (localPath): UploadSource => (streams ? { stream: shell.stdin, name } : { localPath }),
  );
  const target = { path: remote.path, isFolder: remote.isFolder || paths.length > 1 };
  return {
    remote,
    connect: connectOptions(parsed),
    settings: { sources: paths, ...settings },
    lock: parsed.lock === true ? jobParts(shell, 'upload', paths, [remote]) : undefined,
    stopsItself: true,
    resumes: !streams && options.resume && !options.dryRun,
    maxDurationMs: options.maxDurationMs,
    run: (ferry, signal) => ferry.upload(sources, target, options, signal),
  };
}

function split(words: readonly string[]): { paths: string[]; remote: Remote } {
  const last = words.at(-1) ?? '';
  if (words.length < 2) {
    const missing = isRemote(last) ? 'what to send' : 'the remote to send it to';
    throw new FerryError('usage', `Name ${missing}: ferry upload <path...> <remote>.`);
  }
  const between = words.slice(0, -1).find(isRemote);
  if (isRemote(last) && between !== undefined) {
    throw new FerryError('usage', 'Both are remotes: ferry upload sends what is here.');
  }
  if (!isRemote(last) && between !== undefined) {
    throw new FerryError('usage', 'The remote comes last; to fetch, use ferry download.');
  }
  const remote = isRemote(last) ? parseRemote(last) : requireRemote(last);
  return { paths: words.slice(0, -1).map(requireLocal), remote };
}

function checkStream(paths: readonly string[], remote: Remote, parsed: ParsedCommand): void {
  if (paths.length > 1) throw new FerryError('usage', 'Stdin (-) is sent alone.');
  if (remote.isFolder) {
    throw new FerryError('usage', 'What comes from stdin needs the name of a file to go to.');
  }
  refuseBesideStream(parsed, []);
}
