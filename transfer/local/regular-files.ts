/** Existing regular files: opened to be read, and given another mode or time in place. */
import { closeSync, fchmodSync, fstatSync, fsyncSync, openSync } from 'node:fs';
import { modeMask } from '../../protocol/entry.ts';
import { TransferError } from '../../protocol/errors.ts';
import { shown } from '../../protocol/paths.ts';
import type { Committed } from '../storage.ts';
import { setModified } from './entries.ts';
import { about } from './errors.ts';
import { closedOnError, type Folder } from './folder.ts';

/** Opens a regular file to read. Throws TransferError: `wrong-kind` for anything else. */
export function openRegular(folder: Folder, path: string): number {
  return folder.batch(() => {
    const { at } = folder.place(path);
    return about(path, () => {
      const fd = openSync(at, folder.readFlags);
      return closedOnError(fd, () => {
        if (fstatSync(fd).isFile()) return fd;
        throw new TransferError('wrong-kind', `${shown(path)} is not a regular file.`);
      });
    });
  });
}

/** Sets mode and mtime of the regular file at `path`. Throws TransferError. */
export function touch(
  folder: Folder,
  path: string,
  { mode, mtimeNs }: Pick<Committed, 'mtimeNs' | 'mode'>,
  durable: boolean,
): void {
  const fd = openRegular(folder, path);
  try {
    about(path, () => {
      fchmodSync(fd, mode & modeMask);
      setModified(fd, mtimeNs);
      if (durable) fsyncSync(fd);
    });
  } finally {
    closeSync(fd);
  }
}
