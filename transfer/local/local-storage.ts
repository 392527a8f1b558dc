/** A folder of this machine as a `Storage`. */
import { statfs } from 'node:fs/promises';
import type { Entry } from '../../protocol/entry.ts';
import { TransferError } from '../../protocol/errors.ts';
import type { Answer } from '../../protocol/frames/pages.ts';
import type { Policy } from '../../protocol/frames/transfer.ts';
import { shown } from '../../protocol/paths.ts';
import { newPageMemory, type PageMemory } from '../page-memory.ts';
import { namelessSink, scratchOffer } from '../scratch.ts';
import type {
  ChunkSink,
  ChunkSource,
  Committed,
  ListOptions,
  Room,
  SinkOffer,
  SmallFile,
  Storage,
} from '../storage.ts';
import { withContentTypes } from './content-types.ts';
import { type PackedError, unpackError } from './errors.ts';
import { type Executor, inlineExecutor } from './executor.ts';
import type { Reach } from './folder.ts';
import { GroupCommit } from './group-commit.ts';
import { type Lock, lockFolder, removeDeadLock } from './lock.ts';
import { openPartialSink } from './partial.ts';
import { contentBytes } from './small-files.ts';
import { FileSource } from './source.ts';
import { folderLockName, lockName, makeTries, partialKey } from './staging.ts';

const weekMs = 7 * 24 * 3_600_000;

export interface LocalStorageOptions extends Reach {
  /** Local path of an existing folder; it may be reached by a link. */
  readonly root: string;
  /** Refuses every change, and makes no staging folder. */
  readonly readOnly?: boolean;
  /** `none` is for measuring: nothing waits for the disk. */
  readonly durability?: 'fsync' | 'none';
  /** A daemon serves each folder from a thread of its own, a client works in the thread it has. */
  readonly executor?: 'inline' | 'worker';
  /**
   * Takes the whole folder for this process (`lock-held` when another has it), as a daemon does.
   * Otherwise each partial is locked by itself, and the staging folder is removed when it is empty.
   */
  readonly lock?: boolean;
  /** Partials not touched for so long are deleted on opening. */
  readonly partialAgeMs?: number;
}

/** Opens the folder. Rejects with TransferError: `not-found`, `wrong-kind`, `permission`, `lock-held`. */
export async function openLocalStorage(options: LocalStorageOptions): Promise<LocalStorage> {
  const { root, readOnly = false, durability = 'fsync', lock: exclusive = false } = options;
  const { source } = options;
  const operationsOptions = { root, durable: durability === 'fsync', source };
  const executor =
    options.executor === 'worker'
      ? await (await import('./worker-executor.ts')).openWorkerExecutor(operationsOptions)
      : inlineExecutor(operationsOptions);
  let lock: Lock | undefined;
  try {
    if (!readOnly) {
      if (exclusive) {
        const held = `Another process serves ${shown(root)}.`;
        lock = await lockFolder(await executor.call('stagingPath'), folderLockName, held);
      }
      await executor.call('expire', options.partialAgeMs ?? weekMs, exclusive);
    }
    return new LocalStorage(executor, { readOnly, durable: operationsOptions.durable, lock });
  } catch (error) {
    await lock?.release();
    await executor.close();
    throw error;
  }
}

interface Opened {
  readonly readOnly: boolean;
  readonly durable: boolean;
  /** The lock of the whole folder, where it was asked for. */
  readonly lock: Lock | undefined;
}

export class LocalStorage implements Storage {
  readonly readOnly: boolean;
  readonly #executor: Executor;
  readonly #durable: boolean;
  readonly #lock: Lock | undefined;
  readonly #commits: GroupCommit;

  /** Use `openLocalStorage`. */
  constructor(executor: Executor, { readOnly, durable, lock }: Opened) {
    this.readOnly = readOnly;
    this.#executor = executor;
    this.#durable = durable;
    this.#lock = lock;
    this.#commits = new GroupCommit(async (requests) =>
      unpackAll(await executor.call('commit', requests)),
    );
  }

  async stat(path: string): Promise<Entry> {
    return this.#executor.call('stat', path);
  }

  async *list(path: string, options: ListOptions): AsyncGenerator<Entry[]> {
    const id = await this.#executor.call('openList', path, options.recursive);
    try {
      for (;;) {
        const entries = await this.#executor.call('nextList', id);
        if (entries.length === 0) return;
        yield options.contentTypes ? await withContentTypes(entries) : entries;
      }
    } finally {
      await this.#executor.call('closeList', id);
    }
  }

  async mkdir(path: string, parents: boolean): Promise<void> {
    this.#refuseReadOnly();
    await this.#executor.call('mkdir', path, parents);
  }

  async remove(path: string, recursive: boolean): Promise<void> {
    this.#refuseReadOnly();
    let done = false;
    while (!done) done = await this.#executor.call('remove', path, recursive);
  }

  async rename(from: string, to: string): Promise<void> {
    this.#refuseReadOnly();
    await this.#executor.call('rename', from, to);
  }

  async openSource(path: string): Promise<ChunkSource> {
    return new FileSource(path, await this.#executor.call('openFile', path), this.#executor.io);
  }

  async openSink(path: string, offer: SinkOffer, fresh: boolean): Promise<ChunkSink> {
    this.#refuseReadOnly();
    const lock = this.#lock === undefined ? await this.#lockPartial(path) : undefined;
    try {
      const opened = await this.#executor.call('openPartial', path, fresh);
      const host = {
        path,
        io: this.#executor.io,
        durable: this.#durable,
        syncNames: () => this.#executor.call('syncStaging'),
        replaceJournal: (bytes: Uint8Array) => this.#executor.call('replaceJournal', path, bytes),
        commit: this.#commits.commit.bind(this.#commits),
        discard: () => this.#executor.call('discard', path),
        closed: async () => lock?.release(),
      };
      return await openPartialSink(host, opened, offer);
    } catch (error) {
      await lock?.release();
      throw error;
    }
  }

  async openScratch(chunkBytes: number): Promise<ChunkSink> {
    this.#refuseReadOnly();
    const opened = await this.#executor.call('openScratch');
    const host = {
      path: '',
      io: this.#executor.io,
      durable: this.#durable,
      syncNames: async () => undefined,
      // It stays as long as it is: nobody will read it.
      replaceJournal: () => Promise.reject(namelessSink()),
      commit: () => Promise.reject(namelessSink()),
      discard: async () => undefined,
      closed: async () => undefined,
    };
    return await openPartialSink(host, opened, { ...scratchOffer, chunkBytes });
  }

  async #lockPartial(path: string): Promise<Lock> {
    const held = `Another process is receiving ${shown(path)} into the same folder.`;
    for (let tries = 1; ; tries += 1) {
      try {
        const staging = await this.#executor.call('stagingPath');
        return await lockFolder(staging, lockName(partialKey(path)), held);
      } catch (error) {
        // Another process tidied the folder away before the lock was in it.
        const isGone = error instanceof TransferError && error.failure === 'not-found';
        if (!isGone || tries >= makeTries) throw error;
      }
    }
  }

  async examine(base: string, entries: readonly Entry[], policy: Policy): Promise<Answer[]> {
    this.#refuseReadOnly();
    return this.#executor.call('examine', base, entries, policy);
  }

  async touch(path: string, file: Pick<Committed, 'mtimeNs' | 'mode'>): Promise<void> {
    this.#refuseReadOnly();
    const { mtimeNs, mode } = file;
    await this.#executor.call('touch', path, { mtimeNs, mode });
  }

  async readSmall(
    base: string,
    paths: readonly string[],
    memory: PageMemory = newPageMemory(),
  ): Promise<(SmallFile | TransferError)[]> {
    const entries = await this.#executor.call('readSmall', base, paths, memory);
    let position = 0;
    return entries.map((entry) => {
      if ('failure' in entry) return unpackError(entry);
      const start = position;
      position += contentBytes(entry);
      return { entry, content: memory.subarray(start, position) };
    });
  }

  async putSmall(
    base: string,
    files: readonly SmallFile[],
  ): Promise<(TransferError | undefined)[]> {
    this.#refuseReadOnly();
    const entries = files.map(({ entry }) => entry);
    return unpackAll(await this.#executor.call('putSmall', base, entries, packContents(files)));
  }

  /** Asked in Node's pool: behind a batch of the storage's thread it could wait long. */
  async room(): Promise<Room | undefined> {
    try {
      const { bavail, blocks, bsize } = await statfs(await this.#executor.call('rootPath'));
      return { freeBytes: bavail * bsize, totalBytes: blocks * bsize };
    } catch {
      return undefined; // Some file systems have no answer.
    }
  }

  async close(): Promise<void> {
    await this.#commits.settled();
    try {
      await this.#lock?.release();
      if (!this.readOnly && this.#lock === undefined) {
        await this.#removeDeadLocks();
        await this.#executor.call('tidy');
      }
    } finally {
      await this.#executor.close();
    }
  }

  /** Locks that a process left that died after its partial had got its name. */
  async #removeDeadLocks(): Promise<void> {
    for (const name of await this.#executor.call('strayLocks')) {
      try {
        await removeDeadLock(await this.#executor.call('stagingPath'), name);
      } catch (error) {
        // Someone has just tidied up.
        if (!(error instanceof TransferError)) throw error;
      }
    }
  }

  #refuseReadOnly(): void {
    if (this.readOnly) throw new TransferError('permission', 'This folder is served read-only.');
  }
}

function unpackAll(errors: readonly (PackedError | undefined)[]): (TransferError | undefined)[] {
  return errors.map((error) => (error === undefined ? undefined : unpackError(error)));
}

/** The contents of the files of a page, end to end: without a copy where they lie so in shared memory. */
function packContents(files: readonly SmallFile[]): Uint8Array {
  const contents = files.filter(({ entry }) => entry.kind === 'file').map(({ content }) => content);
  if (files.some(({ entry, content }) => entry.kind === 'file' && entry.size !== content.length)) {
    throw new TransferError('internal', 'A small file has not the size that its entry says.');
  }
  const filled = contents.filter(({ byteLength }) => byteLength > 0);
  return inOnePiece(filled) ?? packed(filled);
}

/** The memory that `contents` fill one after another; undefined when they don't, or it is one thread's. */
function inOnePiece(contents: readonly Uint8Array[]): Uint8Array | undefined {
  const [first] = contents;
  if (!(first?.buffer instanceof SharedArrayBuffer)) return undefined;
  let end = first.byteOffset;
  for (const { buffer, byteOffset, byteLength } of contents) {
    if (buffer !== first.buffer || byteOffset !== end) return undefined;
    end += byteLength;
  }
  return new Uint8Array(first.buffer, first.byteOffset, end - first.byteOffset);
}

function packed(contents: readonly Uint8Array[]): Uint8Array {
  // Not from the pool, whose memory cannot change threads.
  const bytes = Buffer.allocUnsafeSlow(contents.reduce((sum, { length }) => sum + length, 0));
  let position = 0;
  for (const content of contents) {
    bytes.set(content, position);
    position += content.byteLength;
  }
  return bytes;
}
