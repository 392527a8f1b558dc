/**
 * Pages of small files, read and compared in one call each. Contents travel as one array, end to end
 * in the order of their entries, so that a page crosses threads as one buffer. Synchronous.
 */
import { closeSync, fstatSync, readSync } from 'node:fs';
import type { Entry } from '../../protocol/entry.ts';
import { TransferError } from '../../protocol/errors.ts';
import type { Answer } from '../../protocol/frames/pages.ts';
import type { Policy } from '../../protocol/frames/transfer.ts';
import { limits } from '../../protocol/limits.ts';
import { joinPath, shown } from '../../protocol/paths.ts';
import { noRoomInPage } from '../page-memory.ts';
import { decide } from '../sameness.ts';
import { entryOf } from './entries.ts';
import { type PackedError, packError, storageError } from './errors.ts';
import type { Folder } from './folder.ts';
import { libc, type Status } from './libc.ts';
import { touch } from './regular-files.ts';

/** How many bytes of a page's content belong to `entry`. */
export function contentBytes(entry: Entry): number {
  return entry.kind === 'file' && entry.size <= limits.fileChunkBytes ? entry.size : 0;
}

/**
 * Gives the entries, or failures in their place; contents of files of at most `limits.fileChunkBytes`
 * are read into `memory`, one after another.
 */
export function readSmall(
  folder: Folder,
  base: string,
  paths: readonly string[],
  memory: Uint8Array,
): (Entry | PackedError)[] {
  const contents = new Contents(memory);
  return folder.batch(() =>
    paths.map((path) => {
      try {
        return readOne(folder, joinPath(base, path), path, contents);
      } catch (error) {
        return packError(storageError(error, path));
      }
    }),
  );
}

/** Gives the entry of a file, and adds what is in it to `contents`. */
function readOne(folder: Folder, path: string, shownPath: string, contents: Contents): Entry {
  const { directory, name } = folder.place(path);
  const fd = directory.open(name, folder.readFlags);
  try {
    const stats = statusOf(fd);
    const entry = entryOf(shownPath, stats);
    if (entry.kind === 'other') {
      throw new TransferError('wrong-kind', `${shown(path)} is not a regular file.`);
    }
    const length = contentBytes(entry);
    if (length === 0) return entry;
    if (!contents.hasRoom(length)) throw noRoomInPage(shownPath);
    const isWhole = contents.read(fd, length);
    const after = statusOf(fd);
    if (!isWhole || Number(after.size) !== entry.size || after.mtimeNs !== stats.mtimeNs) {
      throw new TransferError('source-changed', `${shown(path)} changed while it was read.`);
    }
    contents.keep(length);
    return entry;
  } finally {
    closeSync(fd);
  }
}

function statusOf(fd: number): Status {
  return libc()?.status(fd) ?? fstatSync(fd, { bigint: true });
}

/** The contents of a page as they are read, end to end. */
class Contents {
  readonly #memory: Uint8Array;
  #length = 0;

  constructor(memory: Uint8Array) {
    this.#memory = memory;
  }

  hasRoom(length: number): boolean {
    return this.#length + length <= this.#memory.length;
  }

  /** Reads `length` bytes from the start of a file; false when it has fewer. */
  read(fd: number, length: number): boolean {
    for (let done = 0; done < length; ) {
      const got = readSync(fd, this.#memory, this.#length + done, length - done, done);
      if (got === 0) return false;
      done += got;
    }
    return true;
  }

  /** What was read last is part of the page. */
  keep(length: number): void {
    this.#length += length;
  }
}

/** What to do with each entry; where only a file's mode differs, it is set. */
export function examine(
  folder: Folder,
  base: string,
  entries: readonly Entry[],
  policy: Policy,
  durable: boolean,
): Answer[] {
  return folder.batch(() =>
    entries.map((entry) => {
      try {
        return examineOne(folder, joinPath(base, entry.path), entry, policy, durable);
      } catch {
        return 'refused'; // Whoever asks for the reason looks again.
      }
    }),
  );
}

function examineOne(
  folder: Folder,
  path: string,
  entry: Entry,
  policy: Policy,
  durable: boolean,
): Answer {
  if (path === '') {
    return decide(entryOf('', fstatSync(folder.root.fd, { bigint: true })), entry, policy);
  }
  const place = folder.find(path, { blocked: 'wrong-kind' });
  const stats = place?.directory.lstat(place.name);
  const existing = stats === undefined ? undefined : entryOf('', stats);
  const answer = decide(existing, entry, policy);
  if (answer === 'unchanged' && existing?.mode !== entry.mode)
    return changeMode(folder, path, entry, durable);
  return answer;
}

/** Sets only the mode. A file that may not even be opened can still be replaced: it is wanted anew. */
function changeMode(folder: Folder, path: string, entry: Entry, durable: boolean): Answer {
  try {
    touch(folder, path, entry, durable);
    return 'unchanged';
  } catch (error) {
    if (error instanceof TransferError) return 'want';
    throw error;
  }
}
