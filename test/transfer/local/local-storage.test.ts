import { execFile } from 'node:child_process';
import { chown, mkdtemp, readdir, readFile, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import test, { type ExecutionContext } from 'ava';
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

/** What follows has a storage on a root of its own, next to no descriptors, and pages of 200 small files. */
const fewDescriptors = `
  const { openSync } = await import('node:fs');
  const { openLocalStorage } = await import(process.env.MODULE);
  const storage = await openLocalStorage({ root: process.env.ROOT, durability: 'fsync' });
  const content = Buffer.from('content');
  const page = (name) => Array.from({ length: 200 }, (_, i) => {
    const entry = { path: name + i, kind: 'file', size: content.length, mtimeNs: 0n, mode: 0o644 };
    return { entry, content };
  });
  const inFolders = (name) => page(name).map(({ entry }) => {
    return { entry: { ...entry, path: entry.path + '/file' }, content };
  });
  const tell = async (failures) => {
    await storage.close();
    console.log(failures.flat().filter(Boolean).map(({ message }) => message).join() || 'none');
  };
`;
/** Stores pages at once, and tells what failed. */
const storePages = `
  const pages = [page('a'), page('b'), inFolders('c'), inFolders('d')];
  await tell(await Promise.all(pages.map((each) => storage.putSmall('', each))));
`;
/** Opens large files beside pages that wait for the disk. */
const openBesidePages = `
  const offer = { size: 1, chunkBytes: 65536, identity: new Uint8Array(0), rewindable: true };
  const open = async (i) => (await storage.openSink('large' + i, offer, false)).close();
  const storing = ['a', 'b'].map((name) => storage.putSmall('', page(name)));
  const opening = [1, 2, 3, 4].map((i) => open(i).catch((error) => [error]));
  await tell(await Promise.all([...storing, ...opening]));
`;
/** Opens a file when somebody else has taken all descriptors but those of a page. */
const openWithoutAny = `
  await storage.putSmall('', page('b'));
  const storing = storage.putSmall('', page('a'));
  try {
    for (;;) openSync('/dev/null');
  } catch {}
  const opening = storage.openSource('b1').then((source) => source.close(), (error) => [error]);
  await tell(await Promise.all([storing, opening]));
`;
/** The same, and commits a file that is whole. */
const commitWithoutAny = `
  (await import('node:fs')).mkdirSync(process.env.ROOT + '/sub');
  const offer = { size: 1, chunkBytes: 65536, identity: new Uint8Array(0), rewindable: true };
  const sink = await storage.openSink('sub/large', offer, false);
  await sink.write(0, [content.subarray(0, 1)], [0n]);
  const storing = storage.putSmall('', page('a'));
  try {
    for (;;) openSync('/dev/null');
  } catch {}
  const commit = sink.commit({ size: 1, mtimeNs: 0n, mode: 0o644 }).catch((error) => [error]);
  await tell(await Promise.all([storing, commit]));
`;
/** Stores a page when somebody else has taken all descriptors, and gives them back only in a moment. */
const storeWithoutAny = `
  const { closeSync } = await import('node:fs');
  await storage.putSmall('', page('b'));
  const taken = [];
  try {
    for (;;) taken.push(openSync('/dev/null'));
  } catch {}
  setTimeout(() => taken.forEach((fd) => closeSync(fd)), 200);
  await tell(await storage.putSmall('', page('a')));
`;

async function failuresOf(t: ExecutionContext, root: string, script: string): Promise<string> {
  t.teardown(() => rm(root, { recursive: true }));
  const module = new URL('../../../transfer/local/local-storage.js', import.meta.url).href;
  const node = [process.execPath, '--input-type=module', '-e', fewDescriptors + script];
  const limited = ['-c', 'ulimit -n 100; exec "$@"', 'sh', ...node];
  const { stdout } = await promisify(execFile)('sh', limited, {
    env: { MODULE: module, ROOT: root },
  });
  return stdout.trim();
}

for (const [where, parent] of [
  ['on a disk', tmpdir()],
  ['in memory', quickFolder],
] as const) {
  test(`pages need not have a descriptor for each of their files and folders, ${where}`, async (t) => {
    const root = await mkdtemp(join(parent, 'chunkferry-'));
    t.is(await failuresOf(t, root, storePages), 'none');
    t.is((await readdir(root)).length, 800);
  });
}

// In memory nothing waits for the disk.
test('pages leave descriptors to large files', async (t) => {
  const root = await mkdtemp(join(tmpdir(), 'chunkferry-'));
  t.is(await failuresOf(t, root, openBesidePages), 'none');
});

test('a page that finds no descriptor waits for one', async (t) => {
  const root = await mkdtemp(join(tmpdir(), 'chunkferry-'));
  t.is(await failuresOf(t, root, storeWithoutAny), 'none');
});

for (const [what, script] of [
  ['opens a file', openWithoutAny],
  ['commits one', commitWithoutAny],
] as const) {
  test(`who ${what} and finds no descriptor has those of pages`, async (t) => {
    const root = await mkdtemp(join(tmpdir(), 'chunkferry-'));
    t.is(await failuresOf(t, root, script), 'none');
  });
}
