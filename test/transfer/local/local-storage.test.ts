import { execFile } from 'node:child_process';
import { chown, mkdtemp, readdir, readFile, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import test from 'ava';
import { quickFolder } from '../../system/helpers/wait.ts';
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

/** The user and group that own nothing, for who runs the tests as root. */
const nobody = 65_534;

/** Stores one small file that nobody may read or write, in the folder that is named to it. */
const storeClosedFile = `
  const { openLocalStorage } = await import(process.env.MODULE);
  // Only now: where the project lies need not be open to others.
  if (process.getuid() === 0) for (const set of ['setgid', 'setuid']) process[set](${nobody});
  const storage = await openLocalStorage({ root: process.env.ROOT, durability: 'fsync' });
  const content = Buffer.from('closed');
  const entry = { path: 'file', kind: 'file', size: content.length, mtimeNs: 0n, mode: 0 };
  const [failure] = await storage.putSmall('', [{ entry, content }]);
  await storage.close();
  if (failure) throw failure;
`;
for (const [where, parent] of [
  ['on a disk', tmpdir()],
  ['in memory', quickFolder],
] as const) {
  test(`a small file may have a mode that keeps its owner out, ${where}`, async (t) => {
    const root = await mkdtemp(join(parent, 'chunkferry-'));
    t.teardown(() => rm(root, { recursive: true }));
    const isRoot = process.getuid?.() === 0;
    if (isRoot) await chown(root, nobody, nobody);
    const module = new URL('../../../transfer/local/local-storage.js', import.meta.url).href;
    await promisify(execFile)(process.execPath, ['--input-type=module', '-e', storeClosedFile], {
      env: { MODULE: module, ROOT: root },
    });
    t.is((await stat(join(root, 'file'))).mode & 0o777, 0);
    if (isRoot) t.is(await readFile(join(root, 'file'), 'utf8'), 'closed');
  });
}

/** Stores two pages at once with next to no descriptors, and tells what failed. */
const storeWithFewDescriptors = `
  const { openLocalStorage } = await import(process.env.MODULE);
  const storage = await openLocalStorage({ root: process.env.ROOT, durability: 'fsync' });
  const content = Buffer.from('content');
  const page = (name) => Array.from({ length: 200 }, (_, i) => {
    const entry = { path: name + i, kind: 'file', size: content.length, mtimeNs: 0n, mode: 0o644 };
    return { entry, content };
  });
  const failures = await Promise.all(['a', 'b'].map((name) => storage.putSmall('', page(name))));
  await storage.close();
  console.log(failures.flat().filter(Boolean).map(({ message }) => message).join() || 'none');
`;
for (const [where, parent] of [
  ['on a disk', tmpdir()],
  ['in memory', quickFolder],
] as const) {
  test(`pages need not have a descriptor for each of their files, ${where}`, async (t) => {
    const root = await mkdtemp(join(parent, 'chunkferry-'));
    t.teardown(() => rm(root, { recursive: true }));
    const module = new URL('../../../transfer/local/local-storage.js', import.meta.url).href;
    const script = ['--input-type=module', '-e', storeWithFewDescriptors];
    const limited = ['-c', 'ulimit -n 100; exec "$@"', 'sh', process.execPath, ...script];
    const { stdout } = await promisify(execFile)('sh', limited, {
      env: { MODULE: module, ROOT: root },
    });
    t.is(stdout.trim(), 'none');
    t.is((await readdir(root)).length, 400);
  });
}
