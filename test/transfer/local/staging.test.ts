/** Locks, what is left behind, and what is cleaned up. */
import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { lstat, mkdir, open, readdir, rmdir, stat, utimes, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import type { FerryError } from '../../../protocol/errors.ts';
import { openLocalStorage } from '../../../transfer/local/local-storage.ts';
import { lockFolder, removeDeadLock } from '../../../transfer/local/lock.ts';
import {
  bytesOf,
  failureOf,
  listed,
  offerOf,
  put,
  smallFile,
  writeChunks,
} from '../helpers/stored-files.ts';
import { newFolder, openStorage, reopenStorage } from './folder-fixture.ts';

const held = 'It is held.';
const lockModule = new URL('../../../transfer/local/lock.js', import.meta.url);

/** A process that holds the lock `name` until it is killed. */
async function lockInChild(t: ExecutionContext, folder: string): Promise<ChildProcess> {
  const program = `
    const { lockFolder } = await import(${JSON.stringify(lockModule.href)});
    await lockFolder(${JSON.stringify(folder)}, 'lock', '');
    console.log('locked');
    setInterval(() => {}, 1000);`;
  const child = spawn(process.execPath, ['--input-type=module', '-e', program], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  t.teardown(() => child.kill('SIGKILL'));
  await new Promise((resolve) => child.stdout?.once('data', resolve));
  return child;
}

test('a lock is held once, and free again after its release', async (t) => {
  const folder = await newFolder(t);
  const lock = await lockFolder(folder, 'lock', held);
  t.is(await failureOf(() => lockFolder(folder, 'lock', held)), 'lock-held');
  const other = await lockFolder(folder, 'other', held);
  await other.release();
  await lock.release();
  t.deepEqual(await readdir(folder), []);
  await (await lockFolder(folder, 'lock', held)).release();
});

test('a folder that was removed meanwhile is missing, not forbidden', async (t) => {
  const folder = join(await newFolder(t), 'removed');
  await mkdir(folder);
  const handle = await open(folder);
  t.teardown(() => handle.close());
  await rmdir(folder);
  const path = `/proc/self/fd/${handle.fd}`;
  const expected = existsSync('/proc/self/fd') ? 'not-found' : undefined;
  if (expected !== undefined) t.is(await failureOf(() => lockFolder(path, 'lock', held)), expected);
  else t.pass();
});

test('of many who want it at once, one gets the lock', async (t) => {
  const folder = await newFolder(t);
  const settled = await Promise.allSettled(
    Array.from({ length: 20 }, () => lockFolder(folder, 'lock', held)),
  );
  const locks = settled.filter(({ status }) => status === 'fulfilled');
  t.is(locks.length, 1);
  for (const one of settled) if (one.status === 'fulfilled') await one.value.release();
  t.deepEqual(await readdir(folder), []);
});

test('who asks while a lock is let go hears that it is held, or gets it', async (t) => {
  const folder = await newFolder(t);
  let holding = 0;
  const takeAndLetGo = async (): Promise<void> => {
    for (let taken = 0; taken < 40; ) {
      try {
        const lock = await lockFolder(folder, 'lock', held);
        holding += 1;
        // Long enough for another one to be let in by mistake.
        await new Promise((resolve) => setTimeout(resolve, 2));
        t.is(holding, 1);
        holding -= 1;
        await lock.release();
        taken += 1;
      } catch (error) {
        t.is((error as FerryError).failure, 'lock-held');
      }
    }
  };
  await Promise.all(Array.from({ length: 8 }, takeAndLetGo));
  t.deepEqual(await readdir(folder), []);
});

test('a lock dies with its process, and of many who find it dead one gets it', async (t) => {
  const folder = await newFolder(t);
  const child = await lockInChild(t, folder);
  t.is(await failureOf(() => lockFolder(folder, 'lock', held)), 'lock-held');
  const dead = new Promise((resolve) => child.once('exit', resolve));
  child.kill('SIGKILL');
  await dead;
  t.true((await lstat(join(folder, 'lock'))).isSocket());
  const settled = await Promise.allSettled(
    Array.from({ length: 20 }, () => lockFolder(folder, 'lock', held)),
  );
  t.is(settled.filter(({ status }) => status === 'fulfilled').length, 1);
  for (const one of settled) if (one.status === 'fulfilled') await one.value.release();
});

test('a folder is served by one storage with a lock', async (t) => {
  const root = await newFolder(t);
  const storage = await openStorage(t, { root, lock: true });
  t.is(await failureOf(() => openLocalStorage({ root, lock: true })), 'lock-held');
  await storage.close();
  await openStorage(t, { root, lock: true });
});

test('who tidies up takes nobody the lock that is free again', async (t) => {
  const root = await newFolder(t);
  const mine = await openStorage(t, { root });
  // So that the folder itself stays.
  const other = await mine.openSink('other', offerOf(1), false);
  let isOver = false;
  const tidying = Promise.all(
    Array.from({ length: 4 }, async () => {
      while (!isOver) {
        await (await openLocalStorage({ root })).close();
        // What a storage does in its own thread leaves no turn to anybody else.
        await new Promise(setImmediate);
      }
    }),
  );
  try {
    for (let round = 0; round < 300; round += 1) {
      const sink = await mine.openSink('f', offerOf(1), false);
      await sink.discard();
    }
  } finally {
    isOver = true;
    await tidying;
    await other.discard();
  }
  t.pass();
});

test('a dead lock is removed while someone comes to take it over', async (t) => {
  const folder = await newFolder(t);
  for (let round = 0; round < 3; round += 1) {
    const child = await lockInChild(t, folder);
    await removeDeadLock(folder, 'lock');
    t.is(await failureOf(() => lockFolder(folder, 'lock', held)), 'lock-held');
    const dead = new Promise((resolve) => child.once('exit', resolve));
    child.kill('SIGKILL');
    await dead;
    const tidying = Array.from({ length: 8 }, () => removeDeadLock(folder, 'lock'));
    const lock = await lockFolder(folder, 'lock', held);
    await Promise.all(tidying);
    t.is(await failureOf(() => lockFolder(folder, 'lock', held)), 'lock-held');
    await lock.release();
    await removeDeadLock(folder, 'lock');
    t.deepEqual(await readdir(folder), []);
  }
});

test('without the lock of the folder, each partial is locked by itself', async (t) => {
  const root = await newFolder(t);
  const first = await openStorage(t, { root });
  const second = await openStorage(t, { root });
  const sink = await first.openSink('f', offerOf(1), false);
  t.is(await failureOf(() => second.openSink('f', offerOf(1), false)), 'lock-held');
  const other = await second.openSink('g', offerOf(1), false);
  await other.discard();
  await sink.close();
  const taken = await second.openSink('f', offerOf(1), false);
  await taken.discard();
  await first.close();
  await put(t, second, smallFile('still', 'works'));
  await second.close();
  t.deepEqual(await readdir(root), ['still']);
});

test('staging stays while a partial is in it, and is private', async (t) => {
  const root = await newFolder(t);
  const storage = await openStorage(t, { root });
  const sink = await storage.openSink('f', offerOf(bytesOf(10).byteLength), false);
  await writeChunks(sink, bytesOf(10));
  await sink.close();
  await storage.close();
  t.deepEqual(await readdir(root), ['.chunkferry']);
  t.is((await stat(join(root, '.chunkferry'))).mode & 0o777, 0o700);
  t.is((await readdir(join(root, '.chunkferry'))).length, 2);
});

/** Staging with abandoned files, each by its name and age. */
async function abandon(root: string, files: Record<string, number>): Promise<string> {
  const staging = join(root, '.chunkferry');
  await mkdir(staging, { mode: 0o700 });
  for (const [name, ageMs] of Object.entries(files)) {
    await writeFile(join(staging, name), 'x');
    const time = new Date(Date.now() - ageMs);
    await utimes(join(staging, name), time, time);
  }
  return staging;
}

const hourMs = 3_600_000;
const files = {
  'new.tmp': 0,
  'old.tmp': 25 * hourMs,
  'new.data': hourMs,
  'new.journal': hourMs,
  'old.data': 8 * 24 * hourMs,
  'old.journal': 8 * 24 * hourMs,
};

test('opening with the lock deletes every abandoned small file and old partials', async (t) => {
  const root = await newFolder(t);
  const staging = await abandon(root, files);
  await openStorage(t, { root, lock: true });
  t.deepEqual((await readdir(staging)).sort(), ['lock', 'new.data', 'new.journal']);
});

test('opening without the lock leaves small files that may be under way', async (t) => {
  const root = await newFolder(t);
  const staging = await abandon(root, files);
  await openStorage(t, { root });
  t.deepEqual((await readdir(staging)).sort(), ['new.data', 'new.journal', 'new.tmp']);
});

test('a read-only storage refuses changes and leaves no trace', async (t) => {
  const root = await newFolder(t);
  await writeFile(join(root, 'f'), 'content');
  const storage = await openStorage(t, { root, readOnly: true, lock: true });
  const runs = [
    () => storage.mkdir('d', false),
    () => storage.remove('f', false),
    () => storage.rename('f', 'g'),
    () => storage.openSink('f', offerOf(1), false),
    () => storage.touch('f', { mtimeNs: 0n, mode: 0 }),
    () =>
      storage.examine('', [], {
        overwrite: 'always',
        checksum: false,
        delta: false,
        fresh: false,
        modifyWindowNs: 0,
      }),
    () => storage.putSmall('', [smallFile('x', 'x')]),
  ];
  for (const run of runs) t.is(await failureOf(run), 'permission');
  t.is((await listed(storage)).length, 1);
  await (await storage.openSource('f')).close();
  await storage.close();
  t.deepEqual(await readdir(root), ['f']);
});

test('a root that cannot be opened is named as the user named it', async (t) => {
  const root = await newFolder(t);
  await writeFile(join(root, 'f'), '');
  for (const executor of ['inline', 'worker'] as const) {
    const missing = await t.throwsAsync(openLocalStorage({ root: join(root, 'none'), executor }));
    t.is(missing?.message, `"${join(root, 'none')}" does not exist.`);
    t.is(
      await failureOf(() => openLocalStorage({ root: join(root, 'f'), executor })),
      'wrong-kind',
    );
  }
});

test('a storage thread that has stopped says so', async (t) => {
  const root = await newFolder(t);
  const storage = await openStorage(t, { root, executor: 'worker' });
  await storage.close();
  t.is(await failureOf(() => storage.stat('')), 'internal');
});

test('a partial that a kill caught with the time of its source is not taken for an old one', async (t) => {
  const folder = await newFolder(t);
  const storage = await openStorage(t, { root: folder });
  const content = bytesOf(200_000);
  const sink = await storage.openSink('file', offerOf(content.length), false);
  await writeChunks(sink, content, { to: 2 });
  await sink.close();
  const staging = join(folder, '.chunkferry');
  const data = (await readdir(staging)).find((name) => name.endsWith('.data')) ?? '';
  await utimes(join(staging, data), 1_000_000, 1_000_000);
  const again = await reopenStorage(t, storage);
  const resumed = await again.openSink('file', offerOf(content.length), false);
  t.deepEqual([...resumed.ledger.held], [{ start: 0, end: 2 }]);
  await resumed.close();
});
