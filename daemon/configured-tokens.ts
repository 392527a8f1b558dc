/**
 * Tokens that the configuration file grants: `[[token]]` tables with the words of `ferryd token add`.
 * The token itself stands in a file of its own, which only the daemon's user may read.
 */
import { InvalidArgumentError } from 'commander';
import { FerryError } from '../protocol/errors.ts';
import { parseToken } from '../transfer/authentication.ts';
import { readPrivate } from './private-file.ts';
import {
  Fault,
  filePath,
  type KeyPath,
  type Kind,
  list,
  number,
  quantity,
  tables,
  text,
} from './setting-kinds.ts';
import type { StoredGrant } from './stored-grants.ts';
import { newGrant } from './token-file.ts';
import {
  mostConnections,
  parsePrefix,
  parseScope,
  parseTokenName,
  usualScopes,
} from './token-values.ts';
import { parseBytes, parseDate } from './units.ts';
import { parseCount, parseShareName } from './values.ts';

export interface ConfiguredToken extends Omit<StoredGrant, 'id' | 'key' | 'createdAtMs'> {
  readonly tokenFile: string;
  /** Where it stands in the configuration. */
  readonly path: KeyPath;
}

function parseTokenFile(file: string): string {
  if (file === '') throw new InvalidArgumentError('It must not be empty.');
  if (!isToken(file)) return file;
  throw new InvalidArgumentError(
    "That is a token itself: put it into a file that only ferryd's user can read, and name that one. Have it replaced if others can read this.",
  );
}

function isToken(word: string): boolean {
  try {
    return parseToken(word).length > 0;
  } catch {
    return false;
  }
}

/** A date of TOML, or as text. A span from now would begin anew with each start. */
const date: Pick<Kind<number>, 'fromToml'> = {
  fromToml: (value, { path }) => {
    if (value instanceof Date) return parseDate(value.toISOString());
    if (typeof value !== 'string') throw new Fault('Write a date like 2027-01-01 (UTC).', path);
    return parseDate(value);
  },
};

export const configuredTokens: Kind<readonly ConfiguredToken[]> = {
  isRepeatable: true,
  fromToml: tables(
    { name: text(parseTokenName), 'token-file': filePath(parseTokenFile) },
    {
      scope: list(parseScope),
      share: list(parseShareName),
      prefix: text(parsePrefix),
      expires: date,
      quota: quantity(parseBytes),
      'max-connections': number(parseCount(1, mostConnections)),
      rate: quantity(parseBytes),
    },
    (
      { name, scope = usualScopes, share, prefix = '', expires, quota, rate, ...fields },
      { path },
    ) => ({
      name,
      tokenFile: fields['token-file'],
      scopes: new Set(scope),
      shares: share,
      prefix,
      expiresAtMs: expires,
      quotaBytes: quota,
      maxConnections: fields['max-connections'],
      bytesPerSecond: rate,
      path,
    }),
  ),
};

/** The grants of these tokens. Throws Fault. */
export async function readConfigured(
  tokens: readonly ConfiguredToken[],
): Promise<readonly StoredGrant[]> {
  const grants: StoredGrant[] = [];
  for (const { tokenFile, path, ...allowed } of tokens) {
    const grant = { ...newGrant(await readToken(tokenFile, path), allowed.name), ...allowed };
    const twin = grants.find(
      ({ id, name }) => name === grant.name || Buffer.compare(id, grant.id) === 0,
    );
    if (twin !== undefined) {
      throw new Fault(`It has the name or the token of another one, ${twin.name}.`, path);
    }
    grants.push(grant);
  }
  return grants;
}

async function readToken(file: string, path: KeyPath): Promise<Uint8Array> {
  const at = [...path, 'token-file'];
  try {
    const secret = await readPrivate(file);
    if (secret === undefined) throw new Fault('There is no such file.', at);
    return parseToken(secret);
  } catch (error) {
    if (error instanceof FerryError) throw new Fault(error.message, at);
    throw error;
  }
}
