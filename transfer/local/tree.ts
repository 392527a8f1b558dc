/** Names and folders: stat, mkdir, remove, rename. Synchronous; every error is a TransferError. */
import {
  closeSync,
  fstatSync,
  fsyncSync,
  linkSync,
  lstatSync,
  mkdirSync,
  renameSync,
  rmdirSync,
  unlinkSync,
} from 'node:fs';
import type { Entry } from '../../protocol/entry.ts';
import { TransferError } from '../../protocol/errors.ts';
import { shown, splitPath } from '../../protocol/paths.ts';
import { entryOf } from './entries.ts';
import { about, isErrno, storageError } from './errors.ts';
import type { Folder, Place } from './folder.ts';
import { emptyDirectory } from './removal.ts';
import { SyncList } from './sync-list.ts';

/** What `path` names, without following a link. */
export function stat(folder: Folder, path: string): Entry {
  return folder.batch(() => {
    if (splitPath(path).length === 0)
      return entryOf('', fstatSync(folder.root.fd, { bigint: true }));
    const place = folder.place(path);
    return about(path, () => {
      const stats = folder.look(place.directory, place.name);
      if (stats === undefined)
        throw new TransferError('not-found', `${shown(path)} does not exist.`);
      return entryOf('', stats);
    });
  });
}

export function mkdir(folder: Folder, path: string, parents: boolean, durable: boolean): void {
  const changed = new SyncList(folder, durable);
  folder.batch(() => {
    if (parents) {
      folder.directory(path, { made: changed.add, blocked: 'wrong-kind' });
    } else if (splitPath(path).length === 0) {
      throw new TransferError('exists', 'The root folder exists already.');
    } else {
      const place = folder.place(path, { blocked: 'wrong-kind' });
      about(path, () => mkdirSync(place.at));
      changed.add(place.parentPath);
    }
    changed.flush();
  });
}

/**
 * Removes up to `budget` names and gives whether `path` itself is gone; the caller asks again until
 * it is. It needs no state in between, so a large folder never blocks others for long.
 */
export function remove(
  folder: Folder,
  path: string,
  options: { readonly recursive: boolean; readonly budget: number; readonly durable: boolean },
): boolean {
  if (splitPath(path).length === 0) {
    throw new TransferError('permission', 'The root folder cannot be removed.');
  }
  return folder.batch(() => {
    const place = folder.place(path);
    if (!about(path, () => lstatSync(place.at)).isDirectory()) {
      about(path, () => unlinkSync(place.at));
    } else {
      if (options.recursive && !emptyDirectory(folder, place, path, options.budget)) return false;
      about(path, () => rmdirSync(place.at));
    }
    const changed = new SyncList(folder, options.durable);
    changed.add(place.parentPath);
    changed.flush();
    return true;
  });
}

/**
 * Moves `from` to `to`, which must be free. Nothing is ever overwritten, whoever else is at work.
 */
export function rename(folder: Folder, from: string, to: string, durable: boolean): void {
  const source = splitPath(from);
  const target = splitPath(to);
  if (source.length === 0)
    throw new TransferError('permission', 'The root folder cannot be moved.');
  if (target.length === 0) throw new TransferError('exists', 'The root folder exists already.');
  if (target.length > source.length && source.every((name, depth) => name === target[depth])) {
    throw new TransferError('bad-path', `${shown(from)} cannot be moved into itself.`);
  }
  folder.batch(() => {
    // Both parents are needed at once, and a chain holds only one of them.
    const toPlace = folder.place(to, { blocked: 'wrong-kind' });
    const held = about(to, () => folder.hold(toPlace.directory));
    try {
      const fromPlace = folder.place(from);
      const isDirectory = about(from, () => lstatSync(fromPlace.at)).isDirectory();
      const toAt = held.at(toPlace.name);
      const syncTo = (): void => void (durable && about(to, () => fsyncSync(held.fd)));
      if (isDirectory) moveDirectory(fromPlace, toAt, from, to);
      else moveFile(fromPlace, toAt, from, to, syncTo);
      const changed = new SyncList(folder, durable);
      changed.add(toPlace.parentPath);
      changed.add(fromPlace.parentPath);
      changed.flush();
    } finally {
      closeSync(held.fd);
    }
  });
}

/**
 * A second name fails when the name is taken, which a rename would not. It is on the disk before the
 * first one goes, or a power loss could take both.
 */
function moveFile(
  from: Place,
  toAt: string,
  fromPath: string,
  toPath: string,
  syncTo: () => void,
): void {
  try {
    linkSync(from.at, toAt);
  } catch (error) {
    // Not every file system has links, and some systems refuse those to files of others.
    if (!isErrno(error, 'EPERM', 'EOPNOTSUPP', 'ENOTSUP', 'ENOSYS', 'EMLINK')) {
      throw storageError(error, isErrno(error, 'ENOENT') ? fromPath : toPath);
    }
    moveWithoutLink(from, toAt, fromPath, toPath);
    return;
  }
  try {
    syncTo();
  } catch (error) {
    // The first name is still there: nothing was moved.
    about(toPath, () => unlinkSync(toAt));
    throw error;
  }
  about(fromPath, () => unlinkSync(from.at));
}

/** Here someone who makes `to` between the look and the rename loses what they made. */
function moveWithoutLink(from: Place, toAt: string, fromPath: string, toPath: string): void {
  if (lstatSync(toAt, { throwIfNoEntry: false }) !== undefined) {
    throw new TransferError('exists', `${shown(toPath)} exists already.`);
  }
  about(fromPath, () => renameSync(from.at, toAt));
}

/** Claims the name with an empty folder, the one thing that a folder may be renamed onto. */
function moveDirectory(from: Place, toAt: string, fromPath: string, toPath: string): void {
  about(toPath, () => mkdirSync(toAt));
  try {
    renameSync(from.at, toAt);
  } catch (error) {
    if (isErrno(error, 'ENOTEMPTY', 'EEXIST')) throw storageError(error, toPath);
    about(toPath, () => rmdirSync(toAt));
    throw storageError(error, fromPath);
  }
}
