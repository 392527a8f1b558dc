/** The options that choose which paths take part. Their order on the command line counts. */
import type { Command } from 'commander';
import { FerryError } from '../../protocol/errors.ts';
import { parsePaths, readList, type Separator } from '../files-from.ts';
import {
  parseRule,
  parseRuleFile,
  type Rule,
  type RuleText,
  selectionOf,
  settleRules,
} from '../filter.ts';
import type { TransferOptions } from '../transfer-options.ts';
import { option } from './options.ts';
import type { Shell } from './shell.ts';

/** One option as it stood: a rule, or a file full of them. */
type RuleSource = RuleText | { readonly file: string };

export interface ParsedSelection {
  links: TransferOptions['links'];
  filesFrom?: string;
  from0?: true;
  /** All three are one list, in the order of the command line. */
  exclude?: RuleSource[];
  include?: RuleSource[];
  excludeFrom?: RuleSource[];
}

export function addRuleOptions(command: Command): Command {
  const sources: RuleSource[] = [];
  const add = (read: (text: string) => RuleSource) => (text: string) => {
    sources.push(read(text));
    return sources;
  };
  return command
    .addOption(
      option('--exclude <pattern>', 'leave out what matches; repeatable, the first match decides') //
        .argParser(add((text) => parseRule(text, false))),
    )
    .addOption(
      option('--include <pattern>', 'take what matches though a later rule leaves it out') //
        .argParser(add((text) => parseRule(text, true))),
    )
    .addOption(
      option('--exclude-from <file>', 'read rules from a file, one a line; - is stdin') //
        .argParser(add((file) => ({ file }))),
    )
    .addOption(
      option('--links <how>', 'symbolic links: skip them, or follow them to what they name')
        .choices(['skip', 'follow'])
        .default('skip'),
    );
}

export function addListOptions(command: Command): Command {
  return command
    .addOption(
      option('--files-from <file>', 'only the paths that a file lists, one a line; - is stdin'),
    )
    .addOption(option('-0, --from0', 'in --files-from and --exclude-from a NUL ends each item'));
}

export type Selected = Pick<TransferOptions, 'selection' | 'filesFrom' | 'links'> & {
  readonly rules: readonly Rule[];
};

/** Reads the files that the options name. `stdinTaken`: content comes from stdin, which else may be anything. */
export async function readSelection(
  parsed: ParsedSelection,
  shell: Pick<Shell, 'stdin'>,
  stdinTaken: boolean,
): Promise<Selected> {
  const sources = parsed.exclude ?? parsed.include ?? parsed.excludeFrom ?? [];
  checkStdin(parsed, sources, stdinTaken);
  const separator: Separator = parsed.from0 === true ? 'nul' : 'line';
  const texts: RuleText[] = [];
  for (const source of sources) {
    if (source === 'clear' || 'pattern' in source) texts.push(source);
    else texts.push(...parseRuleFile(await readList(source.file, shell, separator)));
  }
  const rules = settleRules(texts);
  const { filesFrom: list } = parsed;
  const filesFrom =
    list === undefined ? undefined : parsePaths(await readList(list, shell, separator), separator);
  return { selection: selectionOf(rules), rules, filesFrom, links: parsed.links };
}

function checkStdin(
  parsed: ParsedSelection,
  sources: readonly RuleSource[],
  stdinTaken: boolean,
): void {
  const files = sources.filter((source) => source !== 'clear' && 'file' in source);
  if (parsed.from0 === true && parsed.filesFrom === undefined && files.length === 0) {
    throw new FerryError('usage', '-0 says how --files-from or --exclude-from is read: give one.');
  }
  const readers =
    Number(stdinTaken) +
    Number(parsed.filesFrom === '-') +
    files.filter(({ file }) => file === '-').length;
  if (readers > 1) throw new FerryError('usage', 'Stdin (-) can be read for one thing only.');
}
