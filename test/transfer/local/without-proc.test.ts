/** The same as with held descriptors, where the system has no names for them. */
import './helpers/without-proc.ts';
import { realpath } from 'node:fs/promises';
import test from 'ava';
import { createOperations } from '../../../transfer/local/operations.ts';
import { storageSuite } from '../storage-suite.ts';
import { newFolder, openStorage, reopenStorage } from './folder-fixture.ts';

storageSuite('paths instead of descriptors', {
  open: async (t) => openStorage(t, { root: await newFolder(t), lock: true }),
  reopen: reopenStorage,
});

test('folders are known by their paths there', async (t) => {
  const root = await newFolder(t);
  const operations = createOperations({ root, durable: false });
  t.is(operations.rootPath(), await realpath(root));
  await operations.close();
});
