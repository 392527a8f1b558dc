/**
 * Uploads: a walk fills pages, pages are answered, what is wanted is sent.
 *
 * Strategy: the walk, the pages and the large files run beside each other, each a few at a time, so
 * that neither the disk nor the link waits for a round trip. Folders get their mode and times last,
 * when nothing changes in them any more.
 */
import type { Entry } from '../protocol/entry.ts';
import { FerryError, TransferError } from '../protocol/errors.ts';
import { joinPath, splitPath } from '../protocol/paths.ts';
import { isSmall } from '../transfer/page.ts';
import { type PageMemory, withPageMemory } from '../transfer/page-memory.ts';
import { ignoreNotFound } from '../transfer/receive-file.ts';
import { decide } from '../transfer/sameness.ts';
import { type ContentsOf, sendPage } from '../transfer/send-page.ts';
import type { Storage } from '../transfer/storage.ts';
import { ask, list as listRemote, newOperation } from './ask.ts';
import type { Context } from './context.ts';
import { FirstFailure } from './first-failure.ts';
import { Limiter } from './limiter.ts';
import { Paging } from './paging.ts';
import { policyOf } from './transfer-options.ts';
import { uploadFile } from './upload-file.ts';
import { walk } from './walk.ts';

/** Large files under way at once: enough to hide the round trips between them. */
const filesAtOnce = 4;

/** A local folder, or one file in it, and where it goes. */
export interface UploadPart {
  readonly storage: Storage;
  /** The one file that is meant; undefined: the whole folder. */
  readonly file: string | undefined;
  /** Remote folder that paths of the storage are relative to. */
  readonly base: string;
  /** Remote name of the one file, where it differs. */
  readonly name?: string | undefined;
  /** What paths begin with in events. */
  readonly label: string;
  /** Nothing stands at `base` yet, so contents needn't wait for answers. */
  readonly isNew: boolean;
}

export class Upload {
  readonly #context: Context;
  readonly #pages: Limiter;
  readonly #files = new Limiter(filesAtOnce);
  readonly #failure = new FirstFailure();
  /** Listings of remote folders, by path, for dry runs. */
  readonly #listings: Record<string, Promise<Map<string, Entry>>> = {};

  /** `pages` may be under way at once. */
  constructor(context: Context, pages: number) {
    this.#context = context;
    this.#pages = new Limiter(pages);
  }

  /** Uploads everything; throws what ends the whole, when nothing of it is under way any more. */
  async run(parts: readonly UploadPart[]): Promise<void> {
    await this.#failure.guard(async () => {
      for (const part of parts) {
        if (part.file === undefined) await this.#uploadFolder(part);
        else await this.#uploadNamed(part, part.file);
      }
    });
    await this.#idle();
  }

  async #idle(): Promise<void> {
    await this.#pages.idle();
    await this.#files.idle();
    this.#failure.throwIfAny();
  }

  async #uploadNamed(part: UploadPart, file: string): Promise<void> {
    const entry = { ...(await part.storage.stat(file)), path: file };
    this.#count(entry);
    if (this.#context.options.dryRun) await this.#planNamed(part, entry);
    else await this.#failure.guard(() => this.#uploadLarge(part, entry));
    this.#failure.throwIfAny();
  }

  async #planNamed(part: UploadPart, entry: Entry): Promise<void> {
    const path = joinPath(part.base, part.name ?? entry.path);
    const question = { type: 'stat', request: 0, path } as const;
    const found = await ask(this.#context.session, question, 'entry').catch(ignoreNotFound);
    const answer = decide(found?.entry, entry, policyOf(this.#context.options));
    if (answer === 'unchanged' || answer === 'skipped') this.#stored(part, entry, answer);
    else {
      const label = joinPath(part.label, entry.path);
      this.#context.job.planned(label, entry.size);
    }
  }

  #count({ kind, size }: Entry): void {
    if (kind === 'file') {
      this.#context.job.totalFiles += 1;
      if (this.#context.job.totalBytes !== null) this.#context.job.totalBytes += size;
    }
  }

  // ---- folders ---------------------------------------------------------------------------------

  async #uploadFolder(part: UploadPart): Promise<void> {
    const paging = new Paging();
    const folders: Entry[] = [{ ...(await part.storage.stat('')), path: '' }];
    const onSkipped = (path: string, kind: Entry['kind']): void => this.#skipped(part, path, kind);
    const onMissing = (path: string): void => this.#missing(part, path);
    const options = { ...this.#context.options, onSkipped, onMissing };
    for await (const entries of walk(part.storage, options)) {
      for (const entry of entries) {
        this.#count(entry);
        if (entry.kind === 'directory') folders.push(entry);
        else if (entry.kind === 'unreadable') this.#unreadable(part, entry);
        else if (this.#goesAlone(entry) && !this.#context.options.dryRun)
          await this.#startLarge(part, entry);
        else {
          const full = paging.add(entry);
          if (full !== undefined) await this.#startPage(part, full);
        }
      }
      this.#failure.throwIfAny();
      await this.#context.job.room();
    }
    await this.#startPage(part, paging.take());
    await this.#idle();
    await this.#finishFolders(part, folders);
  }

  /** Files whose content must be compared or proved as a whole need an offer of their own. */
  #goesAlone({ size }: Entry): boolean {
    return size > 0 && (this.#context.options.checksum || this.#context.options.sha256);
  }

  #skipped(part: UploadPart, path: string, kind: Entry['kind']): void {
    const what = kind === 'link' ? 'symbolic link' : 'special file';
    const message = `Skipped a ${what}.`;
    this.#context.job.emit({ type: 'warning', message, path: joinPath(part.label, path) });
  }

  #missing(part: UploadPart, path: string): void {
    const error = new TransferError(
      'not-found',
      'It does not exist: check the path in --files-from.',
    );
    this.#context.job.fileFailed(joinPath(part.label, path), 0, error);
  }

  #unreadable(part: UploadPart, { path }: Entry): void {
    const error = new TransferError(
      'permission',
      'It cannot be read, or its name is not UTF-8: rename it, or mend its permissions.',
    );
    this.#context.job.fileFailed(joinPath(part.label, path), 0, error);
  }

  /** Folders, the deepest first: making one changes the times of its parent. */
  async #finishFolders(part: UploadPart, folders: readonly Entry[]): Promise<void> {
    if (this.#context.options.dryRun) return;
    const paging = new Paging();
    const deepestFirst = folders.toReversed();
    for (const entry of deepestFirst) await this.#finishPage(part, paging.add(entry));
    await this.#finishPage(part, paging.take());
    this.#context.job.directories += folders.length;
  }

  async #finishPage(part: UploadPart, entries: Entry[] | undefined): Promise<void> {
    if (entries !== undefined) await this.#uploadPage({ ...part, isNew: false }, entries);
  }

  // ---- pages -----------------------------------------------------------------------------------

  async #startPage(part: UploadPart, entries: Entry[] | undefined): Promise<void> {
    if (entries === undefined) return;
    await this.#pages.start(() => this.#failure.guard(() => this.#uploadPage(part, entries)));
  }

  async #uploadPage(part: UploadPart, entries: readonly Entry[]): Promise<void> {
    if (this.#context.options.dryRun) {
      await this.#planPage(part, entries);
      return;
    }
    const operation = newOperation();
    const eager = part.isNew;
    const job = this.#context.job;
    const { answers, failures } = await this.#context.session.run(async (connection) => {
      const page = {
        operation,
        base: part.base,
        policy: policyOf(this.#context.options),
        eager,
        entries,
      };
      const request = connection.open({ type: 'offers', request: 0, ...page });
      return await withPageMemory(async (memory) => {
        const contentsOf = this.#contentsOf(part, entries, memory);
        return await sendPage(request, page, contentsOf, (bytes, repeated) => {
          this.#context.session.progressed();
          job.sent(bytes, repeated);
        });
      });
    });
    const failed = new Map(failures.map((failure) => [failure.index, failure]));
    for (const [place, entry] of entries.entries()) {
      const failure = failed.get(place);
      if (entry.kind === 'directory') {
        if (failure !== undefined) this.#failed(part, entry, failure);
      } else if (
        failure?.failure === 'source-changed' ||
        (answers[place] === 'want' && !isSmall(entry))
      ) {
        await this.#startLarge(part, entry);
      } else if (failure !== undefined) {
        this.#failed(part, entry, failure);
      } else {
        this.#stored(part, entry, answers[place] as 'want' | 'unchanged' | 'skipped');
      }
    }
  }

  /** Reads contents of a page into `memory`, those of the call before are gone then. */
  #contentsOf(part: UploadPart, entries: readonly Entry[], memory: PageMemory): ContentsOf {
    return async (places) => {
      const paths = places.map((place) => (entries[place] as Entry).path);
      const files = await part.storage.readSmall('', paths, memory);
      const contents = files.map((file) =>
        file instanceof TransferError ? undefined : file.content,
      );
      await this.#context.throttle?.pass(
        contents.reduce((sum, content) => sum + (content?.length ?? 0), 0),
      );
      return contents;
    };
  }

  #failed(
    part: UploadPart,
    entry: Entry,
    { failure, message }: { failure: FerryError['failure']; message: string },
  ): void {
    const error = new TransferError(failure, message);
    this.#context.job.fileFailed(joinPath(part.label, entry.path), entry.size, error);
  }

  #stored(part: UploadPart, { path, size }: Entry, answer: 'want' | 'unchanged' | 'skipped'): void {
    const job = this.#context.job;
    job.bytes += size;
    if (answer === 'unchanged') job.bytesReused += size;
    const outcome = answer === 'want' ? 'stored' : answer;
    job.finished(() => ({ path: joinPath(part.label, path), outcome, bytes: size }));
  }

  /** What a page would do, told and not done. */
  async #planPage(part: UploadPart, entries: readonly Entry[]): Promise<void> {
    const existing = await this.#existing(part);
    for (const entry of entries) {
      const answer = decide(existing.get(entry.path), entry, policyOf(this.#context.options));
      if (answer === 'unchanged' || answer === 'skipped') this.#stored(part, entry, answer);
      else this.#context.job.planned(joinPath(part.label, entry.path), entry.size);
    }
  }

  /** For dry runs: what there is, by path. */
  #existing({ base, isNew }: UploadPart): Promise<Map<string, Entry>> {
    const list = async (): Promise<Map<string, Entry>> => {
      const found = new Map<string, Entry>();
      if (isNew) return found;
      const options = { recursive: true, contentTypes: false };
      for await (const entries of listRemote(this.#context.session, base, options)) {
        for (const entry of entries) found.set(entry.path, entry);
      }
      return found;
    };
    this.#listings[base] ??= list();
    return this.#listings[base];
  }

  // ---- large files -----------------------------------------------------------------------------

  async #startLarge(part: UploadPart, entry: Entry): Promise<void> {
    await this.#files.start(() => this.#failure.guard(() => this.#uploadLarge(part, entry)));
  }

  async #uploadLarge(part: UploadPart, entry: Entry): Promise<void> {
    const label = joinPath(part.label, entry.path);
    const target = joinPath(part.base, part.name ?? entry.path);
    try {
      // A path that is too long when both are joined would end the connection, not just this file.
      splitPath(target);
      await uploadFile(this.#context, part.storage, entry, target, label);
    } catch (error) {
      // What concerns one file leaves the others to go on.
      if (!(error instanceof TransferError)) throw error;
      this.#context.job.fileFailed(label, entry.size, error);
    }
  }
}
