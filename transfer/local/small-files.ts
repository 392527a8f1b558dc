/**
 * Pages of small files, read and compared in one call each. Contents travel as one array, end to end
 * in the order of their entries, so that a page crosses threads as one buffer. Synchronous.
 */
import { closeSync, fstatSync, lstatSync, openSync, readSync } from 'node:fs';
import type { Entry } from '../../protocol/entry.ts';
import { TransferError } from '../../protocol/errors.ts';
import type { Answer } from '../../protocol/frames/pages.ts';
import type { Policy } from '../../protocol/frames/transfer.ts';
import { limits } from '../../protocol/limits.ts';
import { joinPath, shown } from '../../protocol/paths.ts';
import { decide } from '../sameness.ts';
import { entryOf } from './entries.ts';
import { type PackedError, packError, storageError } from './errors.ts';
import type { Folder } from './folder.ts';
import { touch } from './regular-files.ts';

/** Entries with the contents of the files among them; failures in place of entries. */
export interface SmallPage {
  readonly entries: readonly (Entry | PackedError)[];
  /** Contents of files of at most `limits.fileChunkBytes`, one after another. */
  readonly content: Uint8Array<ArrayBuffer>;
}

/** How many bytes of a page's content belong to `entry`. */
export function contentBytes(entry: Entry): number {
  return entry.kind === 'file' && entry.size <= limits.fileChunkBytes ? entry.size : 0;
}

export function readSmall(folder: Folder, base: string, paths: readonly string[]): SmallPage {
  const contents: Uint8Array[] = [];
  const entries = folder.batch(() =>
    paths.map((path) => {
      try {
        const { entry, content } = readOne(folder, joinPath(base, path), path);
        contents.push(content);
        return entry;
      } catch (error) {
        return packError(storageError(error, path));
      }
    }),
  );
  const content = new Uint8Array(contents.reduce((sum, { byteLength }) => sum + byteLength, 0));
  let position = 0;
  for (const bytes of contents) {
    content.set(bytes, position);
    position += bytes.byteLength;
  }
  return { entries, content };
}

function readOne(
  folder: Folder,
  path: string,
  shownPath: string,
): { readonly entry: Entry; readonly content: Uint8Array } {
  const fd = openSync(folder.place(path).at, folder.readFlags);
  try {
    const stats = fstatSync(fd, { bigint: true });
    const entry = entryOf(shownPath, stats);
    if (entry.kind === 'other') {
      throw new TransferError('wrong-kind', `${shown(path)} is not a regular file.`);
    }
    // The buffer comes from a pool: its bytes are copied before the next page is read.
    const content = Buffer.allocUnsafe(contentBytes(entry));
    if (content.byteLength === 0) return { entry, content };
    const got = readAll(fd, content);
    const after = fstatSync(fd, { bigint: true });
    if (got < content.byteLength || after.size !== stats.size || after.mtimeNs !== stats.mtimeNs) {
      throw new TransferError('source-changed', `${shown(path)} changed while it was read.`);
    }
    return { entry, content };
  } finally {
    closeSync(fd);
  }
}

function readAll(fd: number, content: Uint8Array): number {
  let done = 0;
  while (done < content.byteLength) {
    const got = readSync(fd, content, done, content.byteLength - done, done);
    if (got === 0) break;
    done += got;
  }
  return done;
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
  const stats = place && lstatSync(place.at, { bigint: true, throwIfNoEntry: false });
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
