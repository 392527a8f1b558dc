/**
 * Everything that storage asks of the file system in synchronous calls, with arguments and results
 * that can be posted between threads: the same operations run in the caller's thread or in a worker.
 */
import { fstatSync } from 'node:fs';
import type { Entry } from '../../protocol/entry.ts';
import { TransferError } from '../../protocol/errors.ts';
import type { Answer } from '../../protocol/frames/pages.ts';
import type { Policy } from '../../protocol/frames/transfer.ts';
import { shown } from '../../protocol/paths.ts';
import type { Committed } from '../storage.ts';
import { about, isErrno, type PackedError, storageError } from './errors.ts';
import { closedOnError, Folder, type Reach } from './folder.ts';
import { Listing } from './listing.ts';
import {
  type CommitRequest,
  commit,
  discard,
  type OpenedPartial,
  openPartial,
  openScratch,
  replaceJournal,
} from './partials.ts';
import { openRegular, touch } from './regular-files.ts';
import { SmallBatch } from './small-batch.ts';
import { examine, readSmall } from './small-files.ts';
import { type OpenedFile, openedFile } from './source.ts';
import { Staging } from './staging.ts';
import { mkdir, remove, rename, stat } from './tree.ts';

/** Names that one call removes at most. */
const removeBudget = 2048;

export interface OperationsOptions extends Reach {
  /** Local path, as the user gave it. */
  readonly root: string;
  /** Whether changes reach the disk before a call returns. */
  readonly durable: boolean;
}

/** Paths are wire paths. Every method throws nothing but TransferError. */
export interface Operations {
  stat(path: string): Entry;
  /** Begins a listing and gives its number. */
  openList(path: string, recursive: boolean): number;
  /** The next batch of a listing; an empty one is its end. */
  nextList(id: number): Entry[];
  closeList(id: number): void;
  mkdir(path: string, parents: boolean): void;
  /** Whether it is done; otherwise it wants to be called again. */
  remove(path: string, recursive: boolean): boolean;
  rename(from: string, to: string): void;
  /** The descriptor is the caller's, here and for partials. */
  openFile(path: string): OpenedFile;
  openPartial(path: string, fresh: boolean): OpenedPartial;
  openScratch(): OpenedPartial;
  /** Puts `bytes` in the place of the journal of the partial for `path`; gives its descriptor. */
  replaceJournal(path: string, bytes: Uint8Array): number;
  commit(requests: readonly CommitRequest[]): (PackedError | undefined)[];
  discard(path: string): void;
  examine(base: string, entries: readonly Entry[], policy: Policy): Answer[];
  touch(path: string, file: Pick<Committed, 'mtimeNs' | 'mode'>): void;
  readSmall(base: string, paths: readonly string[], memory: Uint8Array): (Entry | PackedError)[];
  putSmall(
    base: string,
    entries: readonly Entry[],
    content: Uint8Array,
  ): (PackedError | undefined)[];
  /** A local path of the root as it is held, whatever has become of its name. */
  rootPath(): string;
  /** A local path of the staging folder, made when missing, for locks in it. */
  stagingPath(): string;
  /** Makes the names of partials durable. */
  syncStaging(): void;
  /** Deletes what was abandoned in staging; `exclusive` as in `Staging.expire`. */
  expire(partialAgeMs: number, exclusive: boolean): void;
  /** Names of locks whose partials are not there. */
  strayLocks(): string[];
  /** Removes the staging folder if nothing is in it. */
  tidy(): void;
  /** Closes every descriptor that is not the caller's. */
  close(): void;
}

/** Opens the root. Throws TransferError with the root's local path, as it is the user's own. */
export function createOperations({ root, durable, source }: OperationsOptions): Operations {
  const folder = openRoot(root, { source });
  const staging = new Staging(folder);
  const listings = new Map<number, Listing>();
  let lastListing = 0;
  return {
    stat: (path) => stat(folder, path),
    openList(path, recursive) {
      lastListing += 1;
      listings.set(lastListing, new Listing(folder, path, recursive));
      return lastListing;
    },
    nextList: (id) => listings.get(id)?.next() ?? [],
    closeList(id) {
      listings.get(id)?.close();
      listings.delete(id);
    },
    mkdir: (path, parents) => mkdir(folder, path, parents, durable),
    remove: (path, recursive) => remove(folder, path, { recursive, budget: removeBudget, durable }),
    rename: (from, to) => rename(folder, from, to, durable),
    openFile(path) {
      const fd = openRegular(folder, path);
      const nowNs = BigInt(Date.now()) * 1_000_000n;
      return about(path, () =>
        closedOnError(fd, () => openedFile(fd, fstatSync(fd, { bigint: true }), nowNs)),
      );
    },
    openPartial: (path, fresh) => openPartial(folder, staging, path, fresh),
    openScratch: () => openScratch(staging),
    replaceJournal: (path, bytes) => replaceJournal(staging, path, bytes, durable),
    commit: (requests) => commit(folder, staging, durable, requests),
    discard: (path) => discard(staging, path),
    examine: (base, entries, policy) => examine(folder, base, entries, policy, durable),
    touch: (path, file) => touch(folder, path, file, durable),
    readSmall: (base, paths, memory) => readSmall(folder, base, paths, memory),
    putSmall: (base, entries, content) =>
      new SmallBatch(folder, staging, durable, base, entries).store(content),
    rootPath: () => folder.root.base,
    stagingPath: () => about('', () => staging.directory().base),
    syncStaging: () => about('', () => staging.sync()),
    expire: (partialAgeMs, exclusive) => about('', () => staging.expire(partialAgeMs, exclusive)),
    strayLocks: () => about('', () => staging.strayLocks()),
    tidy: () => about('', () => staging.tidy()),
    close() {
      for (const listing of listings.values()) listing.close();
      listings.clear();
      staging.release();
      folder.close();
    },
  };
}

function openRoot(root: string, reach: Reach): Folder {
  try {
    return new Folder(root, reach);
  } catch (cause) {
    if (!isErrno(cause, 'ENOTDIR')) throw storageError(cause, root);
    throw new TransferError('wrong-kind', `${shown(root)} is not a folder.`, { cause });
  }
}
