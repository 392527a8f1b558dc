import test from 'ava';
import { MemoryStorage } from '../../transfer/memory-storage.ts';
import { failureOf, smallFile } from './helpers/stored-files.ts';
import { storageSuite } from './storage-suite.ts';

storageSuite('memory', {
  open: () => Promise.resolve(new MemoryStorage()),
  reopen: (_t, storage) => Promise.resolve(storage),
});

test('memory: a read-only one refuses every change', async (t) => {
  const storage = new MemoryStorage({ readOnly: true });
  t.is(await failureOf(() => storage.mkdir('a', true)), 'permission');
  t.is(await failureOf(() => storage.putSmall('', [smallFile('a', 'x')])), 'permission');
});
