/**
 * What the daemon serves: one folder as `/`, or several shares whose names are the first component
 * of every path.
 */
import type { Entry } from '../protocol/entry.ts';
import { TransferError } from '../protocol/errors.ts';
import { joinPath, shown, splitPath } from '../protocol/paths.ts';
import type { PageMemory } from '../transfer/page-memory.ts';
import type { ListOptions, SmallFile, Storage } from '../transfer/storage.ts';

/** A path inside one storage. */
export interface Place {
  readonly storage: Storage;
  readonly path: string;
}

/** A folder that only leads to others, and has nothing of its own to tell. */
export const passage: Entry = {
  path: '',
  kind: 'directory',
  size: 0,
  mtimeNs: 0n,
  mode: 0o555,
  contentType: '',
};

export class Shares {
  readonly #byName: ReadonlyMap<string, Storage>;

  /** `byName` has either the one name '' or no such name. */
  constructor(byName: ReadonlyMap<string, Storage>) {
    this.#byName = byName;
  }

  get names(): string[] {
    return [...this.#byName.keys()];
  }

  /** Where `path` lies; undefined for the root above several shares. */
  #find(path: string): Place | undefined {
    const components = splitPath(path);
    const single = this.#byName.get('');
    if (single !== undefined) return { storage: single, path };
    const [name, ...rest] = components;
    if (name === undefined) return undefined;
    const storage = this.#byName.get(name);
    if (storage === undefined) {
      throw new TransferError('not-found', `There is no share ${shown(name)} here.`);
    }
    return { storage, path: rest.join('/') };
  }

  /** Where `path` lies, for anything that needs a storage. Throws TransferError. */
  at(path: string): Place {
    const place = this.#find(path);
    if (place === undefined) {
      throw new TransferError('wrong-kind', 'Several shares are served: name one of them first.');
    }
    return place;
  }

  async stat(path: string): Promise<Entry> {
    const place = this.#find(path);
    return place === undefined ? passage : await place.storage.stat(place.path);
  }

  async *list(path: string, options: ListOptions): AsyncIterable<Entry[]> {
    const place = this.#find(path);
    if (place !== undefined) {
      yield* place.storage.list(place.path, options);
      return;
    }
    for (const [name, storage] of this.#byName) {
      yield [{ ...(await storage.stat('')), path: name }];
      if (!options.recursive) continue;
      for await (const entries of storage.list('', options)) {
        yield entries.map((entry) => ({ ...entry, path: joinPath(name, entry.path) }));
      }
    }
  }

  /** Small files below the folder `base`; below the root of several shares, of each of them. */
  async readSmall(
    base: string,
    paths: readonly string[],
    memory: PageMemory,
  ): Promise<(SmallFile | TransferError)[]> {
    const place = this.#find(base);
    if (place !== undefined) return await place.storage.readSmall(place.path, paths, memory);
    let left = memory;
    const files: (SmallFile | TransferError)[] = [];
    for (const [name, storage] of this.#byName) {
      const places = [...paths.keys()].filter((i) => paths[i]?.startsWith(`${name}/`) === true);
      const inside = places.map((i) => paths[i]?.slice(name.length + 1) ?? '');
      const read = inside.length === 0 ? [] : await storage.readSmall('', inside, left);
      for (const file of read) {
        if (!(file instanceof TransferError)) left = left.subarray(file.content.length);
      }
      for (const [i, file] of read.entries()) {
        const path = paths[places[i] ?? 0] ?? '';
        const entry = file instanceof TransferError ? undefined : { ...file.entry, path };
        files[places[i] ?? 0] = entry === undefined ? file : { ...(file as SmallFile), entry };
      }
    }
    const missing = new TransferError('not-found', 'There is no such share here.');
    return Array.from({ length: paths.length }, (_, i) => files[i] ?? missing);
  }

  async rename(from: string, to: string): Promise<void> {
    const source = this.at(from);
    const target = this.at(to);
    if (source.storage !== target.storage) {
      throw new TransferError('bad-path', 'Both names must lie in the same share.');
    }
    await source.storage.rename(source.path, target.path);
  }

  /** Closes all of them; gives those that could not be left in good order, as on a disk that is broken. */
  async close(): Promise<{ readonly name: string; readonly error: unknown }[]> {
    const closing = [...this.#byName].map(async ([name, storage]) => {
      try {
        await storage.close();
        return [];
      } catch (error) {
        return [{ name, error }];
      }
    });
    return (await Promise.all(closing)).flat();
  }
}
