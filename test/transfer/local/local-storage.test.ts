import { storageSuite } from '../storage-suite.ts';
import { newFolder, openStorage, reopenStorage } from './folder-fixture.ts';

storageSuite('inline', {
  open: async (t) => openStorage(t, { root: await newFolder(t), durability: 'none' }),
  reopen: reopenStorage,
});

storageSuite('worker, durable, locked', {
  open: async (t) => openStorage(t, { root: await newFolder(t), executor: 'worker', lock: true }),
  reopen: reopenStorage,
});
