/** Nothing leads out of a root: links are never followed, and a canary outside stays as it was. */
import {
  chmod,
  link,
  mkdir,
  readdir,
  readFile,
  rm,
  stat,
  symlink,
  writeFile,
} from 'node:fs/promises';
import { join } from 'node:path';
import { Worker } from 'node:worker_threads';
import test, { type ExecutionContext } from 'ava';
import { TransferError } from '../../../protocol/errors.ts';
import { defaultPolicy } from '../../../protocol/frames/transfer.ts';
import { dataName, journalName, partialKey } from '../../../transfer/local/staging.ts';
import type { Storage } from '../../../transfer/storage.ts';
import {
  bytesOf,
  chunkBytes,
  contentOf,
  failureOf,
  fileEntry,
  folderEntry,
  listed,
  offerOf,
  pathsOf,
  put,
  sameBytes,
  smallFile,
  writeChunks,
} from '../helpers/stored-files.ts';
import { newFolder, openStorage } from './folder-fixture.ts';

interface Scene {
  readonly root: string;
  readonly canary: string;
  readonly storage: Storage;
}

/** A root with links to a canary tree beside it, as a parent and as a leaf. */
async function scene(t: ExecutionContext): Promise<Scene> {
  const folder = await newFolder(t);
  const [root, canary] = [join(folder, 'root'), join(folder, 'canary')];
  await mkdir(root);
  await mkdir(join(canary, 'sub'), { recursive: true });
  await writeFile(join(canary, 'secret'), 'secret', { mode: 0o600 });
  await symlink(canary, join(root, 'out'));
  await symlink(join(canary, 'secret'), join(root, 'leaf'));
  await symlink('nowhere', join(root, 'dangling'));
  return { root, canary, storage: await openStorage(t, { root, durability: 'none' }) };
}

async function canaryOf({ canary }: Scene): Promise<unknown> {
  const { mode, mtimeMs } = await stat(join(canary, 'secret'));
  return [await readdir(canary), await readFile(join(canary, 'secret'), 'utf8'), mode, mtimeMs];
}

async function makePipe(path: string): Promise<void> {
  const { execFile } = await import('node:child_process');
  await new Promise((resolve) => execFile('mkfifo', [path], resolve));
}

test('links in staging, in the place of a partial, are neither written through nor made true', async (t) => {
  const { storage, root, canary } = await scene(t);
  const before = await canaryOf({ storage, root, canary });
  const staging = join(root, '.chunkferry');
  for (const target of ['new', 'secret']) {
    // What an earlier attempt leaves, by the names that it really has.
    const left = await storage.openSink(target, offerOf(chunkBytes), false);
    await writeChunks(left, bytesOf(chunkBytes));
    await left.close();
    for (const name of await readdir(staging)) {
      if (!/\.(data|journal)$/.test(name)) continue;
      await rm(join(staging, name));
      await symlink(join(canary, target), join(staging, name));
    }
    const sink = await storage.openSink(target, offerOf(chunkBytes), false).catch(() => undefined);
    if (sink !== undefined) {
      await writeChunks(sink, bytesOf(chunkBytes));
      await sink.discard();
    }
    t.deepEqual(await canaryOf({ storage, root, canary }), before, target);
  }
});

test('a link as a parent is refused by every method', async (t) => {
  const { storage, ...rest } = await scene(t);
  const before = await canaryOf({ storage, ...rest });
  await put(t, storage, smallFile('mine', 'x'));
  const runs = [
    () => storage.stat('out/secret'),
    () => listed(storage, 'out'),
    () => listed(storage, 'out/sub'),
    () => storage.mkdir('out/new', false),
    () => storage.mkdir('out/new', true),
    () => storage.remove('out/secret', false),
    () => storage.remove('out/sub', true),
    () => storage.rename('out/secret', 'stolen'),
    () => storage.rename('mine', 'out/mine'),
    () => storage.openSource('out/secret'),
    () => storage.openSink('out/secret', offerOf(1), false),
    () => storage.touch('out/secret', { mtimeNs: 0n, mode: 0o777 }),
  ];
  for (const [index, run] of runs.entries()) t.is(await failureOf(run), 'permission', `${index}`);
  const [stored, folder] = await storage.putSmall('out', [
    smallFile('x', '1'),
    folderEntry('sub', 0o777),
  ]);
  t.is(stored?.failure, 'permission');
  t.is(folder?.failure, 'permission');
  const [read] = await storage.readSmall('', ['out/secret']);
  t.true(read instanceof TransferError && read.failure === 'permission');
  t.deepEqual(await storage.examine('out', [fileEntry('secret', 6)], defaultPolicy), ['refused']);
  t.deepEqual(await canaryOf({ storage, ...rest }), before);
});

test('a link as a leaf is listed, replaced or removed itself, and never opened', async (t) => {
  const all = await scene(t);
  const { storage, root } = all;
  const before = await canaryOf(all);
  const kinds = (await listed(storage)).map(({ kind, size }) => [kind, size]);
  t.deepEqual(kinds, [
    ['link', 0],
    ['link', 0],
    ['link', 0],
  ]);
  t.is((await storage.stat('leaf')).kind, 'link');
  t.is(await failureOf(() => storage.openSource('leaf')), 'permission');
  t.is(await failureOf(() => storage.touch('leaf', { mtimeNs: 0n, mode: 0 })), 'permission');
  const [read] = await storage.readSmall('', ['leaf']);
  t.true(read instanceof TransferError && read.failure === 'permission');
  const [asFolder] = await storage.putSmall('', [folderEntry('out', 0o777)]);
  t.is(asFolder?.failure, 'permission');

  await put(t, storage, smallFile('leaf', 'mine now'));
  t.is(await readFile(join(root, 'leaf'), 'utf8'), 'mine now');
  const sink = await storage.openSink('dangling', offerOf(0), false);
  await sink.commit({ size: 0, mtimeNs: 0n, mode: 0o600 });
  t.is((await storage.stat('dangling')).kind, 'file');
  await storage.rename('out', 'renamed');
  t.is((await storage.stat('renamed')).kind, 'link');
  await storage.remove('renamed', true);
  t.deepEqual(pathsOf(await listed(storage)), ['dangling', 'leaf']);
  t.deepEqual(await canaryOf(all), before);
});

test('a recursive removal takes links, not what they lead to', async (t) => {
  const all = await scene(t);
  const before = await canaryOf(all);
  await mkdir(join(all.root, 'tree/deep'), { recursive: true });
  await symlink(all.canary, join(all.root, 'tree/deep/out'));
  await mkdir(join(all.root, 'tree/.chunkferry'));
  await all.storage.remove('tree', true);
  t.is(await failureOf(() => all.storage.stat('tree')), 'not-found');
  t.deepEqual(await canaryOf(all), before);
});

test('a staging folder that is a link is refused', async (t) => {
  const { storage, root, canary } = await scene(t);
  await symlink(canary, join(root, '.chunkferry'));
  const [stored] = await storage.putSmall('', [smallFile('x', '1')]);
  t.is(stored?.failure, 'permission');
  t.is(await failureOf(() => storage.openSink('x', offerOf(1), false)), 'permission');
  t.deepEqual(await readdir(canary), ['secret', 'sub']);
});

test('what lies in the place of a partial is not written into, whatever it is', async (t) => {
  const all = await scene(t);
  const { storage, root, canary } = all;
  const before = await canaryOf(all);
  const content = bytesOf(3 * chunkBytes);
  await mkdir(join(root, '.chunkferry'));
  const key = partialKey('x');
  for (const name of [dataName(key), journalName(key)]) {
    await link(join(canary, 'secret'), join(root, '.chunkferry', name));
  }
  const pipe = join(root, '.chunkferry', dataName(partialKey('y')));
  await makePipe(pipe);
  for (const path of ['x', 'y']) {
    const sink = await storage.openSink(path, offerOf(content.length), false);
    await writeChunks(sink, content);
    await sink.commit({ size: content.length, mtimeNs: 0n, mode: 0o777 });
    sameBytes(t, await contentOf(storage, path), content);
  }
  t.deepEqual(await canaryOf(all), before);
});

test('a copy of a share that shares its files keeps what it had of a partial', async (t) => {
  const { storage, root, canary } = await scene(t);
  const content = bytesOf(3 * chunkBytes);
  let sink = await storage.openSink('x', offerOf(content.length), false);
  await writeChunks(sink, content, { to: 1 });
  await sink.close();
  const data = dataName(partialKey('x'));
  await link(join(root, '.chunkferry', data), join(canary, 'copy'));
  sink = await storage.openSink('x', offerOf(content.length), false);
  await writeChunks(sink, content);
  await sink.commit({ size: content.length, mtimeNs: 0n, mode: 0o600 });
  sameBytes(t, await contentOf(storage, 'x'), content);
  sameBytes(t, await readFile(join(canary, 'copy')), content.subarray(0, chunkBytes));
});

test('the root itself may be reached by a link', async (t) => {
  const { root } = await scene(t);
  await symlink(root, `${root}-link`);
  const storage = await openStorage(t, { root: `${root}-link`, durability: 'none' });
  await put(t, storage, smallFile('x', '1'));
  t.is(await readFile(join(root, 'x'), 'utf8'), '1');
});

test('a pipe blocks nobody and is not a regular file', async (t) => {
  const { storage, root } = await scene(t);
  await makePipe(join(root, 'pipe'));
  t.is((await storage.stat('pipe')).kind, 'other');
  t.is(await failureOf(() => storage.openSource('pipe')), 'wrong-kind');
  const [read] = await storage.readSmall('', ['pipe']);
  t.true(read instanceof TransferError && read.failure === 'wrong-kind');
});

test('names that are not UTF-8 are listed as unreadable, escaped, and can be removed', async (t) => {
  const { storage, root } = await scene(t);
  const base = Buffer.from(join(root, 'd'));
  await mkdir(base);
  await writeFile(Buffer.concat([base, Buffer.from('/caf\xe9', 'latin1')]), 'x');
  await mkdir(Buffer.concat([base, Buffer.from('/\xff\xfe', 'latin1')]));
  await writeFile(Buffer.concat([base, Buffer.from('/\xff\xfe/inner', 'latin1')]), 'x');
  await mkdir(join(root, 'd/.chunkferry'));
  const entries = await listed(storage, 'd');
  t.deepEqual(pathsOf(entries), ['\\xff\\xfe', 'caf\\xe9']);
  t.true(entries.every(({ kind }) => kind === 'unreadable'));
  await storage.remove('d', true);
  t.is(await failureOf(() => storage.stat('d')), 'not-found');
});

test('error messages name the wire path and nothing above it', async (t) => {
  const { storage, root } = await scene(t);
  const runs = [
    () => storage.stat('a/b'),
    () => storage.openSource('leaf'),
    () => storage.mkdir('out/x', true),
    () => listed(storage, 'nothing\n'),
  ];
  for (const run of runs) {
    const error = await t.throwsAsync(run, { instanceOf: TransferError });
    t.false(error?.message.includes(root));
    t.false(error?.message.includes('/proc'));
    t.false(error?.message.includes('\n'));
  }
});

const flipper = `
const { renameSync, rmSync, workerData } = { ...require('node:fs'), ...require('node:worker_threads') };
const [flip, folder, link] = workerData.paths;
const stop = new Int32Array(workerData.stop);
// The storage makes the folder anew when it is missing: then that one gives way.
const move = (from, to) => {
  for (;;) {
    try {
      return renameSync(from, to);
    } catch {}
    try {
      rmSync(to, { recursive: true, force: true });
    } catch {}
  }
};
while (Atomics.load(stop, 0) === 0) {
  move(flip, folder);
  move(link, flip);
  move(flip, link);
  move(folder, flip);
}`;

test('someone who flips a folder and a link gets nothing out of it', async (t) => {
  const folder = await newFolder(t);
  const [root, canary] = [join(folder, 'root'), join(folder, 'canary')];
  await mkdir(join(root, 'flip'), { recursive: true });
  await mkdir(canary);
  await writeFile(join(canary, 'inside'), 'secret');
  await symlink(canary, join(folder, 'link'));
  const storage = await openStorage(t, { root, durability: 'none' });
  const stop = new SharedArrayBuffer(4);
  const paths = [join(root, 'flip'), join(folder, 'aside'), join(folder, 'link')];
  const worker = new Worker(flipper, { eval: true, workerData: { paths, stop } });
  let naiveWasFooled = false;
  const [leastMs, mostMs] = [1_000, 30_000];
  const startedAtMs = Date.now();
  const passedMs = (): number => Date.now() - startedAtMs;
  while (passedMs() < leastMs || (!naiveWasFooled && passedMs() < mostMs)) {
    await storage.putSmall('flip', [smallFile('inside', 'mine'), smallFile('other', 'mine')]);
    const [read] = await storage.readSmall('flip', ['inside']);
    if (!(read instanceof TransferError)) t.is(Buffer.from(read?.content ?? []).toString(), 'mine');
    await failureOf(() => storage.remove('flip/inside', false));
    // The control: whoever opens by path is led out.
    naiveWasFooled ||=
      (await readFile(join(root, 'flip/inside'), 'utf8').catch(() => '')) === 'secret';
  }
  Atomics.store(new Int32Array(stop), 0, 1);
  await new Promise((resolve) => worker.once('exit', resolve));
  t.true(naiveWasFooled);
  t.deepEqual(await readdir(canary), ['inside']);
  t.is(await readFile(join(canary, 'inside'), 'utf8'), 'secret');
});

test('a folder that may not be read is an unreadable entry', async (t) => {
  if (process.getuid?.() === 0) {
    t.pass('root may read everything');
    return;
  }
  const { storage, root } = await scene(t);
  await mkdir(join(root, 'closed'), { mode: 0 });
  const entries = (await listed(storage)).filter(({ path }) => path === 'closed');
  t.deepEqual(
    entries.map(({ kind }) => kind),
    ['directory', 'unreadable'],
  );
  await chmod(join(root, 'closed'), 0o700);
});
