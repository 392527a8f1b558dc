/** Empties a folder with bounded memory, never leaving it and never following a link. */
import { closeSync, type Dir, opendirSync, rmdirSync, unlinkSync } from 'node:fs';
import { TransferError } from '../../protocol/errors.ts';
import { shown } from '../../protocol/paths.ts';
import { about, isErrno } from './errors.ts';
import { type Directory, type Folder, openDirectoryAt, type Place } from './folder.ts';

/** Names read before they are removed. */
const batchNames = 1024;
/** Folders below each other; local programs can make trees deeper than paths on the wire. */
const depthLimit = 512;

interface Budget {
  left: number;
}

/**
 * Removes what the folder at `place` holds, at most `budget` names; gives whether it is empty. A
 * staging folder inside belongs to some other root and goes with the rest: the root's own is not
 * below any path.
 */
export function emptyDirectory(
  folder: Folder,
  place: Place,
  path: string,
  budget: number,
): boolean {
  const directory = about(path, () => openDirectoryAt(place.directory, place.name, folder.device));
  return emptyAndClose(folder, directory, path, 1, { left: budget });
}

function emptyAndClose(
  folder: Folder,
  directory: Directory,
  path: string,
  depth: number,
  budget: Budget,
): boolean {
  try {
    if (depth > depthLimit) {
      throw new TransferError('limit', `${shown(path)} holds folders too deep to be removed.`);
    }
    for (;;) {
      const names = about(path, () => readNames(directory));
      if (names.length === 0) return true;
      for (const name of names) {
        if (budget.left <= 0) return false;
        if (!removeName(folder, directory, name, path, depth, budget)) return false;
        budget.left -= 1;
      }
    }
  } finally {
    closeSync(directory.fd);
  }
}

/** Removes one name with all below it; false when the budget was used up before. */
function removeName(
  folder: Folder,
  parent: Directory,
  name: Buffer,
  path: string,
  depth: number,
  budget: Budget,
): boolean {
  return about(path, () => {
    const at = parent.atBytes(name);
    if (unlinked(at)) return true;
    const directory = openDirectoryAt(parent, name, folder.device);
    if (!emptyAndClose(folder, directory, path, depth + 1, budget)) return false;
    rmdirSync(at);
    return true;
  });
}

/** False when it is a folder, which unlink refuses: EISDIR on Linux, EPERM by POSIX. */
function unlinked(at: Buffer): boolean {
  try {
    unlinkSync(at);
  } catch (error) {
    if (isErrno(error, 'EISDIR', 'EPERM')) return false;
    if (!isErrno(error, 'ENOENT')) throw error;
  }
  return true;
}

/** The folder is read anew for each batch: what a stream shows after removals is not defined. */
function readNames(directory: Directory): Buffer[] {
  const stream: Dir = opendirSync(directory.base, {
    encoding: 'buffer' as BufferEncoding,
    bufferSize: 256,
  });
  try {
    const names: Buffer[] = [];
    while (names.length < batchNames) {
      const name = stream.readSync()?.name as unknown as Buffer | undefined;
      if (name === undefined) break;
      names.push(name);
    }
    return names;
  } finally {
    stream.closeSync();
  }
}
