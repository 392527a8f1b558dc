/** What uploads and downloads share of their command lines. */
import path from 'node:path';
import { FerryError } from '../../protocol/errors.ts';
import type { Rule } from '../filter.ts';
import { type Remote, remoteText } from '../remote.ts';
import type { TransferOptions } from '../transfer-options.ts';
import {
  type ParsedConnect,
  type ParsedTransfer,
  type ParsedView,
  showsFiles,
  transferOptions,
} from './options.ts';
import { type ParsedSelection, readSelection } from './selection.ts';
import type { Shell } from './shell.ts';

export type ParsedCommand = ParsedView & ParsedConnect & ParsedTransfer & ParsedSelection;

/** The options in force, and how the `start` event tells of them. */
export interface Settled {
  readonly options: TransferOptions;
  readonly settings: Readonly<Record<string, unknown>>;
}

export async function settle(
  shell: Shell,
  parsed: ParsedCommand,
  stdinTaken: boolean,
): Promise<Settled> {
  const { rules, ...selected } = await readSelection(parsed, shell, stdinTaken);
  const options = { ...transferOptions(parsed, selected), fileEvents: showsFiles(parsed) };
  const { selection: _function, filesFrom: _list, fileEvents: _view, sha256, ...plain } = options;
  const settings = {
    ...plain,
    digest: sha256 ? 'sha256' : null,
    connections: options.connections ?? null,
    bytesPerSecond: options.bytesPerSecond ?? null,
    maxDurationMs: options.maxDurationMs ?? null,
    rules: rules.map(ruleText),
    filesFrom: parsed.filesFrom ?? null,
  };
  return { options, settings };
}

export function ruleText({ include, pattern }: Rule): string {
  return `${include ? '+' : '-'} ${pattern}`;
}

/** What makes two runs the same job: command, sources and target, wherever they were started from. */
export function jobParts(
  shell: Shell,
  command: string,
  local: readonly string[],
  remotes: readonly Remote[],
): string[] {
  const places = local.map((text) => (text === '-' ? '-' : resolved(shell, text)));
  return [command, ...places, ...remotes.map(remoteText)];
}

/** Absolute, with its slash at the end, which decides what is meant. */
function resolved(shell: Shell, text: string): string {
  return path.resolve(shell.folder, text) + (/[/\\]$/.test(text) ? path.sep : '');
}

/** Options that make no sense beside `-`, by what they were parsed to. */
export function refuseBesideStream(
  parsed: ParsedCommand,
  refused: readonly (readonly [option: string, isSet: boolean])[],
): void {
  const always = [
    ['--files-from', parsed.filesFrom !== undefined],
    ['--dry-run', parsed.dryRun === true],
    ['--checksum', parsed.checksum === true],
    ['--delta', parsed.delta === true],
    [
      '--exclude or --include',
      (parsed.exclude ?? parsed.include ?? parsed.excludeFrom) !== undefined,
    ],
    ['--connections', (parsed.connections ?? 1) > 1],
  ] as const;
  const found = [...always, ...refused].find(([, isSet]) => isSet);
  if (found !== undefined) {
    throw new FerryError('usage', `${found[0]} cannot be used with -, which is one stream.`);
  }
}
