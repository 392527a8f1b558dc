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
  if (options.filesFrom === undefined) yield* walkFolder(storage, '', options);
  else yield* walkListed(storage, options.filesFrom, options);
}

/** What the paths of a list name, each entry once though several of them may hold it. */
async function* walkListed(
  storage: Storage,
  paths: readonly string[],
  options: WalkOptions,
): AsyncGenerator<Entry[]> {
  const listed = new Set(paths);
  const folders = new Set<string>();
  const isNew = ({ path, kind }: Entry): boolean => {
    if (kind !== 'directory') return true;
    const { size } = folders;
    return folders.add(path).size > size;
  };
  for (const path of listed) {
    const entry = await statListed(storage, path);
    if (entry === undefined) {
      options.onMissing(path);
      continue;
    }
    for (const parent of entry.kind === 'unreadable' ? [] : parentsOf(path)) {
      if (folders.has(parent)) continue;
      folders.add(parent);
      yield [(await statListed(storage, parent)) ?? unreadable(parent)];
    }
    if (isChosen(entry, options) && isNew(entry)) yield [entry];
    if (entry.kind !== 'directory') continue;
    for await (const entries of walkFolder(storage, path, options, listed)) {
      const others = entries.filter(isNew);
      if (others.length > 0) yield others;
    }
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

/** What `folder` holds but for paths that are `listed`: these come by themselves. */
async function* walkFolder(
  storage: Storage,
  folder: string,
  options: WalkOptions,
  listed: ReadonlySet<string> = new Set(),
): AsyncGenerator<Entry[]> {
  const folders: string[] = [];
  try {
    for await (const batch of storage.list(folder, { recursive: false, contentTypes: false })) {
      const taken: Entry[] = [];
      for (const entry of batch) {
        const found = folder === '' ? entry : { ...entry, path: joinPath(folder, entry.path) };
        if (listed.has(found.path) || !isChosen(found, options)) continue;
        taken.push(found);
        if (found.kind === 'directory') folders.push(found.path);
      }
      if (taken.length > 0) yield taken;
    }
  } catch (error) {
    if (!(error instanceof FerryError) || folder === '') throw error;
    yield [unreadable(folder)];
  }
  for (const path of folders) yield* walkFolder(storage, path, options, listed);
}

function isChosen({ path, kind }: Entry, { selection, onSkipped }: WalkOptions): boolean {
  if (!selection.includes(path, kind === 'directory')) return false;
  if (kind !== 'link' && kind !== 'other') return true;
  onSkipped(path, kind);
  return false;
}
