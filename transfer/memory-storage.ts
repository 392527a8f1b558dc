/**
 * A `Storage` that keeps everything in memory: what transfers are tested with, and the second
 * implementation that keeps the interface honest. Nothing is durable, partials outlive their sinks.
 */
import { type Entry, modeMask, storedFolderMode } from '../protocol/entry.ts';
import { TransferError } from '../protocol/errors.ts';
import type { Answer } from '../protocol/frames/pages.ts';
import type { Policy } from '../protocol/frames/transfer.ts';
import { limits } from '../protocol/limits.ts';
import { joinPath, shown, splitPath } from '../protocol/paths.ts';
import { withContentTypes } from './local/content-types.ts';
import { MemoryPartial, MemorySink, MemorySource } from './memory-files.ts';
import { entryOf, exists, MemoryTree, walk, wrongKind } from './memory-tree.ts';
import { newPageMemory, noRoomInPage, type PageMemory } from './page-memory.ts';
import { decide } from './sameness.ts';
import { namelessSink, scratchOffer } from './scratch.ts';
import type {
  ChunkSink,
  ChunkSource,
  Committed,
  ListOptions,
  SinkOffer,
  SmallFile,
  Storage,
} from './storage.ts';

export interface MemoryStorageOptions {
  readonly readOnly?: boolean;
  /** Nanoseconds since 1970, for folders that are made. */
  readonly nowNs?: () => bigint;
}

export class MemoryStorage implements Storage {
  readonly readOnly: boolean;
  readonly #tree: MemoryTree;
  readonly #partials = new Map<string, MemoryPartial>();

  constructor(options: MemoryStorageOptions = {}) {
    this.readOnly = options.readOnly ?? false;
    this.#tree = new MemoryTree(options.nowNs ?? (() => BigInt(Date.now()) * 1_000_000n));
  }

  /** Partials that wait for their next attempt. */
  get partialCount(): number {
    return this.#partials.size;
  }

  async stat(path: string): Promise<Entry> {
    return entryOf('', this.#tree.node(path));
  }

  async *list(path: string, options: ListOptions): AsyncGenerator<Entry[]> {
    const node = this.#tree.node(path);
    if (node.kind !== 'directory') throw wrongKind(path, 'is not a folder');
    let batch: Entry[] = [];
    for (const entry of walk(node, '', options.recursive)) {
      batch.push(entry);
      if (batch.length < limits.listingEntries) continue;
      yield options.contentTypes ? await withContentTypes(batch) : batch;
      batch = [];
    }
    if (batch.length > 0) yield options.contentTypes ? await withContentTypes(batch) : batch;
  }

  async room(): Promise<undefined> {
    return undefined;
  }

  async mkdir(path: string, parents: boolean): Promise<void> {
    this.#refuseReadOnly();
    if (parents) {
      this.#tree.folder(splitPath(path), true);
      return;
    }
    if (path === '') throw new TransferError('exists', 'The root folder exists already.');
    const { folder, name } = this.#tree.place(path);
    if (folder.children.has(name)) throw exists(path);
    folder.children.set(name, this.#tree.newFolder());
  }

  async remove(path: string, recursive: boolean): Promise<void> {
    this.#refuseReadOnly();
    if (path === '') throw new TransferError('permission', 'The root folder cannot be removed.');
    const node = this.#tree.node(path);
    if (node.kind === 'directory' && node.children.size > 0 && !recursive) {
      throw new TransferError('not-empty', `${shown(path)} is not empty.`);
    }
    const { folder, name } = this.#tree.place(path);
    folder.children.delete(name);
  }

  async rename(from: string, to: string): Promise<void> {
    this.#refuseReadOnly();
    if (from === '') throw new TransferError('permission', 'The root folder cannot be moved.');
    if (to === '') throw new TransferError('exists', 'The root folder exists already.');
    if (splitPath(to).length > 0 && to.startsWith(`${from}/`)) {
      throw new TransferError('bad-path', `${shown(from)} cannot be moved into itself.`);
    }
    const target = this.#tree.place(to);
    const node = this.#tree.node(from);
    if (target.folder.children.has(target.name)) throw exists(to);
    const source = this.#tree.place(from);
    source.folder.children.delete(source.name);
    target.folder.children.set(target.name, node);
  }

  async openSource(path: string): Promise<ChunkSource> {
    const node = this.#tree.file(path);
    return new MemorySource(node.content, node, () => this.#tree.find(splitPath(path)) === node);
  }

  async openSink(path: string, offer: SinkOffer, fresh: boolean): Promise<ChunkSink> {
    this.#refuseReadOnly();
    if (this.#tree.findOrBlocked(path)?.kind === 'directory') throw wrongKind(path, 'is a folder');
    const earlier = this.#partials.get(path);
    const goesOn = !fresh && earlier?.chunkBytes === offer.chunkBytes;
    const partial = goesOn ? earlier : new MemoryPartial(offer);
    partial.offered(offer);
    this.#partials.set(path, partial);
    return new MemorySink(partial, {
      commit: (content, file) => {
        this.#tree.store(path, content, file);
        this.#partials.delete(path);
      },
      discard: () => void this.#partials.delete(path),
    });
  }

  async openScratch(chunkBytes: number): Promise<ChunkSink> {
    this.#refuseReadOnly();
    const offer = { ...scratchOffer, chunkBytes };
    return new MemorySink(new MemoryPartial(offer), {
      commit: () => {
        throw namelessSink();
      },
      discard: () => undefined,
    });
  }

  async touch(path: string, file: Pick<Committed, 'mtimeNs' | 'mode'>): Promise<void> {
    this.#refuseReadOnly();
    const node = this.#tree.file(path);
    node.mtimeNs = file.mtimeNs;
    node.mode = file.mode & modeMask;
  }

  async examine(base: string, entries: readonly Entry[], policy: Policy): Promise<Answer[]> {
    this.#refuseReadOnly();
    return entries.map((entry) => {
      try {
        const node = this.#tree.findOrBlocked(joinPath(base, entry.path));
        const answer = decide(node && entryOf('', node), entry, policy);
        if (answer === 'unchanged' && node !== undefined) node.mode = entry.mode;
        return answer;
      } catch (error) {
        if (error instanceof TransferError) return 'refused';
        throw error;
      }
    });
  }

  async readSmall(
    base: string,
    paths: readonly string[],
    memory: PageMemory = newPageMemory(),
  ): Promise<(SmallFile | TransferError)[]> {
    let length = 0;
    return paths.map((path) => {
      try {
        const node = this.#tree.node(joinPath(base, path));
        const entry = entryOf(path, node);
        const isSmall = node.kind === 'file' && entry.size <= limits.fileChunkBytes;
        const content = memory.subarray(length, length + (isSmall ? entry.size : 0));
        if (isSmall && content.length < entry.size) return noRoomInPage(path);
        if (isSmall) content.set(node.content);
        length += content.length;
        return { entry, content };
      } catch (error) {
        if (error instanceof TransferError) return error;
        throw error;
      }
    });
  }

  async putSmall(
    base: string,
    files: readonly SmallFile[],
  ): Promise<(TransferError | undefined)[]> {
    this.#refuseReadOnly();
    const failures = files.map((): TransferError | undefined => undefined);
    const isFolder = ({ entry }: SmallFile): boolean => entry.kind !== 'file';
    for (const folders of [false, true]) {
      for (const [index, file] of files.entries()) {
        if (isFolder(file) !== folders) continue;
        try {
          this.#putOne(joinPath(base, file.entry.path), file);
        } catch (error) {
          if (!(error instanceof TransferError)) throw error;
          failures[index] = error;
        }
      }
    }
    return failures;
  }

  #putOne(path: string, { entry, content }: SmallFile): void {
    if (entry.kind === 'file') {
      if (content.byteLength !== entry.size) {
        throw new TransferError('internal', 'A small file has not the size that its entry says.');
      }
      this.#tree.store(path, new Uint8Array(content), entry);
    } else if (entry.kind === 'directory') {
      const folder = this.#tree.folder(splitPath(path), true);
      folder.mtimeNs = entry.mtimeNs;
      folder.mode = storedFolderMode(path, entry.mode);
    } else {
      throw wrongKind(path, 'is neither a file nor a folder');
    }
  }

  close(): Promise<void> {
    return Promise.resolve();
  }

  #refuseReadOnly(): void {
    if (this.readOnly) throw new TransferError('permission', 'This folder is served read-only.');
  }
}
