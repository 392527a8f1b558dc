/**
 * Downloads: a listing tells what there is, a look at the local folder what is wanted of it.
 *
 * Strategy: nothing is asked for that is here already, so unchanged files cost no more than their line
 * in the listing; small files come in pages, large ones by themselves, a few at a time.
 */
import type { Entry } from '../protocol/entry.ts';
import { TransferError } from '../protocol/errors.ts';
import type { Answer } from '../protocol/frames/pages.ts';
import type { FrameOf } from '../protocol/frames.ts';
import { joinPath, splitPath } from '../protocol/paths.ts';
import { isSmall } from '../transfer/page.ts';
import { ignoreNotFound } from '../transfer/receive-file.ts';
import { hearOffers, receivePage } from '../transfer/receive-page.ts';
import { whyRefused } from '../transfer/refusal.ts';
import type { Request } from '../transfer/request.ts';
import { decide } from '../transfer/sameness.ts';
import type { Storage } from '../transfer/storage.ts';
import { list } from './ask.ts';
import type { Context } from './context.ts';
import { downloadFile } from './download-file.ts';
import { FirstFailure } from './first-failure.ts';
import { checkHeld, entriesHeld } from './held-entries.ts';
import { Limiter } from './limiter.ts';
import { ListedParts } from './listed-parts.ts';
import { Paging } from './paging.ts';
import { policyOf } from './transfer-options.ts';

const filesAtOnce = 4;

/** A remote folder or file, and where it goes. */
export interface DownloadPart {
  /** Remote path. */
  readonly path: string;
  readonly entry: Entry;
  readonly storage: Storage;
  /** Path in the storage: of the folder, or of the file. */
  readonly target: string;
  readonly label: string;
}

export class Download {
  readonly #context: Context;
  readonly #mostFolders: number;
  readonly #pages: Limiter;
  readonly #files = new Limiter(filesAtOnce);
  readonly #failure = new FirstFailure();

  /** `pages` may be under way at once. */
  constructor(context: Context, pages: number, mostFolders: number = entriesHeld) {
    this.#context = context;
    this.#mostFolders = mostFolders;
    this.#pages = new Limiter(pages);
  }

  /** Downloads everything; throws what ends the whole, when nothing of it is under way any more. */
  async run(parts: readonly DownloadPart[]): Promise<void> {
    await this.#failure.guard(async () => {
      for (const part of parts) {
        if (part.entry.kind === 'directory') await this.#downloadFolder(part);
        else await this.#downloadNamed(part);
      }
    });
    await this.#idle();
  }

  async #idle(): Promise<void> {
    await this.#pages.idle();
    await this.#files.idle();
    this.#failure.throwIfAny();
  }

  async #downloadNamed(part: DownloadPart): Promise<void> {
    this.#count(part.entry);
    const { options } = this.#context;
    const entry = { ...part.entry, path: '' };
    const [answer = 'want'] = options.dryRun ? await this.#examine(part, [entry]) : [];
    await this.#take(part, entry, answer, undefined);
    await this.#idle();
  }

  #count({ kind, size }: Entry): void {
    if (kind !== 'file') return;
    this.#context.job.totalFiles += 1;
    if (this.#context.job.totalBytes !== null) this.#context.job.totalBytes += size;
  }

  // ---- folders ---------------------------------------------------------------------------------

  async #downloadFolder(part: DownloadPart): Promise<void> {
    const { session, options } = this.#context;
    const paging = new Paging();
    const folders: Entry[] = [{ ...part.entry, path: '' }];
    const parts = new ListedParts(options);
    const missing = new Set(options.filesFrom);
    for await (const batch of list(session, part.path, { recursive: true, contentTypes: false })) {
      for (const { path } of batch) missing.delete(path);
      const taken = batch.filter((entry) => parts.includes(entry) && this.#canTake(part, entry));
      for (const entry of taken) {
        this.#count(entry);
        if (entry.kind === 'directory') folders.push(entry);
      }
      checkHeld(folders.length + parts.held, this.#mostFolders, 'download its parts');
      const files = taken.filter(({ kind }) => kind === 'file');
      const answers = await this.#examine(part, files);
      for (const [i, entry] of files.entries()) {
        await this.#take(part, entry, answers[i] as Answer, paging);
      }
      this.#failure.throwIfAny();
      await this.#context.job.room();
    }
    for (const path of missing) this.#missing(part, path);
    await this.#startPage(part, paging.take());
    await this.#idle();
    await this.#finishFolders(part, folders);
  }

  /** What to do with each file; a dry run only looks. */
  async #examine({ storage, target }: DownloadPart, files: readonly Entry[]): Promise<Answer[]> {
    const { options } = this.#context;
    if (!options.dryRun) return await storage.examine(target, files, policyOf(options));
    return await Promise.all(
      files.map(async (entry) => {
        const existing = await storage.stat(joinPath(target, entry.path)).catch(ignoreNotFound);
        return decide(existing, entry, policyOf(options));
      }),
    );
  }

  /** Whether an entry is a file or a folder; tells of everything else. */
  #canTake(part: DownloadPart, { path, kind }: Entry): boolean {
    const label = joinPath(part.label, path);
    if (kind === 'unreadable') {
      const message = 'The daemon cannot read it, or its name is not UTF-8.';
      this.#context.job.fileFailed(label, 0, new TransferError('permission', message));
    } else if (kind !== 'file' && kind !== 'directory') {
      const what = kind === 'link' ? 'symbolic link' : 'special file';
      this.#context.job.emit({ type: 'warning', message: `Skipped a ${what}.`, path: label });
    }
    return kind === 'file' || kind === 'directory';
  }

  #missing(part: DownloadPart, path: string): void {
    const message =
      'The daemon has no such file or folder, or cannot list it: check the path in --files-from.';
    const error = new TransferError('not-found', message);
    this.#context.job.fileFailed(joinPath(part.label, path), 0, error);
  }

  /** Without `paging` the file goes by itself, however small. */
  async #take(
    part: DownloadPart,
    entry: Entry,
    answer: Answer,
    paging: Paging | undefined,
  ): Promise<void> {
    const { job, options } = this.#context;
    const label = joinPath(part.label, entry.path);
    if (answer === 'refused') {
      const error = await whyRefused(part.storage, joinPath(part.target, entry.path));
      job.fileFailed(label, entry.size, error);
    } else if (answer !== 'want') {
      job.bytes += entry.size;
      if (answer === 'unchanged') job.bytesReused += entry.size;
      job.finished(() => ({ path: label, outcome: answer, bytes: entry.size }));
    } else if (options.dryRun) {
      job.planned(label, entry.size);
    } else if (paging === undefined || !isSmall(entry) || this.#goesAlone(entry)) {
      await this.#startLarge(part, entry);
    } else {
      await this.#startPage(part, paging.add(entry));
    }
  }

  /** Files whose content must be compared or proved as a whole need an offer of their own. */
  #goesAlone({ size }: Entry): boolean {
    const { checksum, sha256 } = this.#context.options;
    return size > 0 && (checksum || sha256);
  }

  /** Mode and times of folders, the deepest first, when nothing changes in them any more. */
  async #finishFolders(part: DownloadPart, folders: readonly Entry[]): Promise<void> {
    const { options, job } = this.#context;
    if (options.dryRun) return;
    const files = folders.toReversed().map((entry) => ({ entry, content: new Uint8Array() }));
    const stored = await part.storage.putSmall(part.target, files);
    for (const [i, error] of stored.entries()) {
      const path = joinPath(part.label, files[i]?.entry.path ?? '');
      if (error === undefined) job.directories += 1;
      else job.fileFailed(path, 0, error);
    }
  }

  // ---- pages -----------------------------------------------------------------------------------

  async #startPage(part: DownloadPart, entries: Entry[] | undefined): Promise<void> {
    if (entries === undefined) return;
    await this.#pages.start(() => this.#failure.guard(() => this.#downloadPage(part, entries)));
  }

  async #downloadPage(part: DownloadPart, wanted: readonly Entry[]): Promise<void> {
    const { session, job } = this.#context;
    const paths = wanted.map(({ path }) => path);
    const { page, entries } = await session.run(async (connection) => {
      const request = connection.open({ type: 'fetch', request: 0, base: part.path, paths });
      return await hearOffers(request, async (offers) => {
        checkOffers(request, offers, part, paths);
        const received = await receivePage(request, offers, part.storage, part.target, {
          // What is wanted was decided before; what the daemon could not put in comes by itself.
          decide: async () => offers.entries.map((entry) => (isSmall(entry) ? 'want' : 'refused')),
          onReceived: (bytes, repeated) => {
            session.progressed();
            job.sent(bytes, repeated);
          },
        });
        return { page: received, entries: offers.entries };
      });
    });
    const failed = new Map(page.failures.map((failure) => [failure.index, failure]));
    for (const [i, entry] of entries.entries()) {
      const failure = failed.get(i);
      const asked = wanted[i] as Entry;
      if (!isSmall(entry) || failure?.failure === 'source-changed') {
        await this.#startLarge(part, asked);
      } else if (failure !== undefined) {
        const error = new TransferError(failure.failure, failure.message);
        job.fileFailed(joinPath(part.label, asked.path), asked.size, error);
      } else {
        job.bytes += entry.size;
        const path = joinPath(part.label, entry.path);
        job.finished(() => ({ path, outcome: 'stored', bytes: entry.size }));
      }
    }
  }

  // ---- large files -----------------------------------------------------------------------------

  async #startLarge(part: DownloadPart, entry: Entry): Promise<void> {
    await this.#files.start(() => this.#failure.guard(() => this.#downloadLarge(part, entry)));
  }

  async #downloadLarge(part: DownloadPart, entry: Entry): Promise<void> {
    const { job } = this.#context;
    const label = joinPath(part.label, entry.path);
    try {
      await downloadFile(this.#context, {
        path: joinPath(part.path, entry.path),
        size: entry.size,
        storage: part.storage,
        target: joinPath(part.target, entry.path),
        label,
      });
    } catch (error) {
      if (!(error instanceof TransferError)) throw error;
      job.fileFailed(label, entry.size, error);
    }
  }
}

/** A daemon may offer exactly what was asked for. */
function checkOffers(
  request: Request,
  offers: FrameOf<'offers'>,
  part: DownloadPart,
  paths: readonly string[],
): void {
  const asked =
    offers.base === part.path &&
    offers.entries.length === paths.length &&
    offers.entries.every(({ path, kind }, i) => path === paths[i] && kind !== 'directory');
  if (asked) {
    for (const path of paths) splitPath(path);
    return;
  }
  const error = new TransferError('protocol', 'The daemon offers other files than were asked for.');
  request.fail(error);
  throw error;
}
