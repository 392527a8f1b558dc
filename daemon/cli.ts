/** The command line of ferryd, made from the table of settings. */
import { Command, Option } from 'commander';
import { version } from '../transfer/version.ts';
import type { Sources } from './options.ts';
import { type Setting, settings } from './settings.ts';

/** What flags say. */
export type Flags = Omit<Sources, 'env'>;

/** What the commands do. */
export interface Actions {
  /** Serves. */
  readonly run: (flags: Flags) => Promise<void>;
  /** Says what would be served. */
  readonly check: (flags: Flags) => Promise<void>;
}

export function daemonCommand({ run, check }: Actions): Command {
  const program = new Command('ferryd')
    .description('Serves folders to ferry, over TCP, in checksummed chunks that resume.')
    .version(version)
    .configureOutput({
      outputError: (text, write) => write(text.replace(/^error: /, 'ferryd: ')),
    })
    // The daemon's own --share is another one than that of ferryd token.
    .enablePositionalOptions();
  addSettings(program)
    .addHelpText('after', help)
    .action(async (folder: string | undefined) => await run(flagsOf(program, folder)));
  const checking = program
    .command('check')
    .description('validate all settings, and say what they mean');
  addSettings(checking).action(
    async (folder: string | undefined) => await check(flagsOf(checking, folder)),
  );
  return program;
}

const help = `
Each option but --config is also a key of the configuration file, and a variable: FERRYD_LISTEN=…
The file is the one of --config or FERRYD_CONFIG, else $XDG_CONFIG_HOME/chunkferry/ferryd.toml,
else /etc/chunkferry/ferryd.toml.

Examples:
  ferryd ./folder                      serve one folder, encrypted, to who has the token
  ferryd --share music=/srv/music:ro --share inbox=/srv/inbox
  ferryd --plain ./folder              without encryption, on this machine only
  ferryd check --config ferryd.toml    what would be served
`;

function addSettings(command: Command): Command {
  command.option('--config <file>', 'read settings from a TOML file');
  for (const row of settings) {
    if (row.kind.fromTexts === undefined) continue; // For the file alone.
    if (isPositional(row)) command.argument(row.argument ?? '', row.help);
    else command.addOption(optionOf(row));
  }
  return command;
}

const isPositional = ({ argument = '' }: Setting): boolean => argument.startsWith('[');

function optionOf(row: Setting): Option {
  const value = row.argument === undefined ? '' : ` <${row.argument}>`;
  const shown = row.shownFallback ?? row.fallback;
  const isShown = typeof shown === 'string' || typeof shown === 'number';
  const option = new Option(
    `--${row.name}${value}`,
    isShown ? `${row.help} (default: ${shown})` : row.help,
  );
  // Texts are only gathered: they are read together with those of the environment and the file.
  if (row.argument !== undefined) {
    option.argParser((text, before: string[] | undefined) => [...(before ?? []), text]);
  }
  return option;
}

/** What was given to a command and to those above it. */
function flagsOf(command: Command, folder: string | undefined): Flags {
  const { config, ...given } =
    command.optsWithGlobals<Record<string, string[] | true | undefined>>();
  const flags: Record<string, readonly string[]> = {};
  for (const row of settings) {
    const value = isPositional(row)
      ? folder && [folder]
      : given[new Option(`--${row.name}`).attributeName()];
    if (value !== undefined) flags[row.name] = Array.isArray(value) ? value : ['true'];
  }
  return { flags, config: config as unknown as string | undefined };
}
