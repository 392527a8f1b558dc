/** Remote files and folders as the parts of a download. */
import { mkdir, stat as statLocal } from 'node:fs/promises';
import { basename, dirname } from 'node:path';
import type { Writable } from 'node:stream';
import type { Entry } from '../protocol/entry.ts';
import { FerryError, TransferError } from '../protocol/errors.ts';
import { parentAndName, shown } from '../protocol/paths.ts';
import { isErrno, storageError } from '../transfer/local/errors.ts';
import { openLocalStorage } from '../transfer/local/local-storage.ts';
import { MemoryStorage } from '../transfer/memory-storage.ts';
import type { Storage } from '../transfer/storage.ts';
import { ask } from './ask.ts';
import type { Context } from './context.ts';
import { Download, type DownloadPart } from './download.ts';
import { downloadFile } from './download-file.ts';
import { StreamStorage } from './stream-storage.ts';
import { TargetNames } from './target-names.ts';
import type { RemotePath } from './upload-sources.ts';

/** Downloads the sources; gives whether a single file was named. Throws what ends the whole. */
export async function downloadSources(
  context: Context,
  sources: readonly RemotePath[],
  target: string | { readonly stream: Writable },
): Promise<boolean> {
  const [first] = sources;
  if (typeof target !== 'string') {
    if (first === undefined || sources.length > 1) {
      throw new FerryError('usage', 'Only one file can be downloaded to a stream.');
    }
    await downloadToStream(context, first, target.stream);
    return true;
  }
  const found = await statSources(context, sources);
  // Anything but a folder: what is no file either is refused by itself.
  const single = sources.length === 1 && found[0]?.entry.kind !== 'directory';
  const existing = await statLocal(target).catch(() => undefined);
  const isFolder = !single || existing?.isDirectory() === true || /[/\\]\.?$/.test(target);
  if (!single && existing !== undefined && !existing.isDirectory()) {
    throw new TransferError('wrong-kind', `${shown(target)} is a file, not a folder.`);
  }
  if (existing !== undefined && !existing.isFile() && !existing.isDirectory()) {
    throw new TransferError(
      'wrong-kind',
      `${shown(target)} is a device, a pipe or a socket: to write into it, download to - and send standard output there.`,
    );
  }
  const root = isFolder ? target : dirname(target);
  const names = new TargetNames();
  const placed = found.map(({ source, entry }) => {
    const { name } = parentAndName(source.path);
    const contentOnly = entry.kind === 'directory' && (source.isFolder || name === '');
    const file = contentOnly ? '' : isFolder ? name : basename(target);
    if (file !== '') names.take(file, source.path);
    return { path: source.path, entry, target: file, label: file };
  });
  if (!context.options.dryRun) await makeRoot(root);
  const storage = await openDownloadRoot(root, context);
  try {
    const parts = placed.map((part): DownloadPart => ({ ...part, storage }));
    const { limits } = context.session.agreed;
    await new Download(context, limits.pages).run(parts);
    return single;
  } finally {
    await storage.close();
  }
}

interface Found {
  readonly source: RemotePath;
  readonly entry: Entry;
}

/** What the sources are; one of several that is not there leaves the others to go on. */
async function statSources(
  { session, job }: Context,
  sources: readonly RemotePath[],
): Promise<Found[]> {
  const found: Found[] = [];
  for (const source of sources) {
    try {
      const question = { type: 'stat', request: 0, path: source.path } as const;
      found.push({ source, entry: (await ask(session, question, 'entry')).entry });
    } catch (error) {
      if (sources.length === 1 || !(error instanceof TransferError)) throw error;
      job.fileFailed(source.path, 0, error);
    }
  }
  return found;
}

async function makeRoot(root: string): Promise<void> {
  try {
    await mkdir(root, { recursive: true });
  } catch (error) {
    if (!isErrno(error, 'EEXIST', 'ENOTDIR')) throw storageError(error, root);
    const message = `${shown(root)} cannot be made: a file is in the way.`;
    throw new TransferError('wrong-kind', message, { cause: error });
  }
}

async function openDownloadRoot(root: string, { throttle, options }: Context): Promise<Storage> {
  // A dry run must not even make the staging folder, let alone the target.
  const isMissing = options.dryRun && (await statLocal(root).catch(() => undefined)) === undefined;
  const storage = isMissing
    ? new MemoryStorage()
    : await openLocalStorage({ root, readOnly: options.dryRun });
  return throttle?.storage(storage) ?? storage;
}

async function downloadToStream(
  context: Context,
  source: RemotePath,
  stream: Writable,
): Promise<void> {
  const storage = new StreamStorage(stream);
  context.job.totalBytes = null;
  context.job.totalFiles = 1;
  const { name } = parentAndName(source.path);
  // A stream takes chunks in order: one connection, whatever the size.
  await downloadFile(context, { path: source.path, size: 0, storage, target: name, label: name });
}
