/** Local files and folders as the parts of an upload. */
import { realpath, stat as statLocal } from 'node:fs/promises';
import { basename, dirname, resolve } from 'node:path';
import type { Readable } from 'node:stream';
import type { Entry } from '../protocol/entry.ts';
import { FerryError, TransferError } from '../protocol/errors.ts';
import { joinPath, parentAndName, shown } from '../protocol/paths.ts';
import { openLocalStorage } from '../transfer/local/local-storage.ts';
import { StreamSource } from '../transfer/local/stream-source.ts';
import { ignoreNotFound } from '../transfer/receive-file.ts';
import type { Storage } from '../transfer/storage.ts';
import { ask } from './ask.ts';
import type { Context } from './context.ts';
import { TargetNames } from './target-names.ts';
import { Upload, type UploadPart } from './upload.ts';
import { FileUpload } from './upload-file.ts';

export type UploadSource =
  | { readonly localPath: string }
  | { readonly stream: Readable; readonly name: string };

/** A remote path; one written with a slash at its end names a folder. */
export interface RemotePath {
  readonly path: string;
  readonly isFolder: boolean;
}

/** Uploads the sources; gives whether a single file was named. Throws what ends the whole. */
export async function uploadSources(
  context: Context,
  sources: readonly UploadSource[],
  target: RemotePath,
): Promise<boolean> {
  const existing = await statOrNothing(context, target.path);
  const isFolder = target.isFolder || sources.length > 1 || existing?.kind === 'directory';
  const [first] = sources;
  if (first !== undefined && 'stream' in first) {
    const file = isFolder ? joinPath(target.path, first.name) : target.path;
    const mtimeNs = BigInt(Date.now()) * 1_000_000n;
    const source = new StreamSource(first.stream, { name: first.name, mtimeNs, mode: 0o644 });
    context.job.totalBytes = null;
    context.job.totalFiles = 1;
    await new FileUpload(context, source, file, parentAndName(file).name).run();
    return true;
  }
  const opened: Storage[] = [];
  try {
    const parts: UploadPart[] = [];
    const names = new TargetNames();
    for (const source of sources) {
      if ('stream' in source) throw new FerryError('usage', 'A stream is uploaded alone.');
      try {
        const part = await uploadPart(context, source.localPath, { ...target, isFolder }, existing);
        opened.push(part.storage);
        parts.push(part);
        const path = joinPath(part.base, part.name ?? '');
        if (path !== target.path) names.take(path, source.localPath);
      } catch (error) {
        // One of several that cannot be sent leaves the others to go on.
        if (sources.length === 1 || !(error instanceof TransferError)) throw error;
        context.job.fileFailed(source.localPath, 0, error);
      }
    }
    const { limits } = context.session.agreed;
    await new Upload(context, limits.pages).run(parts);
    return sources.length === 1 && parts[0]?.file !== undefined;
  } finally {
    await Promise.all(opened.map((storage) => storage.close()));
  }
}

async function statOrNothing({ session }: Context, path: string): Promise<Entry | undefined> {
  const question = { type: 'stat', request: 0, path } as const;
  return (await ask(session, question, 'entry').catch(ignoreNotFound))?.entry;
}

/** Where one named source goes, by rsync's rule: `dir` makes `dir` there, `dir/` only its content. */
async function uploadPart(
  context: Context,
  localPath: string,
  target: RemotePath,
  existing: Entry | undefined,
): Promise<UploadPart> {
  const { links } = context.options;
  const stats = await statLocal(localPath).catch((error: unknown) => {
    throw notReadable(localPath, error);
  });
  const real = await realpath(localPath);
  const label = basename(resolve(localPath));
  const source = { readOnly: true, source: { followLinks: links === 'follow' } };
  if (stats.isDirectory()) {
    if (existing !== undefined && existing.kind !== 'directory') {
      throw new TransferError('wrong-kind', `${shown(target.path)} is a file, not a folder.`);
    }
    const contentOnly = /[/\\]\.?$/.test(localPath) || localPath === '.';
    const base = contentOnly ? target.path : joinPath(target.path, label);
    const isNew =
      existing === undefined ||
      (base !== target.path && (await statOrNothing(context, base)) === undefined);
    const storage = await openLocalStorage({ root: real, ...source });
    return { storage, file: undefined, base, label, isNew };
  }
  if (!stats.isFile()) {
    throw new TransferError('wrong-kind', `${shown(localPath)} is neither a file nor a folder.`);
  }
  const { parent, name } = target.isFolder
    ? { parent: target.path, name: label }
    : parentAndName(target.path);
  if (name === '') throw new FerryError('usage', 'Name the file that is to be written.');
  const storage = await openLocalStorage({ root: dirname(real), ...source });
  const file = basename(real);
  return { storage, file, base: parent, name, label: '', isNew: false };
}

function notReadable(localPath: string, error: unknown): FerryError {
  const { code } = error as NodeJS.ErrnoException;
  if (code === 'ENOENT' || code === 'ENOTDIR') {
    return new TransferError('not-found', `${shown(localPath)} does not exist.`, { cause: error });
  }
  const message = `${shown(localPath)} cannot be read: ${code ?? String(error)}.`;
  return new TransferError(code === 'EACCES' ? 'permission' : 'io', message, { cause: error });
}
