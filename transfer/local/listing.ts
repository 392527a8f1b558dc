/**
 * Walks a folder in batches, depth first. A folder's own entries all come before what its subfolders
 * hold, so that one stream of names is open at any moment, and what waits is the names of folders.
 */
import { isUtf8 } from 'node:buffer';
import { type Entry, entryBytes, unreadable } from '../../protocol/entry.ts';
import { limits } from '../../protocol/limits.ts';
import { joinPath, stagingName } from '../../protocol/paths.ts';
import { entryOf } from './entries.ts';
import { about, storageError } from './errors.ts';
import type { Directory, Folder } from './folder.ts';
import { type Names, namesIn } from './names.ts';

const beyondAscii = /[^\0-\x7f]/;

interface OpenFolder {
  /** Relative to what is listed. */
  readonly path: string;
  readonly names: Names;
  readonly subfolders: string[];
}

/** Entries that are given out together: long names make few of them, or they would take megabytes. */
class Batch {
  readonly entries: Entry[] = [];
  #bytes = 0;

  get isFull(): boolean {
    return this.entries.length >= limits.listingEntries || this.#bytes >= limits.controlBytes;
  }

  add(entry: Entry): void {
    this.entries.push(entry);
    this.#bytes += entryBytes(entry);
  }
}

export class Listing {
  readonly #folder: Folder;
  readonly #base: string;
  readonly #recursive: boolean;
  /** Paths of folders yet to be walked, the next one last. */
  readonly #waiting: string[] = [];
  #open: OpenFolder | undefined;

  /** Throws TransferError when the folder itself cannot be listed. */
  constructor(folder: Folder, base: string, recursive: boolean) {
    this.#folder = folder;
    this.#base = base;
    this.#recursive = recursive;
    this.#open = folder.batch(() => this.#openFolder(''));
  }

  /** Up to `limits.listingEntries` entries, about as many as a frame takes; none when all were given. */
  next(): Entry[] {
    const batch = new Batch();
    this.#folder.batch(() => {
      while (!batch.isFull) {
        this.#open ??= this.#openNext(batch);
        if (this.#open === undefined) return;
        this.#readFolder(this.#open, batch);
      }
    });
    return batch.entries;
  }

  /** Reads names until the folder or the batch is at its end. */
  #readFolder(open: OpenFolder, batch: Batch): void {
    const path = joinPath(this.#base, open.path);
    try {
      // The folder may have moved since the last batch: then its names are looked up in vain.
      const directory = this.#folder.directory(path);
      while (!batch.isFull) {
        const name = open.names.next();
        if (name === undefined) {
          this.#finish(open);
          return;
        }
        const entry = name === stagingName ? undefined : this.#entry(open, directory, name);
        if (entry !== undefined) batch.add(entry);
      }
    } catch (error) {
      this.#finish(open);
      if (storageError(error, path).failure !== 'not-found')
        batch.add(unreadable(cutPath(open.path)));
    }
  }

  /** The entry of `name`; undefined when it has gone. */
  #entry(open: OpenFolder, directory: Directory, name: string): Entry | undefined {
    const text = beyondAscii.test(name) ? textOf(name) : name;
    if (text === undefined) return unreadable(cutPath(joinPath(open.path, shownBytes(name))));
    const path = joinPath(open.path, text);
    if (!fitsWire(joinPath(this.#base, path))) return unreadable(cutPath(path));
    const stats = this.#folder.look(directory, text);
    if (stats === undefined) return undefined;
    const entry = entryOf(path, stats);
    if (this.#recursive && entry.kind === 'directory') open.subfolders.push(path);
    return entry;
  }

  #finish(open: OpenFolder): void {
    open.names.close();
    for (const path of open.subfolders.reverse()) this.#waiting.push(path);
    this.#open = undefined;
  }

  /** Opens the next folder that can be read; those that cannot become entries. */
  #openNext(batch: Batch): OpenFolder | undefined {
    for (let path = this.#waiting.pop(); path !== undefined; path = this.#waiting.pop()) {
      try {
        return this.#openFolder(path);
      } catch (error) {
        // A folder that has gone since its parent was read is no failure.
        if (storageError(error, path).failure !== 'not-found') batch.add(unreadable(cutPath(path)));
      }
    }
    return undefined;
  }

  #openFolder(path: string): OpenFolder {
    const full = joinPath(this.#base, path);
    const directory = this.#folder.directory(full, { blocked: 'wrong-kind' });
    const names = about(full, () => namesIn(directory));
    return { path, names, subfolders: [] };
  }

  close(): void {
    this.#open?.names.close();
    this.#open = undefined;
    this.#waiting.length = 0;
  }
}

/** The text of such a name; undefined when it is not UTF-8. */
function textOf(name: string): string | undefined {
  const bytes = Buffer.from(name, 'latin1');
  return isUtf8(bytes) ? bytes.toString() : undefined;
}

/** Whether a path made of names from the disk can be said on the wire. */
function fitsWire(path: string): boolean {
  if (path.length * 3 > limits.pathBytes && Buffer.byteLength(path) > limits.pathBytes)
    return false;
  return path.length < 2 * limits.pathDepth || path.split('/').length <= limits.pathDepth;
}

/** A path only for showing may be cut so that it fits. */
function cutPath(path: string): string {
  let cut = path;
  while (Buffer.byteLength(cut) > limits.pathBytes)
    cut = cut.slice(0, Math.floor(cut.length * 0.9));
  return cut.toWellFormed();
}

/** Bytes that are not UTF-8 as text: ASCII as it is, every other byte as \xHH. */
function shownBytes(name: string): string {
  return name.replace(
    /[^ -~]/g,
    (byte) => `\\x${byte.charCodeAt(0).toString(16).padStart(2, '0')}`,
  );
}
