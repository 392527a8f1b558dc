/**
 * Daemons that this user has paired with, in `$XDG_CONFIG_HOME/chunkferry/remotes.toml`: their
 * addresses, certificates and tokens, under short names. Its tokens are why only the owner may read it.
 */
import { randomBytes } from 'node:crypto';
import { mkdir, open, readFile, rename, rm, stat } from 'node:fs/promises';
import path from 'node:path';
import { parse, stringify, type TomlTable } from 'smol-toml';
import { FerryError } from '../protocol/errors.ts';
import { shown } from '../protocol/paths.ts';
import { parseToken, tokenText } from '../transfer/authentication.ts';
import { homeFolder } from '../transfer/local/home-folder.ts';
import { parsePin } from './pin.ts';
import { parseRemote, type Remote, remoteText } from './remote.ts';

export interface Paired {
  readonly name: string;
  /** The daemon, without a path. */
  readonly address: Remote;
  readonly token: Uint8Array;
  readonly pin: Uint8Array | undefined;
}

type Env = Readonly<Record<string, string | undefined>>;

const ownerOnly = 0o700;
const ownFile = 0o600;
const othersMask = 0o077;

/** Two characters at least: one would be a drive elsewhere. */
export const pairedName: RegExp = /^[A-Za-z0-9][A-Za-z0-9._-]+$/;

function pairedFile(env: Env): string {
  const base = env['XDG_CONFIG_HOME'] ?? '';
  const config = path.isAbsolute(base)
    ? base
    : path.join(homeFolder(env, 'set HOME or XDG_CONFIG_HOME'), '.config');
  return path.join(config, 'chunkferry', 'remotes.toml');
}

async function readTables(file: string): Promise<TomlTable> {
  try {
    const { mode } = await stat(file);
    if ((mode & othersMask) !== 0) {
      throw new FerryError(
        'authentication',
        `Others can read the tokens in ${shown(file)}: run chmod 600 ${shown(file)}, and have them replaced if they may have.`,
      );
    }
    return parse(await readFile(file, 'utf8'));
  } catch (cause) {
    if (cause instanceof FerryError) throw cause;
    if ((cause as NodeJS.ErrnoException).code === 'ENOENT') return {};
    const reason = (cause instanceof Error ? cause.message : String(cause)).split('\n')[0];
    throw new FerryError('usage', `Cannot read ${shown(file)}: ${reason}.`, { cause });
  }
}

/** All of them, by name. Throws FerryError. */
export async function readPaired(env: Env): Promise<Paired[]> {
  const file = pairedFile(env);
  return Object.entries(await readTables(file))
    .map(([name, table]) => pairedOf(name, table, file))
    .sort((a, b) => (a.name < b.name ? -1 : 1));
}

function pairedOf(name: string, value: unknown, file: string): Paired {
  try {
    const { address, token, pin } = value as Record<string, unknown>;
    const parsed = typeof pin === 'string' ? parsePin(pin) : undefined;
    if (!pairedName.test(name) || typeof address !== 'string' || typeof token !== 'string') {
      throw new Error('an address or a token is missing');
    }
    if (pin !== undefined && parsed === undefined) throw new Error('its pin is none');
    return { name, address: parseRemote(address), token: parseToken(token), pin: parsed };
  } catch (cause) {
    const reason = cause instanceof FerryError ? cause.message : 'its table is incomplete.';
    throw new FerryError(
      'usage',
      `The remote ${shown(name)} in ${shown(file)} can't be used: ${reason} Pair again, or mend it.`,
      { cause },
    );
  }
}

/** Adds one, or takes the place of the one with its name; the rest of the file stays. */
export async function savePaired(env: Env, { name, address, token, pin }: Paired): Promise<void> {
  const file = pairedFile(env);
  const tables = await readTables(file);
  const before = tables[name] as TomlTable | undefined;
  const table: TomlTable = { ...before, address: remoteText(address), token: tokenText(token) };
  if (pin === undefined) delete table['pin'];
  else table['pin'] = `sha256:${Buffer.from(pin).toString('hex')}`;
  await writeTables(file, { ...tables, [name]: table });
}

/** Whether it was there. */
export async function removePaired(env: Env, name: string): Promise<boolean> {
  const file = pairedFile(env);
  const { [name]: removed, ...rest } = await readTables(file);
  if (removed === undefined) return false;
  await writeTables(file, rest);
  return true;
}

async function writeTables(file: string, tables: TomlTable): Promise<void> {
  await mkdir(path.dirname(file), { recursive: true, mode: ownerOnly });
  const beside = `${file}.${randomBytes(6).toString('hex')}`;
  const handle = await open(beside, 'wx', ownFile);
  try {
    await handle.writeFile(stringify(tables));
    await handle.sync();
    await handle.close();
    await rename(beside, file);
  } catch (error) {
    await rm(beside, { force: true });
    throw error;
  }
}

/**
 * Words of a command line in which `nas:path` stands for the paired remote `nas`. What names none is
 * left as it is: a local file may have a colon in its name.
 */
export async function expandPaired(env: Env, words: readonly string[]): Promise<string[]> {
  const remotes = new Map((await readPaired(env)).map((paired) => [paired.name, paired]));
  return words.map((word) => {
    const [, name = '', rest = ''] = /^([A-Za-z0-9][A-Za-z0-9._-]+):(.*)$/s.exec(word) ?? [];
    const paired = remotes.get(name);
    if (paired === undefined || rest.startsWith('//')) return word;
    return remoteText({ ...paired.address, path: '', isFolder: true }) + rest.replace(/^\/+/, '');
  });
}
