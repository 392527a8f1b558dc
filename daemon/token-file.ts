/** `<state>/tokens.json`, and the first token beside it. */
import { rm } from 'node:fs/promises';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { FerryError } from '../protocol/errors.ts';
import { shown } from '../protocol/paths.ts';
import { credentialOf, newToken, parseToken, tokenText } from '../transfer/authentication.ts';
import { type Lock, lockFolder } from '../transfer/local/lock.ts';
import { scopes } from './grant.ts';
import { privateFolder, readPrivate, writePrivate } from './private-file.ts';
import { formatGrants, parseGrants, type StoredGrant } from './stored-grants.ts';

export const tokensName = 'tokens.json';
const firstTokenName = 'token';
const lockName = 'tokens.lock';
const lockTries = 100;
const lockRetryMs = 20;

/** A token without limits, which may do everything everywhere. */
export function newGrant(token: Uint8Array, name: string): StoredGrant {
  const { id, key } = credentialOf(token);
  return {
    id: new Uint8Array(id),
    key,
    name,
    scopes: new Set(scopes),
    shares: undefined,
    prefix: '',
    expiresAtMs: undefined,
    quotaBytes: undefined,
    maxConnections: undefined,
    bytesPerSecond: undefined,
    createdAtMs: Date.now(),
  };
}

/** The grants of the state folder; at the very first call one is made. Throws FerryError. */
export async function loadGrants(stateFolder: string): Promise<readonly StoredGrant[]> {
  await privateFolder(stateFolder);
  // Looked at even where it is not needed: one that others can read must not go unnoticed.
  await readPrivate(path.join(stateFolder, firstTokenName));
  return (await readGrants(stateFolder)) ?? (await changeGrants(stateFolder, (grants) => grants));
}

/** The grants as they are now; undefined where there is no such file. */
export async function readGrants(stateFolder: string): Promise<StoredGrant[] | undefined> {
  const file = path.join(stateFolder, tokensName);
  const text = await readPrivate(file);
  return text === undefined ? undefined : parseGrants(text, file);
}

/**
 * Changes the list, which begins with a first token; one at a time, so that nobody's change is lost.
 * Throws FerryError.
 */
export async function changeGrants(
  stateFolder: string,
  change: (grants: readonly StoredGrant[]) => readonly StoredGrant[],
): Promise<readonly StoredGrant[]> {
  await privateFolder(stateFolder);
  const lock = await lockTokens(stateFolder);
  try {
    const before = (await readGrants(stateFolder)) ?? [await makeFirst(stateFolder)];
    const grants = change(before);
    await writePrivate(path.join(stateFolder, tokensName), formatGrants(grants));
    return grants;
  } finally {
    await lock.release();
  }
}

/** Who is before us needs milliseconds. */
async function lockTokens(stateFolder: string): Promise<Lock> {
  const held = 'Another ferryd is changing the tokens: try again when it is done.';
  for (let tries = 1; ; tries += 1) {
    try {
      return await lockFolder(stateFolder, lockName, held);
    } catch (error) {
      const isHeld = error instanceof FerryError && error.failure === 'lock-held';
      if (!isHeld || tries >= lockTries) throw error;
      await sleep(lockRetryMs);
    }
  }
}

/** The token is written before the list: after a crash between them it is used, not replaced. */
async function makeFirst(stateFolder: string): Promise<StoredGrant> {
  const file = path.join(stateFolder, firstTokenName);
  const text = await readPrivate(file);
  if (text !== undefined) return newGrant(readToken(text, file), 'first');
  const token = newToken();
  await writePrivate(file, `${tokenText(token)}\n`);
  return newGrant(token, 'first');
}

/** A token that is revoked need not lie about any more, where programs of this user find it. */
export async function forgetFirstToken(stateFolder: string, { id }: StoredGrant): Promise<void> {
  const file = path.join(stateFolder, firstTokenName);
  const text = await readPrivate(file);
  if (text === undefined) return;
  if (Buffer.compare(credentialOf(readToken(text, file)).id, id) === 0) await rm(file);
}

function readToken(text: string, file: string): Uint8Array {
  try {
    return parseToken(text);
  } catch (cause) {
    throw new FerryError(
      'usage',
      `${shown(file)} holds no token: delete it, and ferryd makes a new one.`,
      { cause },
    );
  }
}
