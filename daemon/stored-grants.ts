/** Grants as `tokens.json` keeps them: read with suspicion, since people edit it. */
import { FerryError } from '../protocol/errors.ts';
import { shown, splitPath } from '../protocol/paths.ts';
import { type Grant, type Scope, scopes } from './grant.ts';

export interface StoredGrant extends Grant {
  readonly createdAtMs: number;
}

/** Changes when the file's meaning does. */
const fileVersion = 1;
const idBytes = 8;
const keyBytes = 32;
/** As it stands in logs and tables. */
const namePattern = /^[\p{L}\p{N}][\p{L}\p{N}._@+-]{0,63}$/u;

export function checkTokenName(name: string): string | undefined {
  return namePattern.test(name)
    ? undefined
    : 'A name begins with a letter or digit, has at most 64 of them, and . _ @ + - beside.';
}

export function formatGrants(grants: readonly StoredGrant[]): string {
  const tokens = grants.map((grant) => ({
    id: Buffer.from(grant.id).toString('hex'),
    key: Buffer.from(grant.key).toString('hex'),
    name: grant.name,
    scopes: scopes.filter((scope) => grant.scopes.has(scope)),
    shares: grant.shares,
    prefix: grant.prefix,
    expires: grant.expiresAtMs === undefined ? undefined : isoTime(grant.expiresAtMs),
    quotaBytes: grant.quotaBytes,
    maxConnections: grant.maxConnections,
    bytesPerSecond: grant.bytesPerSecond,
    created: isoTime(grant.createdAtMs),
  }));
  return `${JSON.stringify({ version: fileVersion, tokens }, undefined, 2)}\n`;
}

export const isoTime = (timeMs: number): string => new Date(timeMs).toISOString();

/** Throws FerryError, which names `file` and what to do. */
export function parseGrants(text: string, file: string): StoredGrant[] {
  try {
    const content = object(JSON.parse(text), 'the file', ['version', 'tokens']);
    if (content['version'] !== fileVersion) throw new Fault(`version is not ${fileVersion}`);
    const tokens = content['tokens'];
    if (!Array.isArray(tokens)) throw new Fault('tokens is not a list');
    const grants = tokens.map((token, i) => parseGrant(token, `tokens[${i}]`));
    refuseTwins(grants.map(({ name }) => name));
    refuseTwins(grants.map(({ id }) => Buffer.from(id).toString('hex')));
    return grants;
  } catch (cause) {
    // A syntax error's own message may quote the file, and so a key.
    const reason = cause instanceof Fault ? cause.message : 'it is no JSON';
    throw new FerryError(
      'usage',
      `Cannot use ${shown(file)}: ${reason}. Correct it, or move it away and restart ferryd: then all tokens but the first are gone.`,
    );
  }
}

/** What is wrong with the file; tells no secret. */
class Fault extends Error {}

function refuseTwins(values: readonly string[]): void {
  const twin = values.find((value, i) => values.indexOf(value) !== i);
  if (twin !== undefined) throw new Fault(`two tokens have ${shown(twin)}`);
}

type Fields = Readonly<Record<string, unknown>>;

function object(value: unknown, where: string, known: readonly string[]): Fields {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw new Fault(`${where} is no object`);
  }
  const unknown = Object.keys(value).find((name) => !known.includes(name));
  // A limit that is misspelt must not pass for one that is not set.
  if (unknown !== undefined) throw new Fault(`${where} has an unknown field ${shown(unknown)}`);
  return value as Fields;
}

const grantFields = [
  'id',
  'key',
  'name',
  'scopes',
  'shares',
  'prefix',
  'expires',
  'quotaBytes',
  'maxConnections',
  'bytesPerSecond',
  'created',
];

function parseGrant(value: unknown, where: string): StoredGrant {
  const fields = object(value, where, grantFields);
  const at = (name: string): string => `${where}.${name}`;
  const count = (name: string, least: number): number | undefined =>
    fields[name] === undefined ? undefined : wholeNumber(fields[name], at(name), least);
  const name = string(fields['name'], at('name'));
  if (checkTokenName(name) !== undefined) throw new Fault(`${at('name')} is not allowed`);
  return {
    id: bytes(fields['id'], at('id'), idBytes),
    key: bytes(fields['key'], at('key'), keyBytes),
    name,
    scopes: new Set(list(fields['scopes'], at('scopes')).map((scope) => oneScope(scope, where))),
    shares: fields['shares'] === undefined ? undefined : list(fields['shares'], at('shares')),
    prefix: wirePath(fields['prefix'], at('prefix')),
    expiresAtMs:
      fields['expires'] === undefined ? undefined : time(fields['expires'], at('expires')),
    quotaBytes: count('quotaBytes', 0),
    maxConnections: count('maxConnections', 1),
    bytesPerSecond: count('bytesPerSecond', 1),
    createdAtMs: time(fields['created'], at('created')),
  };
}

function string(value: unknown, where: string): string {
  if (typeof value !== 'string') throw new Fault(`${where} is no text`);
  return value;
}

function list(value: unknown, where: string): string[] {
  if (!Array.isArray(value)) throw new Fault(`${where} is no list`);
  return value.map((item, i) => string(item, `${where}[${i}]`));
}

function oneScope(name: string, where: string): Scope {
  const scope = scopes.find((known) => known === name);
  if (scope === undefined) throw new Fault(`${where}.scopes has an unknown ${shown(name)}`);
  return scope;
}

function bytes(value: unknown, where: string, length: number): Uint8Array {
  const hex = string(value, where);
  if (!/^[0-9a-f]*$/.test(hex) || hex.length !== 2 * length) {
    throw new Fault(`${where} is not ${length} bytes in hexadecimal`);
  }
  return new Uint8Array(Buffer.from(hex, 'hex'));
}

function wholeNumber(value: unknown, where: string, least: number): number {
  if (!Number.isSafeInteger(value) || (value as number) < least) {
    throw new Fault(`${where} is no whole number from ${least} up`);
  }
  return value as number;
}

function time(value: unknown, where: string): number {
  const timeMs = Date.parse(string(value, where));
  if (Number.isNaN(timeMs)) throw new Fault(`${where} is no time`);
  return timeMs;
}

function wirePath(value: unknown, where: string): string {
  const path = string(value, where);
  try {
    splitPath(path);
  } catch {
    throw new Fault(`${where} is no path below a share`);
  }
  return path;
}
