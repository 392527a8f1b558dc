/** Compares a local file or folder with a remote one by checksums, without moving content. */
import { realpath, stat as statLocal } from 'node:fs/promises';
import { basename, dirname } from 'node:path';
import type { Entry } from '../protocol/entry.ts';
import { FerryError, TransferError } from '../protocol/errors.ts';
import { limits } from '../protocol/limits.ts';
import { joinPath, shown } from '../protocol/paths.ts';
import { chunkCount, Ledger } from '../protocol/segments.ts';
import { openLocalStorage } from '../transfer/local/local-storage.ts';
import { isSmall } from '../transfer/page.ts';
import { pageDigestsFeature, smallDigest } from '../transfer/page-digest.ts';
import { type PageMemory, withPageMemory } from '../transfer/page-memory.ts';
import { SourceChecksums } from '../transfer/source-checksums.ts';
import type { ChunkSource, Storage } from '../transfer/storage.ts';
import { ask, checksums, digestsOf, list } from './ask.ts';
import type { Context } from './context.ts';
import type { DifferenceEvent } from './events.ts';
import { FirstFailure } from './first-failure.ts';
import { checkHeld, entriesHeld } from './held-entries.ts';
import { Limiter } from './limiter.ts';
import { ListedParts } from './listed-parts.ts';
import { Paging } from './paging.ts';
import { walk } from './walk.ts';

/** Files compared at once: enough to hide round trips, few enough for one disk. */
const filesAtOnce = 16;
const segmentsShown = 100;

/** Two folders that are compared. */
interface Folders {
  readonly storage: Storage;
  /** The remote one's path. */
  readonly remote: string;
  /** Small files that will be asked about together; undefined where the daemon can't. */
  readonly paging: Paging | undefined;
  /** Pages of them that are under way. */
  readonly pages: Limiter;
}

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
    const parts = new ListedParts(options);
    const question = { recursive: true, contentTypes: false };
    for await (const entries of list(session, remote, question)) {
      for (const entry of entries) if (parts.includes(entry)) theirs.set(entry.path, entry);
      checkHeld(theirs.size + parts.held, this.#mostEntries, 'compare its folders by themselves');
    }
    const { features, limits: agreed } = session.agreed;
    const paging = features.includes(pageDigestsFeature) ? new Paging() : undefined;
    const folders = { storage, remote, paging, pages: new Limiter(agreed.pages) };
    const onSkipped = (name: string): void =>
      job.emit({ type: 'warning', message: 'Not compared: neither file nor folder.', path: name });
    const onMissing = (name: string): void => {
      // What the daemon has is a difference.
      if (theirs.has(name)) return;
      job.fileFailed(name, 0, new TransferError('not-found', 'It exists neither here nor there.'));
    };
    for await (const entries of walk(storage, { ...options, onSkipped, onMissing })) {
      for (const entry of entries) {
        const other = theirs.get(entry.path);
        theirs.delete(entry.path);
        await this.#compareEntry(folders, entry, other);
      }
      this.#failure.throwIfAny();
    }
    await this.#comparePage(folders, paging?.take());
    await folders.pages.idle();
    await this.#files.idle();
    this.#failure.throwIfAny();
    for (const name of theirs.keys()) this.#differ(name, 'missing-here');
  }

  async #compareEntry(folders: Folders, entry: Entry, other: Entry | undefined): Promise<void> {
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
    } else if (this.#takeUp(entry, entry.path, other)) {
      if (folders.paging !== undefined && isSmall(entry))
        await this.#comparePage(folders, folders.paging.add(entry));
      else await this.#compareAlone(folders, entry);
    }
  }

  /** Starts to compare small files in one round trip. */
  async #comparePage(folders: Folders, page: readonly Entry[] | undefined): Promise<void> {
    if (page === undefined) return;
    await folders.pages.start(() =>
      this.#failure.guard(async () => {
        const left = await withPageMemory((memory) => this.#compareSmall(folders, page, memory));
        for (const entry of left) await this.#compareAlone(folders, entry);
      }),
    );
  }

  async #compareAlone({ storage, remote }: Folders, entry: Entry): Promise<void> {
    const path = joinPath(remote, entry.path);
    await this.#files.start(() =>
      this.#failure.guard(() => this.#compareContent(storage, entry.path, path, entry)),
    );
  }

  /** Compares what both sides can read; gives the others, each to be asked about by itself. */
  async #compareSmall(
    { storage, remote }: Folders,
    page: readonly Entry[],
    memory: PageMemory,
  ): Promise<readonly Entry[]> {
    const { session, job } = this.#context;
    const paths = page.map(({ path }) => path);
    const [digests, ours] = await Promise.all([
      digestsOf(session, remote, paths),
      storage.readSmall('', paths, memory),
    ]);
    const left: Entry[] = [];
    for (const [i, entry] of page.entries()) {
      const [mine, theirs] = [ours[i], digests[i]];
      if (mine === undefined || mine instanceof TransferError || theirs === undefined) {
        left.push(entry);
        continue;
      }
      job.bytes += entry.size;
      if (smallDigest(mine.content) !== theirs) this.#differ(entry.path, 'content', [0]);
      else job.finished(() => ({ path: entry.path, outcome: 'unchanged', bytes: entry.size }));
    }
    session.progressed();
    job.working('verifying');
    return left;
  }

  async #compareFile(
    storage: Storage,
    entry: Entry,
    name: string,
    remote: string,
    other: Entry,
  ): Promise<void> {
    if (this.#takeUp(entry, name, other)) await this.#compareContent(storage, name, remote, entry);
  }

  /** Counts a file, and tells if its size differs; gives whether its content is to be compared. */
  #takeUp(entry: Entry, name: string, other: Entry): boolean {
    const { job } = this.#context;
    job.totalFiles += 1;
    if (job.totalBytes !== null) job.totalBytes += entry.size;
    if (entry.size !== other.size) this.#differ(name, 'size');
    return entry.size === other.size;
  }

  async #compareContent(
    storage: Storage,
    name: string,
    remote: string,
    entry: Entry,
  ): Promise<void> {
    const { job } = this.#context;
    try {
      const source = await storage.openSource(name);
      try {
        const different = await this.#differentSegments(source, remote);
        if (different.length > 0) this.#differ(name, 'content', different);
        else job.finished(() => ({ path: name, outcome: 'unchanged', bytes: entry.size }));
      } finally {
        await source.close();
      }
    } catch (error) {
      if (!(error instanceof TransferError)) throw error;
      job.fileFailed(name, entry.size, error);
    }
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
