/** `ferryd token`: adds, lists and revokes tokens. It holds for who connects afterwards. */
import { type Command, InvalidArgumentError, Option } from 'commander';
import { FerryError } from '../protocol/errors.ts';
import { escaped, jsonLine, shown } from '../protocol/paths.ts';
import { newToken, tokenText } from '../transfer/authentication.ts';
import { type Scope, scopes } from './grant.ts';
import { isoTime, type StoredGrant } from './stored-grants.ts';
import { changeGrants, forgetFirstToken, loadGrants, newGrant } from './token-file.ts';
import {
  mostConnections,
  parsePrefix,
  parseScope,
  parseTokenName,
  usualScopes,
} from './token-values.ts';
import { parseBytes, parseExpiry } from './units.ts';
import { readUsage } from './usage.ts';
import { parseCount } from './values.ts';

/** Where the commands write, and of which daemon they are. */
export interface TokenShell {
  readonly stateOf: (command: Command) => Promise<string>;
  readonly out: (text: string) => void;
  readonly say: (text: string) => void;
}

interface Added {
  scope: Scope[];
  share?: string[];
  prefix: string;
  expires?: number;
  quota?: number;
  maxConnections?: number;
  rate?: number;
}

export function addTokenCommands(program: Command, shell: TokenShell): void {
  const token = program.command('token').description('add, list and revoke tokens');
  addCommand(token)
    .addOption(stateOption())
    .action(async (name: string, added: Added, command: Command) => {
      await add(await shell.stateOf(command), name, added, shell);
    });
  token
    .command('list')
    .description('show what each token allows')
    .option('--json', 'one JSON object a line')
    .addOption(stateOption())
    .action(async ({ json }: { json?: true }, command: Command) => {
      const state = await shell.stateOf(command);
      const [grants, used] = [await loadGrants(state), await readUsage(state)];
      shell.out(json ? asJson(grants, used) : asTable(grants, used));
    });
  token
    .command('revoke')
    .description('make a token invalid: its connections end at once')
    .argument('<name|id>')
    .addOption(stateOption())
    .action(async (name: string, _, command: Command) => {
      await revoke(await shell.stateOf(command), name, shell);
    });
  token
    .command('new')
    .description('show a new token, for a [[token]] of the configuration file')
    .action(() => shell.out(`${tokenText(newToken())}\n`));
}

const stateOption = (): Option =>
  new Option('--state <folder>', "the daemon's own folder (default: by XDG's rules)");

function addCommand(token: Command): Command {
  return token
    .command('add')
    .description('make a token, and show it this once')
    .argument('<name>', 'how lists and logs call it', parseTokenName)
    .addOption(
      new Option('--scope <list>', `of ${scopes.join(', ')}`)
        .argParser(parseScopes)
        .default([...usualScopes], usualScopes.join()),
    )
    .option('--share <list>', 'shares that it may reach (default: all)', parseShares)
    .option('--prefix <path>', 'reach only what is below this path', parsePrefix, '')
    .option('--expires <when>', '12h, 30d, or a date (UTC)', (text) => parseExpiry(text))
    .option('--quota <bytes>', 'content in all, up and down: 10G', parseBytes)
    .option('--max-connections <n>', 'connections at once', parseCount(1, mostConnections))
    .option('--rate <bytes>', 'content a second, all its connections together: 10M', parseBytes);
}

async function add(state: string, name: string, added: Added, shell: TokenShell): Promise<void> {
  const token = newToken();
  const grant: StoredGrant = {
    ...newGrant(token, name),
    scopes: new Set(added.scope),
    shares: added.share,
    prefix: added.prefix,
    expiresAtMs: added.expires,
    quotaBytes: added.quota,
    maxConnections: added.maxConnections,
    bytesPerSecond: added.rate,
  };
  await changeGrants(state, (grants) => {
    if (grants.some((known) => known.name === name)) {
      throw new FerryError('exists', `There is a token ${shown(name)} already: revoke it first.`);
    }
    return [...grants, grant];
  });
  shell.say(`Token ${shown(name)}: ${describe(grant)}. It is shown only this once:\n`);
  shell.out(`${tokenText(token)}\n`);
}

async function revoke(state: string, name: string, shell: TokenShell): Promise<void> {
  let revoked: readonly StoredGrant[] = [];
  const left = await changeGrants(state, (grants) => {
    // A name could be another token's id: names first, as they are what people see.
    const named = grants.filter((grant) => grant.name === name);
    revoked = named.length > 0 ? named : grants.filter((grant) => idOf(grant) === name);
    if (revoked.length === 0) {
      throw new FerryError('not-found', `There is no token ${shown(name)}.`);
    }
    return grants.filter((grant) => !revoked.includes(grant));
  });
  for (const grant of revoked) await forgetFirstToken(state, grant);
  shell.say(`The token ${shown(name)} is revoked.\n`);
  if (left.length === 0) shell.say('No token is left: nobody can connect until you add one.\n');
}

const idOf = ({ id }: StoredGrant): string => Buffer.from(id).toString('hex');

/** Bytes of their quotas that tokens used, by id. */
type Used = ReadonlyMap<string, number>;

function asJson(grants: readonly StoredGrant[], used: Used): string {
  const lines = grants.map((grant) =>
    jsonLine({
      name: grant.name,
      id: idOf(grant),
      scopes: [...grant.scopes],
      shares: grant.shares,
      prefix: grant.prefix,
      expires: grant.expiresAtMs === undefined ? undefined : isoTime(grant.expiresAtMs),
      expired: hasExpired(grant),
      quotaBytes: grant.quotaBytes,
      usedBytes: grant.quotaBytes === undefined ? undefined : (used.get(idOf(grant)) ?? 0),
      maxConnections: grant.maxConnections,
      bytesPerSecond: grant.bytesPerSecond,
      created: isoTime(grant.createdAtMs),
    }),
  );
  return lines.map((line) => `${line}\n`).join('');
}

function asTable(grants: readonly StoredGrant[], used: Used): string {
  const width = Math.max(0, ...grants.map(({ name }) => name.length));
  return grants
    .map((grant) => `${grant.name.padEnd(width)}  ${idOf(grant)}  ${describe(grant, used)}\n`)
    .join('');
}

const hasExpired = ({ expiresAtMs = Infinity }: StoredGrant): boolean => expiresAtMs <= Date.now();

/** What it allows, in words. */
export function describe(grant: StoredGrant, used: Used = new Map()): string {
  const { shares, prefix, expiresAtMs, quotaBytes, maxConnections, bytesPerSecond } = grant;
  return [
    [...grant.scopes].join(', ') || 'nothing',
    shares && `in ${shares.map(escaped).join(', ') || 'no share'}`,
    prefix && `below ${shown(prefix)}`,
    expiresAtMs && `${hasExpired(grant) ? 'expired' : 'until'} ${isoTime(expiresAtMs)}`,
    quotaBytes !== undefined && `${quotaBytes} bytes in all, ${used.get(idOf(grant)) ?? 0} used`,
    maxConnections && `${maxConnections} connections at once`,
    bytesPerSecond && `${bytesPerSecond} bytes a second`,
  ]
    .filter((part) => typeof part === 'string' && part !== '')
    .join('; ');
}

const parseScopes = (text: string): Scope[] =>
  text.split(',').map((name) => parseScope(name.trim()));

function parseShares(text: string): string[] {
  const names = text.split(',').map((name) => name.trim());
  if (names.includes('')) throw new InvalidArgumentError('Write names with commas between them.');
  return names;
}
