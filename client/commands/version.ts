/** `ferry version`. */
import type { Command } from 'commander';
import { versions } from '../../protocol/preamble.ts';
import { version } from '../../transfer/version.ts';
import { schema } from '../events.ts';
import { write } from '../render.ts';
import { option } from './options.ts';
import type { Shell } from './shell.ts';

export function addVersion(program: Command, shell: Shell): void {
  program
    .command('version')
    .description('show the version of this program, its protocol and its events')
    .addOption(option('--json', 'as one JSON object'))
    .action(async ({ json }: { json?: true }) => {
      const facts = { version, protocol: versions.highest, schema };
      const text = `ferry ${version}, protocol ${facts.protocol}, event schema ${schema}`;
      await write(shell.stdout, `${json === true ? JSON.stringify(facts) : text}\n`);
    });
}
