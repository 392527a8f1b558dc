/** `ferry pair` and `ferry unpair`: daemons that are known by a short name from then on. */
import type { Command } from 'commander';
import { FerryError } from '../../protocol/errors.ts';
import { jsonLine, shown } from '../../protocol/paths.ts';
import type { Link } from '../../transfer/link.ts';
import { type Remote, remoteText } from '../remote.ts';
import { defaultConnectOptions, noCredentials } from '../transfer-options.ts';
import { option } from './options.ts';
import { errorEvent } from './perform.ts';
import type { Outcome, Shell } from './shell.ts';
import { emptySummary } from './summary.ts';

interface Parsed {
  replace?: true;
}

const prompt = 'The link that ferryd shows (or `ferryd link`); it is not shown here: ';

export function addPair(program: Command, shell: Shell, outcome: Outcome): void {
  const command = program
    .command('pair')
    .description('get to know a daemon by its link, which is asked for, or read from stdin')
    .argument('[name]', 'what to call it (default: its own name)')
    .addOption(option('--replace', 'take the place of another daemon of that name'));
  command.action(async (name: string | undefined, parsed: Parsed) => {
    outcome.exitCode = await reported(shell, () => pair(shell, name, parsed));
  });
  program
    .command('unpair')
    .description('forget a paired daemon, and its token')
    .argument('<name>')
    .action(async (name: string) => {
      outcome.exitCode = await reported(shell, async () => {
        const { removePaired } = await import('../paired.ts');
        if (await removePaired(shell.env, name)) return `Forgot ${name}.`;
        throw new FerryError('not-found', `No remote is paired as ${shown(name)}.`);
      });
    });
}

/** Says what `work` gives, or what went wrong; gives the exit code. */
async function reported(shell: Shell, work: () => Promise<string>): Promise<number> {
  try {
    shell.stderr.write(`${await work()}\n`);
    return 0;
  } catch (error) {
    const { message, exitCode } = errorEvent(error);
    shell.stderr.write(`ferry: ${message}\n`);
    return exitCode;
  }
}

async function pair(shell: Shell, given: string | undefined, parsed: Parsed): Promise<string> {
  if (given?.includes('#') === true || given?.includes('://') === true) {
    throw new FerryError(
      'usage',
      'The link is not given here, where ps and the shell’s history show it: run ferry pair, then paste it.',
    );
  }
  const [{ pairedName, readPaired, savePaired }, { parseLink }] = await Promise.all([
    import('../paired.ts'),
    import('../../transfer/link.ts'),
  ]);
  if (given !== undefined && !pairedName.test(given)) {
    throw new FerryError(
      'usage',
      'A name has two characters or more: letters, digits, dots, dashes, underscores.',
    );
  }
  const { readSecret } = await import('../secret-prompt.ts');
  const link = parseLink(await readSecret(shell.stdin, shell.stderr, prompt));
  const name = given ?? link.name;
  const before = (await readPaired(shell.env)).find((other) => other.name === name);
  if (before !== undefined && parsed.replace !== true && !isSameDaemon(before, link)) {
    throw new FerryError(
      'exists',
      `${name} is paired already, with ${remoteText(before.address)}: give another name, or --replace.`,
    );
  }
  const address = await reach(link);
  await savePaired(shell.env, { name, address, token: link.token, pin: link.pin });
  return `Paired with ${name} (${remoteText(address)}). Try: ferry ls ${name}:`;
}

/** One daemon keeps its certificate and its port, not its addresses. */
function isSameDaemon(
  { pin, address }: { pin: Uint8Array | undefined; address: Remote },
  link: Link,
): boolean {
  if (pin !== undefined && link.pin !== undefined) return Buffer.compare(pin, link.pin) === 0;
  return pin === link.pin && link.hosts.includes(address.host) && address.port === link.port;
}

/** The first of the link's addresses at which the daemon proves itself. */
async function reach(link: Link): Promise<Remote> {
  const { connect } = await import('../ferry.ts');
  const { token, pin, scheme, port } = link;
  const credentials = { ...noCredentials, token, pin };
  let failure: unknown;
  for (const host of link.hosts) {
    const address: Remote = { scheme, host, port, path: '', isFolder: true };
    try {
      const ferry = await connect(address, { ...defaultConnectOptions, credentials });
      try {
        await ferry.stat('');
        return address;
      } finally {
        await ferry.close();
      }
    } catch (error) {
      // What may be something else at that address says nothing of the next one.
      failure ??= error;
      const isOther = error instanceof FerryError && tryNext.has(error.failure);
      if (!isOther) throw error;
      failure = error;
    }
  }
  throw failure instanceof Error ? failure : new Error('A link without hosts.');
}

const tryNext: ReadonlySet<string> = new Set([
  'never-connected',
  'connection-lost',
  'protocol',
  'authentication',
  'timeout',
]);

/** What `ferry ls` alone shows: the paired daemons. Gives the exit code. */
export async function listPaired(shell: Shell, json: boolean): Promise<number> {
  const startedAtMs = performance.now();
  const write = (event: object): void => void shell.stdout.write(`${jsonLine(event)}\n`);
  try {
    const { readPaired } = await import('../paired.ts');
    for (const { name, address } of await readPaired(shell.env)) {
      const text = remoteText(address);
      if (json) write({ type: 'entry', path: `${name}:`, kind: 'remote', address: text });
      else shell.stdout.write(`${name}:  ${text}\n`);
    }
    if (json) write(emptySummary(startedAtMs, 0));
    return 0;
  } catch (error) {
    const event = errorEvent(error);
    if (json) for (const line of [event, emptySummary(startedAtMs, event.exitCode)]) write(line);
    shell.stderr.write(`ferry: ${event.message}\n`);
    return event.exitCode;
  }
}
