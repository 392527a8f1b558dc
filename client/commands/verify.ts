/** `ferry verify`. */
import type { Command } from 'commander';
import { FerryError } from '../../protocol/errors.ts';
import { isRemote, requireLocal, requireRemote } from '../remote.ts';
import { defaultTransferOptions } from '../transfer-options.ts';
import {
  addConnectOptions,
  addProgressOption,
  addViewOptions,
  askingOptions,
  type ParsedConnect,
  type ParsedView,
  showsFiles,
  viewOf,
} from './options.ts';
import { writtenOut } from './paired-words.ts';
import { perform, type Task } from './perform.ts';
import { addRuleOptions, type ParsedSelection, readSelection } from './selection.ts';
import type { Outcome, Shell } from './shell.ts';
import { ruleText } from './transfer.ts';

type Parsed = ParsedView & ParsedConnect & ParsedSelection;

const examples = `
Examples:
  ferry verify photos ferry://nas/backup/photos   exit 6 and the differences when they differ`;

export function addVerify(program: Command, shell: Shell, outcome: Outcome): void {
  const command = program
    .command('verify')
    .description('compare a file or folder with a remote one by checksums, without moving data')
    .argument('<path>', 'the file or folder here')
    .argument('<remote>', 'what it should equal')
    .addHelpText('after', examples);
  addProgressOption(addViewOptions(addConnectOptions(addRuleOptions(command))));
  command.action(async (local: string, remote: string, parsed: Parsed) => {
    const view = viewOf(parsed, { summary: 'verify' });
    outcome.exitCode = await perform(shell, 'verify', view, async () => {
      const [here = '', there = ''] = await writtenOut(shell, [local, remote]);
      return await prepare(shell, here, there, parsed);
    });
  });
}

async function prepare(
  shell: Shell,
  localText: string,
  remoteText: string,
  parsed: Parsed,
): Promise<Task> {
  if (isRemote(localText) && !isRemote(remoteText)) {
    throw new FerryError('usage', 'The local path comes first: ferry verify <path> <remote>.');
  }
  const local = requireLocal(localText);
  if (local === '-') throw new FerryError('usage', 'ferry verify does not read stdin (-).');
  const remote = requireRemote(remoteText);
  const { rules, selection, links } = await readSelection(parsed, shell, false);
  const options = { ...defaultTransferOptions, selection, links, fileEvents: showsFiles(parsed) };
  return {
    remote,
    connect: askingOptions(parsed),
    settings: { sources: [local], links, rules: rules.map(ruleText) },
    stopsItself: true,
    resumes: false,
    run: (ferry, signal) => ferry.verify(local, remote.path, options, signal),
  };
}
