/** A page of small files and folders on its way into a folder: all files are written, then synced, then named. */
import { closeSync, constants, fchmodSync, writeSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { type Entry, modeMask, storedFolderMode } from '../../protocol/entry.ts';
import { TransferError } from '../../protocol/errors.ts';
import { joinPath, shown } from '../../protocol/paths.ts';
import { setModified } from './entries.ts';
import { isErrno, type PackedError, packError, storageError } from './errors.ts';
import type { Directory, Folder } from './folder.ts';
import { isScarce } from './open-files.ts';
import { deleteFile, makeTries, type Staging } from './staging.ts';
import type { SyncLane } from './sync-lane.ts';
import { SyncList } from './sync-list.ts';

const { O_CREAT, O_EXCL, O_NOFOLLOW, O_WRONLY } = constants;
const createFlags = O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW;
/** So often a file waits for others to give descriptors back, and so long where they are nobody's here. */
const turnsMost = 64;
const turnMs = 20;
/** So many stay open however scarce descriptors are, or each would have a wait for the disk to itself. */
const heldLeast = 8;
/** Mode until the content is complete. */
const ownerOnly = 0o600;

/** A new file in staging. */
interface NewFile {
  readonly directory: Directory;
  readonly name: string;
}

interface Staged extends NewFile {
  /** Place in the page. */
  readonly index: number;
  /** Open only while it waits for its sync. */
  readonly fd: number | undefined;
}

/** `stage`, then `name`, once each. */
export class SmallBatch {
  readonly #folder: Folder;
  readonly #staging: Staging;
  readonly #lane: SyncLane | undefined;
  readonly #base: string;
  readonly #entries: readonly Entry[];
  /** What went wrong with each entry, undefined where nothing did. */
  readonly failures: (PackedError | undefined)[];
  /** Written, and open, as they wait for their sync. */
  readonly #written: Staged[] = [];
  readonly #staged: Staged[] = [];
  /** Whether all of them have their place on the disk. */
  #areReserved = true;
  readonly #changed: SyncList;
  /** Looked up once a batch, and not at all for one of folders. */
  #stagingDirectory: Directory | undefined;

  /** Without a `lane` nothing waits for the disk. */
  constructor(
    folder: Folder,
    staging: Staging,
    lane: SyncLane | undefined,
    base: string,
    entries: readonly Entry[],
  ) {
    this.#folder = folder;
    this.#staging = staging;
    this.#lane = lane;
    this.#base = base;
    this.#entries = entries;
    this.failures = entries.map(() => undefined);
    this.#changed = new SyncList(folder, lane !== undefined);
  }

  /** Writes the contents of the files, which lie end to end in `content`, and has them on the disk. */
  async stage(content: Uint8Array): Promise<void> {
    let position = 0;
    // Turns since a file was staged: where one has waited in vain, the next ones need not.
    let turns = 0;
    for (const [index, entry] of this.#entries.entries()) {
      if (entry.kind !== 'file') continue;
      const bytes = content.subarray(position, position + entry.size);
      position += entry.size;
      // All descriptors may be used up: by ours and another page's, which wait for their sync, or by others.
      for (; !this.#isStaged(index, entry, bytes, turns < turnsMost); turns += 1) {
        if (turns > 0) await sleep(turnMs);
        await this.#sync();
      }
      if (this.failures[index] === undefined) turns = 0;
      if (this.#leavesTooFew()) await this.#sync();
    }
    if (this.#written.length > 0) await this.#sync();
  }

  /** Whether the files that wait are better closed: large ones, connections and folders need descriptors, too. */
  #leavesTooFew(): boolean {
    const fd = this.#written.at(-1)?.fd;
    return fd !== undefined && this.#written.length >= heldLeast && isScarce(fd);
  }

  /** Stages a file, or notes its failure; false when no descriptor was left, if one may come yet. */
  #isStaged(index: number, entry: Entry, bytes: Uint8Array, mayCome: boolean): boolean {
    try {
      this.#written.push(this.#stage(index, entry, bytes));
    } catch (error) {
      if (mayCome && this.#lane !== undefined && isErrno(error, 'EMFILE', 'ENFILE')) return false;
      this.#fail(index, error);
    }
    return true;
  }

  /** Has what was written on the disk. */
  async #sync(): Promise<void> {
    const written = this.#written.splice(0);
    const waiting = written.flatMap(({ fd }) => fd ?? []);
    const failures = (await this.#lane?.syncContents(waiting, this.#areReserved)) ?? [];
    for (const [i, file] of written.entries()) {
      if (failures[i] === undefined) this.#staged.push(file);
      else this.#fail(file.index, failures[i], file);
    }
  }

  /** Gives files their names, then makes folders; the disk has them when it settles. */
  async name(): Promise<void> {
    const syncing = this.#folder.batch(() => {
      for (const file of this.#staged) this.#try(file.index, () => this.#name(file), file);
      for (const [index, entry] of this.#entries.entries()) {
        if (entry.kind !== 'file') this.#try(index, () => this.#storeFolder(entry));
      }
      return this.#lane && this.#changed.flushIn(this.#lane);
    });
    try {
      await syncing;
    } catch (error) {
      // A folder that cannot be synced may lose any name of the page: none of them is promised.
      const failure = packError(storageError(error, this.#base));
      for (const index of this.failures.keys()) this.failures[index] ??= failure;
    }
  }

  /** Runs `step` for one entry, for which `staged` is there. */
  #try(index: number, step: () => void, staged?: NewFile): void {
    try {
      step();
    } catch (error) {
      this.#fail(index, error, staged);
    }
  }

  /** Notes what went wrong with an entry, and deletes what was staged for it. */
  #fail(index: number, error: unknown, staged?: NewFile): void {
    const { path } = this.#entries[index] as Entry;
    this.failures[index] = packError(storageError(error, path));
    try {
      if (staged !== undefined) deleteFile(staged.directory.at(staged.name));
    } catch {
      // The disk is broken, or read-only by now: that is told already, and what is left is swept up later.
    }
  }

  #stage(index: number, entry: Entry, bytes: Uint8Array): Staged {
    const { directory, name, fd } = this.#open();
    try {
      if (this.#lane?.reserve(fd, bytes.byteLength) === false) this.#areReserved = false;
      let done = 0;
      while (done < bytes.byteLength) done += writeSync(fd, bytes, done);
      fchmodSync(fd, entry.mode & modeMask);
      setModified(fd, entry.mtimeNs);
    } catch (error) {
      closeSync(fd);
      deleteFile(directory.at(name));
      throw error;
    }
    if (this.#lane !== undefined) return { index, directory, name, fd };
    closeSync(fd);
    return { index, directory, name, fd: undefined };
  }

  /** Opens a new file in staging. */
  #open(): NewFile & { fd: number } {
    for (let tries = 1; ; tries += 1) {
      this.#stagingDirectory ??= this.#staging.directory();
      const directory = this.#stagingDirectory;
      const name = this.#staging.smallName();
      try {
        return { directory, name, fd: directory.open(name, createFlags, ownerOnly) };
      } catch (error) {
        // Another process tidied the folder away while nothing was in it.
        if (!isErrno(error, 'ENOENT') || tries >= makeTries) throw error;
        this.#stagingDirectory = undefined;
      }
    }
  }

  #name({ index, directory, name }: Staged): void {
    const path = joinPath(this.#base, (this.#entries[index] as Entry).path);
    const place = this.#folder.place(path, { made: this.#changed.add, blocked: 'wrong-kind' });
    directory.rename(name, place.directory, place.name);
    this.#changed.add(place.parentPath);
  }

  #storeFolder(entry: Entry): void {
    if (entry.kind !== 'directory') {
      throw new TransferError('wrong-kind', `${shown(entry.path)} is neither a file nor a folder.`);
    }
    const path = joinPath(this.#base, entry.path);
    const directory = this.#folder.directory(path, {
      made: this.#changed.add,
      blocked: 'wrong-kind',
    });
    fchmodSync(directory.fd, storedFolderMode(path, entry.mode));
    setModified(directory.fd, entry.mtimeNs);
    this.#changed.add(path);
  }
}
