/** Files that are for this program's user alone: read only when they are, written whole. */
import { constants } from 'node:fs';
import { type FileHandle, mkdir, open, rename, stat, unlink } from 'node:fs/promises';
import path from 'node:path';
import { FerryError } from '../protocol/errors.ts';
import { shown } from '../protocol/paths.ts';

const ownerOnly = 0o700;
const ownFile = 0o600;
const accessOfOthers = 0o077;
const writableByOthers = 0o022;
const hasNoModes = path.sep === '\\';

/** Makes the folder for its owner alone, or refuses one in which others could change files. */
export async function privateFolder(folder: string): Promise<void> {
  try {
    await mkdir(folder, { recursive: true, mode: ownerOnly });
    const { mode } = await stat(folder);
    if ((mode & writableByOthers) === 0 || hasNoModes) return;
  } catch (cause) {
    throw unusable(folder, cause);
  }
  throw new FerryError(
    'usage',
    `Others may write to ${shown(folder)}, where the secrets are: chmod 700 it.`,
  );
}

/** The text of a file; undefined where there is none. Refuses one that others can read or change. */
export async function readPrivate(file: string): Promise<string | undefined> {
  let handle: FileHandle | undefined;
  try {
    handle = await open(file, constants.O_RDONLY | constants.O_NOFOLLOW);
    // Of what was opened, so that nobody swaps it in between.
    const { mode } = await handle.stat();
    if ((mode & accessOfOthers) !== 0 && !hasNoModes) throw openToOthers(file);
    return await handle.readFile('utf8');
  } catch (cause) {
    if (cause instanceof FerryError) throw cause;
    if ((cause as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw unusable(file, cause);
  } finally {
    await handle?.close();
  }
}

/**
 * Writes the file so that at any moment it has its old or its new text, for its owner alone: who
 * owns the folder, since root may change the tokens of a daemon that runs as another user.
 */
export async function writePrivate(file: string, text: string): Promise<void> {
  const folder = path.dirname(file);
  const beside = `${file}.new`;
  try {
    await unlink(beside).catch(() => undefined); // Left by a crash, or not there.
    const flags = constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL;
    const handle = await open(beside, flags, ownFile);
    try {
      await giveToOwnerOf(folder, handle);
      await handle.writeFile(text);
      await handle.sync();
    } finally {
      await handle.close();
    }
    await rename(beside, file);
    await syncFolder(folder);
  } catch (cause) {
    throw unusable(file, cause);
  }
}

async function giveToOwnerOf(folder: string, handle: FileHandle): Promise<void> {
  const [owner, { uid }] = await Promise.all([stat(folder), handle.stat()]);
  if (uid === 0 && owner.uid !== 0) await handle.chown(owner.uid, owner.gid);
}

async function syncFolder(folder: string): Promise<void> {
  if (hasNoModes) return; // Windows has no way to sync a folder.
  const handle = await open(folder, constants.O_RDONLY);
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

function openToOthers(file: string): FerryError {
  return new FerryError(
    'usage',
    `Others can read ${shown(file)}, which must stay secret: chmod 600 it, and revoke its tokens if somebody may have read it.`,
  );
}

/** What is said where a file of the state folder cannot be read or written. */
export function unusable(file: string, cause: unknown): FerryError {
  const reason = cause instanceof Error ? cause.message : String(cause);
  return new FerryError('usage', `Cannot use ${shown(file)}: ${reason}.`, { cause });
}
