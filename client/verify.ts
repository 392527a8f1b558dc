/** Compares a local file or folder with a remote one by checksums, without moving content. */
import { realpath, stat as statLocal } from 'node:fs/promises';
import { basename, dirname } from 'node:path';
import type { Entry } from '../protocol/entry.ts';
import { FerryError, TransferError } from '../protocol/errors.ts';
import { limits } from '../protocol/limits.ts';
import { joinPath, shown } from '../protocol/paths.ts';
import { chunkCount, Ledger } from '../protocol/segments.ts';
import { openLocalStorage } from '../transfer/local/local-storage.ts';
import { SourceChecksums } from '../transfer/source-checksums.ts';
import type { ChunkSource, Storage } from '../transfer/storage.ts';
import { ask, checksums, list } from './ask.ts';
import type { Context } from './context.ts';
import type { DifferenceEvent } from './events.ts';
import { FirstFailure } from './first-failure.ts';
import { checkHeld, entriesHeld } from './held-entries.ts';
import { Limiter } from './limiter.ts';
import { walk } from './walk.ts';

/** Files compared at once: enough to hide round trips, few enough for one disk. */
const filesAtOnce = 16;
const segmentsShown = 100;

export class Verification {
  readonly #context: Context;
  readonly #mostEntries: number;
  readonly #files = new Limiter(filesAtOnce);
  #differences = 0;
  readonly #failure = new FirstFailure();

  constructor(context: Context, mostEntries: number = entriesHeld) {
    this.#context = context;
    this.#mostEntries = mostEntries;
  }

  /** Compares; gives whether a single file was named. Throws what ends the whole. */
  async run(local: string, remote: string): Promise<boolean> {
    const { session, options } = this.#context;
    const stats = await statLocal(local).catch((error: unknown) => {
      throw new TransferError('not-found', `${shown(local)} does not exist or cannot be read.`, {
        cause: error,
      });
    });
    const { entry } = await ask(session, { type: 'stat', request: 0, path: remote }, 'entry');
    const real = await realpath(local);
    const isFolder = stats.isDirectory();
    const storage = await openLocalStorage({
      root: isFolder ? real : dirname(real),
      readOnly: true,
      source: { followLinks: options.links === 'follow' },
    });
    try {
      const name = basename(real);
      if (isFolder !== (entry.kind === 'directory')) this.#differ(name, 'kind');
      else if (isFolder) await this.#compareFolders(storage, remote);
      else await this.#compareFile(storage, await storage.stat(name), name, remote, entry);
    } finally {
      await storage.close();
    }
    if (this.#differences > 0) {
      const found =
        this.#differences === 1 ? 'One difference was' : `${this.#differences} differences were`;
      throw new FerryError('different', `${found} found.`);
    }
    return !isFolder;
  }

  #differ(name: string, reason: DifferenceEvent['reason'], segments?: readonly number[]): void {
    this.#differences += 1;
    const some = segments === undefined ? {} : { segments: segments.slice(0, segmentsShown) };
    this.#context.job.emit({ type: 'difference', path: name, reason, ...some });
  }

  async #compareFolders(storage: Storage, remote: string): Promise<void> {
    const { session, options, job } = this.#context;
    const theirs = new Map<string, Entry>();
    const question = { recursive: true, contentTypes: false };
    for await (const entries of list(session, remote, question)) {
      for (const entry of entries) theirs.set(entry.path, entry);
      checkHeld(theirs.size, this.#mostEntries, 'compare its folders by themselves');
    }
    const onSkipped = (name: string): void =>
      job.emit({ type: 'warning', message: 'Not compared: neither file nor folder.', path: name });
    for await (const entries of walk(storage, { ...options, onSkipped })) {
      for (const entry of entries) {
        const other = theirs.get(entry.path);
        theirs.delete(entry.path);
        await this.#compareEntry(storage, entry, remote, other);
      }
      this.#failure.throwIfAny();
    }
    await this.#files.idle();
    this.#failure.throwIfAny();
    for (const { path: name, kind } of theirs.values()) {
      if (options.selection.includes(name, kind === 'directory'))
        this.#differ(name, 'missing-here');
    }
  }

  async #compareEntry(
    storage: Storage,
    entry: Entry,
    remote: string,
    other: Entry | undefined,
  ): Promise<void> {
    const { job } = this.#context;
    if (entry.kind === 'unreadable') {
      const message = 'It cannot be read, or its name is not UTF-8.';
      job.fileFailed(entry.path, 0, new TransferError('permission', message));
    } else if (other === undefined) {
      this.#differ(entry.path, 'missing-there');
    } else if (other.kind !== entry.kind) {
      this.#differ(entry.path, 'kind');
    } else if (entry.kind === 'directory') {
      job.directories += 1;
    } else {
      const path = joinPath(remote, entry.path);
      await this.#files.start(() =>
        this.#failure.guard(() => this.#compareFile(storage, entry, entry.path, path, other)),
      );
    }
  }

  async #compareFile(
    storage: Storage,
    entry: Entry,
    name: string,
    remote: string,
    other: Entry,
  ): Promise<void> {
    const { job } = this.#context;
    job.totalFiles += 1;
    if (job.totalBytes !== null) job.totalBytes += entry.size;
    if (entry.size !== other.size) {
      this.#differ(name, 'size');
      return;
    }
    try {
      const source = await storage.openSource(this.#localPath(entry, name));
      try {
        const different = await this.#differentSegments(source, remote);
        if (different.length > 0) this.#differ(name, 'content', different);
        else job.finished({ path: name, outcome: 'unchanged', bytes: entry.size });
      } finally {
        await source.close();
      }
    } catch (error) {
      if (!(error instanceof TransferError)) throw error;
      job.fileFailed(name, entry.size, error);
    }
  }

  /** `stat` of one named file gives an entry whose path is that file itself. */
  #localPath(entry: Entry, name: string): string {
    return entry.path === '' ? name : entry.path;
  }

  async #differentSegments(source: ChunkSource, remote: string): Promise<number[]> {
    const { session, job } = this.#context;
    return await session.run(async (connection) => {
      const ours = new SourceChecksums(source, limits.fileChunkBytes, new Ledger());
      const chunks = chunkCount(source.size ?? 0, limits.fileChunkBytes);
      const total = SourceChecksums.count('segment', chunks);
      const different: number[] = [];
      let first = 0;
      for await (const theirs of checksums(connection, remote, 'segment')) {
        const end = Math.min(total, first + theirs.length);
        const own = await ours.of('segment', first, end, chunks);
        for (const [i, sum] of theirs.entries()) {
          if (own[i] !== sum) different.push(first + i);
        }
        first += theirs.length;
        session.progressed();
        job.working('verifying');
      }
      for (; first < total; first += 1) different.push(first);
      job.bytes += source.size ?? 0;
      return different;
    });
  }
}
