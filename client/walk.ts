/** Walks a local tree as it takes part in an upload or a comparison. */
import { type Entry, unreadable } from '../protocol/entry.ts';
import { FerryError } from '../protocol/errors.ts';
import { joinPath } from '../protocol/paths.ts';
import type { Storage } from '../transfer/storage.ts';
import type { TransferOptions } from './transfer-options.ts';

export interface WalkOptions extends Pick<TransferOptions, 'selection' | 'filesFrom'> {
  /** Something was left out that the user should know of. */
  readonly onSkipped: (path: string, kind: Entry['kind']) => void;
  /** A listed path does not exist. */
  readonly onMissing: (path: string) => void;
}

/**
 * Entries of `storage` that take part, folder by folder, parents before what they hold; paths are
 * relative to the root. Excluded folders are not entered. Links and special files are left out and
 * told of; what cannot be read is given as `unreadable`.
 */
export async function* walk(storage: Storage, options: WalkOptions): AsyncGenerator<Entry[]> {
  if (options.filesFrom === undefined) {
    yield* walkFolder(storage, '', options);
    return;
  }
  const seen = new Set<string>();
  for (const path of options.filesFrom) {
    const entry = await statListed(storage, path);
    if (entry === undefined) {
      options.onMissing(path);
      continue;
    }
    for (const parent of entry.kind === 'unreadable' ? [] : parentsOf(path)) {
      if (seen.has(parent)) continue;
      seen.add(parent);
      yield [(await statListed(storage, parent)) ?? unreadable(parent)];
    }
    const taken = chosen([entry], options);
    if (taken.length > 0) yield taken;
    if (entry.kind === 'directory') yield* walkFolder(storage, path, options);
  }
}

/** Folders above `path`, the outermost first, without the root. */
function parentsOf(path: string): string[] {
  const components = path.split('/').slice(0, -1);
  return components.map((_, i) => components.slice(0, i + 1).join('/'));
}

/** Undefined: nothing is there. */
async function statListed(storage: Storage, path: string): Promise<Entry | undefined> {
  try {
    return { ...(await storage.stat(path)), path };
  } catch (error) {
    if (!(error instanceof FerryError)) throw error;
    if (error.failure === 'not-found') return undefined;
    return unreadable(path);
  }
}

async function* walkFolder(
  storage: Storage,
  folder: string,
  options: WalkOptions,
): AsyncGenerator<Entry[]> {
  const folders: string[] = [];
  try {
    for await (const batch of storage.list(folder, { recursive: false, contentTypes: false })) {
      const entries = batch.map((entry) => ({ ...entry, path: joinPath(folder, entry.path) }));
      const taken = chosen(entries, options);
      for (const { kind, path } of taken) if (kind === 'directory') folders.push(path);
      if (taken.length > 0) yield taken;
    }
  } catch (error) {
    if (!(error instanceof FerryError) || folder === '') throw error;
    yield [unreadable(folder)];
  }
  for (const path of folders) yield* walkFolder(storage, path, options);
}

function chosen(entries: readonly Entry[], { selection, onSkipped }: WalkOptions): Entry[] {
  return entries.filter((entry) => {
    if (!selection.includes(entry.path, entry.kind === 'directory')) return false;
    if (entry.kind !== 'link' && entry.kind !== 'other') return true;
    onSkipped(entry.path, entry.kind);
    return false;
  });
}
