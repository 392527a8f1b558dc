/** Folders for tests, removed when the test is over. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { ExecutionContext } from 'ava';
import {
  type LocalStorage,
  type LocalStorageOptions,
  openLocalStorage,
} from '../../../transfer/local/local-storage.ts';

export async function newFolder(t: ExecutionContext): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'chunkferry-'));
  t.teardown(() => rm(folder, { recursive: true, force: true }));
  return folder;
}

const rootsByStorage = new WeakMap<object, LocalStorageOptions>();

/** Opens a storage that is closed when the test is over. */
export async function openStorage(
  t: ExecutionContext,
  options: LocalStorageOptions,
): Promise<LocalStorage> {
  const storage = await openLocalStorage(options);
  rootsByStorage.set(storage, options);
  let closed: Promise<void> | undefined;
  const close = storage.close.bind(storage);
  storage.close = () => (closed ??= close());
  t.teardown(() => storage.close());
  return storage;
}

/** Closes a storage and opens its folder again in the same way. */
export async function reopenStorage(t: ExecutionContext, storage: object): Promise<LocalStorage> {
  const options = rootsByStorage.get(storage);
  if (options === undefined) throw new Error('That storage was not opened here.');
  await (storage as LocalStorage).close();
  return openStorage(t, options);
}
