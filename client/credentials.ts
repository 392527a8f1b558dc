/**
 * What a command proves itself by, and knows its daemon by.
 *
 * A token comes from --token-file or FERRY_TOKEN_FILE, else from FERRY_TOKEN; there is no --token,
 * because `ps` shows arguments to everybody and shells remember them. Else from the daemons that this
 * user has paired with. For a daemon on the same
 * machine, of the same user, it is in the daemon's own state folder.
 */
import { readFile, stat } from 'node:fs/promises';
import path from 'node:path';
import { FerryError } from '../protocol/errors.ts';
import { shown } from '../protocol/paths.ts';
import { type Binding, parseToken } from '../transfer/authentication.ts';
import { homeFolder } from '../transfer/local/home-folder.ts';
import type { Paired } from './paired.ts';
import { isSameDaemon, type Remote } from './remote.ts';
import type { Credentials } from './transfer-options.ts';

/** What the options of a command say of it. */
export interface Access {
  readonly tokenFile: string | undefined;
  readonly pin: Uint8Array | undefined;
  readonly caFile: string | undefined;
  readonly binding: Binding;
}

const noAccess: Access = {
  tokenFile: undefined,
  pin: undefined,
  caFile: undefined,
  binding: 'exporter',
};

export interface Surroundings {
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Folder that relative paths start from. */
  readonly folder: string;
}

const loopback = /^(?:localhost|127\.\d+\.\d+\.\d+|::1)$/i;
/** Bits of others' permissions. */
const othersMask = 0o077;

/** Throws FerryError: `usage` for what cannot be read, `authentication` for a file others can read. */
export async function findCredentials(
  remote: Remote,
  surroundings: Surroundings,
  access: Access = noAccess,
): Promise<Credentials> {
  const { env, folder } = surroundings;
  const { tokenFile, pin, caFile, binding } = access;
  const ca = caFile === undefined ? undefined : await readAuthorities(path.resolve(folder, caFile));
  const given = { pin, ca, binding };
  if (tokenFile !== undefined) {
    return { ...given, token: await readToken(path.resolve(folder, tokenFile)) };
  }
  const inEnvironment = env['FERRY_TOKEN'] ?? '';
  if (inEnvironment !== '') return { ...given, token: parseToken(inEnvironment) };
  const paired = await pairedWith(remote, surroundings);
  if (paired !== undefined) {
    const isPinned = pin === undefined && ca === undefined;
    return { ...given, token: paired.token, pin: isPinned ? paired.pin : pin };
  }
  const token = loopback.test(remote.host) ? await ownToken(surroundings) : undefined;
  return { ...given, token };
}

/** What is known of a daemon that this user has paired with. */
async function pairedWith(remote: Remote, { env }: Surroundings): Promise<Paired | undefined> {
  const { readPaired } = await import('./paired.ts');
  return (await readPaired(env)).find(({ address }) => isSameDaemon(address, remote));
}

/**
 * The token of a daemon of this user, if there is one. It needs no pin: whoever else listens there
 * cannot prove that token.
 */
async function ownToken({ env }: Surroundings): Promise<Uint8Array | undefined> {
  const base = env['XDG_STATE_HOME'] ?? '';
  const state = path.isAbsolute(base)
    ? base
    : path.join(homeFolder(env, 'set HOME or XDG_STATE_HOME'), '.local', 'state');
  const tokenFile = path.join(state, 'chunkferry', 'token');
  return await readToken(tokenFile).catch((error: unknown) => {
    if (isMissing(error)) return undefined;
    throw error;
  });
}

const isMissing = (error: unknown): boolean =>
  error instanceof FerryError && (error.cause as NodeJS.ErrnoException)?.code === 'ENOENT';

async function readToken(file: string): Promise<Uint8Array> {
  const text = await readText(file);
  const { mode } = await stat(file);
  if ((mode & othersMask) !== 0) {
    throw new FerryError(
      'authentication',
      `Others can read the token in ${shown(file)}: run chmod 600 ${shown(file)}, and have it replaced if they may have.`,
    );
  }
  return parseToken(text);
}

/** Certificates in PEM, the text of them (RFC 7468, section 5). */
async function readAuthorities(file: string): Promise<string> {
  const text = await readText(file);
  if (/-----BEGIN (?:TRUSTED |X509 )?CERTIFICATE-----/.test(text)) return text;
  throw new FerryError(
    'usage',
    `No certificate is in ${shown(file)}: --ca takes those of authorities, in PEM.`,
  );
}

async function readText(file: string): Promise<string> {
  try {
    return await readFile(file, 'utf8');
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new FerryError('usage', `Cannot read ${shown(file)}: ${reason}.`, { cause });
  }
}
