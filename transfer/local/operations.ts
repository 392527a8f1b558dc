/**
 * Everything that storage asks of the file system in synchronous calls, with arguments and results
 * that can be posted between threads: the same operations run in the caller's thread or in a worker.
 * Only pages of small files go on beside the next calls, while the disk is waited for.
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
import { SmallBatches } from './small-batches.ts';
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
  stat(path: string): Promise<Entry>;
  /** Begins a listing and gives its number. */
  openList(path: string, recursive: boolean): number;
  /** The next batch of a listing; an empty one is its end. */
  nextList(id: number): Entry[];
  closeList(id: number): void;
  mkdir(path: string, parents: boolean): Promise<void>;
  /** Whether it is done; otherwise it wants to be called again. */
  remove(path: string, recursive: boolean): boolean;
  rename(from: string, to: string): Promise<void>;
  /** The descriptor is the caller's, here and for partials. */
  openFile(path: string): OpenedFile;
  openPartial(path: string, fresh: boolean): OpenedPartial;
  openScratch(): OpenedPartial;
  /** Puts `bytes` in the place of the journal of the partial for `path`; gives its descriptor. */
  replaceJournal(path: string, bytes: Uint8Array): number;
  commit(requests: readonly CommitRequest[]): Promise<(PackedError | undefined)[]>;
  discard(path: string): void;
  examine(base: string, entries: readonly Entry[], policy: Policy): Promise<Answer[]>;
  touch(path: string, file: Pick<Committed, 'mtimeNs' | 'mode'>): Promise<void>;
  readSmall(base: string, paths: readonly string[], memory: Uint8Array): (Entry | PackedError)[];
  putSmall(
    base: string,
    entries: readonly Entry[],
    content: Uint8Array,
  ): Promise<(PackedError | undefined)[]>;
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
  /** Settles when no page is under way: none has files open. */
  settled(): Promise<void>;
  /** Removes the staging folder if nothing is in it, once no page is under way. */
  tidy(): Promise<void>;
  /** Closes every descriptor that is not the caller's, once no page is under way. */
  close(): Promise<void>;
}

/** Opens the root. Throws TransferError with the root's local path, as it is the user's own. */
export function createOperations({ root, durable, source }: OperationsOptions): Operations {
  const folder = openRoot(root, { source });
  const staging = new Staging(folder);
  const smallBatches = new SmallBatches(folder, staging, durable);
  const listings = new Map<number, Listing>();
  let lastListing = 0;
  /** What an operation gives, once the names are on the disk that it counted on: those of pages, too. */
  const whenNamed = async <T>(result: T | Promise<T>): Promise<T> => {
    const known = await result;
    await smallBatches.namesSynced();
    return known;
  };
  const commitNow: Commit = (requests) => commit(folder, staging, durable, requests);
  return {
    stat: (path) => whenNamed(stat(folder, path)),
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
    mkdir: (path, parents) => whenNamed(mkdir(folder, path, parents, durable)),
    remove: (path, recursive) => remove(folder, path, { recursive, budget: removeBudget, durable }),
    rename: (from, to) => whenNamed(rename(folder, from, to, durable)),
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
    commit: (requests) =>
      whenNamed(commitWithRoom(requests, commitNow, () => smallBatches.settled())),
    discard: (path) => discard(staging, path),
    async examine(base, entries, policy) {
      const answers = examine(folder, base, entries, policy, durable);
      const countsOnIt = answers.some((answer) => answer === 'unchanged' || answer === 'skipped');
      return countsOnIt ? await whenNamed(answers) : answers;
    },
    touch: (path, file) => whenNamed(touch(folder, path, file, durable)),
    readSmall: (base, paths, memory) => readSmall(folder, base, paths, memory),
    putSmall: (base, entries, content) => smallBatches.store(base, entries, content),
    rootPath: () => folder.root.base,
    stagingPath: () => about('', () => staging.directory().base),
    syncStaging: () => about('', () => staging.sync()),
    expire: (partialAgeMs, exclusive) => about('', () => staging.expire(partialAgeMs, exclusive)),
    strayLocks: () => about('', () => staging.strayLocks()),
    settled: () => smallBatches.settled(),
    async tidy() {
      await smallBatches.settled();
      about('', () => staging.tidy());
    },
    async close() {
      await smallBatches.settled();
      for (const listing of listings.values()) listing.close();
      listings.clear();
      staging.release();
      folder.close();
    },
  };
}

type Commit = (requests: readonly CommitRequest[]) => (PackedError | undefined)[];

/** Commits; what found no descriptor left once more, when pages of small files have given theirs back. */
async function commitWithRoom(
  requests: readonly CommitRequest[],
  commitNow: Commit,
  settled: () => Promise<void>,
): Promise<(PackedError | undefined)[]> {
  const failures = commitNow(requests);
  const again = [...requests.keys()].filter((i) => failures[i]?.failure === 'limit');
  if (again.length === 0) return failures;
  await settled();
  const second = commitNow(again.map((i) => requests[i] as CommitRequest));
  for (const [place, i] of again.entries()) failures[i] = second[place];
  return failures;
}

function openRoot(root: string, reach: Reach): Folder {
  try {
    return new Folder(root, reach);
  } catch (cause) {
    if (!isErrno(cause, 'ENOTDIR')) throw storageError(cause, root);
    throw new TransferError('wrong-kind', `${shown(root)} is not a folder.`, { cause });
  }
}
