/** The partial files of a root: opened, given their name, deleted. Synchronous. */
import {
  closeSync,
  fchmodSync,
  fstatSync,
  fsyncSync,
  ftruncateSync,
  lstatSync,
  renameSync,
  writeSync,
} from 'node:fs';
import { modeMask } from '../../protocol/entry.ts';
import { TransferError } from '../../protocol/errors.ts';
import { shown } from '../../protocol/paths.ts';
import type { Committed } from '../storage.ts';
import { setModified } from './entries.ts';
import { about, isErrno, type PackedError, packError, storageError } from './errors.ts';
import { closedOnError, type Folder } from './folder.ts';
import { dataName, journalName, partialKey, type Staging } from './staging.ts';
import { SyncList } from './sync-list.ts';

/** An open partial; the descriptors are the caller's. */
export interface OpenedPartial {
  readonly dataFd: number;
  readonly journalFd: number;
}

/** A partial that shall get its name. */
export interface CommitRequest extends Committed {
  readonly path: string;
  readonly dataFd: number;
}

/** Opens the two files of the partial for `path`, empty when `fresh`. Throws TransferError. */
export function openPartial(
  folder: Folder,
  staging: Staging,
  path: string,
  fresh: boolean,
): OpenedPartial {
  folder.batch(() => refuseOther(folder, path));
  return about(path, () => {
    const key = partialKey(path);
    const dataFd = staging.openPart(dataName(key));
    return closedOnError(dataFd, () => {
      const journalFd = staging.openPart(journalName(key));
      return closedOnError(journalFd, () => {
        if (fresh) {
          ftruncateSync(journalFd);
          ftruncateSync(dataFd);
        }
        return { dataFd, journalFd };
      });
    });
  });
}

/** Opens a partial that has no name and gets none. Throws TransferError. */
export function openScratch(staging: Staging): OpenedPartial {
  return about('', () => {
    const dataFd = staging.openNameless();
    return closedOnError(dataFd, () => ({ dataFd, journalFd: staging.openNameless() }));
  });
}

/** Gives the descriptor of the new journal, the caller's; on failure the old one is untouched. */
export function replaceJournal(
  staging: Staging,
  path: string,
  bytes: Uint8Array,
  durable: boolean,
): number {
  return about(path, () => {
    const name = staging.smallName();
    const fd = staging.openPart(name);
    try {
      for (let done = 0; done < bytes.byteLength; ) done += writeSync(fd, bytes, done);
      // Its name may reach the disk at any time: never before what it says.
      if (durable) fsyncSync(fd);
      renameSync(staging.at(name), staging.at(journalName(partialKey(path))));
      return fd;
    } catch (error) {
      closeSync(fd);
      staging.delete(name);
      throw error;
    }
  });
}

/**
 * A file can never take a folder's place, and shall not take that of a device, a pipe or a socket:
 * better said before its bytes have come.
 */
function refuseOther(folder: Folder, path: string): void {
  let what: string;
  try {
    const { at } = folder.place(path, { blocked: 'wrong-kind' });
    const stats = lstatSync(at, { throwIfNoEntry: false });
    if (stats === undefined || stats.isFile() || stats.isSymbolicLink()) return;
    what = stats.isDirectory() ? 'a folder' : 'a device, a pipe or a socket';
  } catch (error) {
    const failure = storageError(error, path);
    if (failure.failure === 'not-found') return;
    throw failure;
  }
  throw new TransferError('wrong-kind', `${shown(path)} is ${what}.`);
}

/**
 * One round of a group commit: all contents are synced, then each gets its name, then each folder
 * is synced once. Gives what went wrong with each, undefined where nothing did.
 */
export function commit(
  folder: Folder,
  staging: Staging,
  durable: boolean,
  requests: readonly CommitRequest[],
): (PackedError | undefined)[] {
  const changed = new SyncList(folder, durable);
  const failures = requests.map((request) =>
    attempt(request, () => settle(request, staging, durable)),
  );
  folder.batch(() => {
    for (const [index, request] of requests.entries()) {
      failures[index] ??= attempt(request, () => nameData(request, folder, staging, changed));
    }
    try {
      changed.flush();
    } catch (error) {
      const failure = packError(storageError(error, ''));
      for (const index of requests.keys()) failures[index] ??= failure;
    }
  });
  return failures;
}

function attempt({ path }: CommitRequest, step: () => void): PackedError | undefined {
  try {
    step();
    return undefined;
  } catch (error) {
    return packError(storageError(error, path));
  }
}

/** Gives the content its size, mode and time, and the disk all of it. */
function settle(request: CommitRequest, staging: Staging, durable: boolean): void {
  const { dataFd, size, mode, mtimeNs, path } = request;
  if (fstatSync(dataFd).size !== size) ftruncateSync(dataFd, size);
  fchmodSync(dataFd, mode & modeMask);
  setModified(dataFd, mtimeNs);
  if (!durable) return;
  try {
    fsyncSync(dataFd);
  } catch (cause) {
    // The system forgets what it could not write: a second fsync would succeed without it.
    discard(staging, path);
    const reason = isErrno(cause, 'ENOSPC', 'EDQUOT') ? 'no-space' : 'io';
    throw new TransferError(reason, `${shown(path)} could not be made durable.`, { cause });
  }
}

function nameData(
  { path }: CommitRequest,
  folder: Folder,
  staging: Staging,
  changed: SyncList,
): void {
  const place = folder.place(path, { made: changed.add, blocked: 'wrong-kind' });
  const key = partialKey(path);
  renameSync(staging.at(dataName(key)), place.at);
  changed.add(place.parentPath);
  staging.delete(journalName(key));
}

/** Deletes the partial for `path`. */
export function discard(staging: Staging, path: string): void {
  const key = partialKey(path);
  about(path, () => {
    staging.delete(journalName(key));
    staging.delete(dataName(key));
  });
}
