import { closeSync, fstatSync, mkdtempSync, openSync, rmSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import test, { type ExecutionContext } from 'ava';
import { ext4 } from '../../../transfer/local/file-systems.ts';
import { Directory } from '../../../transfer/local/folder.ts';
import { type Libc, loadLibc, useLibc } from '../../../transfer/local/libc.ts';
import { SyncLane } from '../../../transfer/local/sync-lane.ts';
import { quickFolder } from '../../system/helpers/wait.ts';

/** No process has so many. */
const notOpen = 2 ** 30;

for (const [where, parent] of [
  ['on a disk', tmpdir()],
  ['in memory', quickFolder],
] as const) {
  test.serial(
    `what fails to sync or to close is told, and the next ones are synced: ${where}`,
    async (t) => {
      const path = mkdtempSync(`${parent}/chunkferry-`);
      const root = new Directory(openSync(path, 'r'), path);
      t.teardown(() => {
        closeSync(root.fd);
        rmSync(path, { recursive: true });
      });
      const opened = ['a', 'b', 'c'].map((name) => openSync(`${path}/${name}`, 'w'));
      const [first, last, next] = opened as [number, number, number];
      const lane = new SyncLane(root, () => root);
      t.deepEqual(await lane.syncContents([], false), []);
      const codes = (failures: readonly (Error | undefined)[]): unknown[] =>
        failures.map((failure) =>
          failure === undefined ? undefined : Reflect.get(failure, 'code'),
        );
      t.deepEqual(codes(await lane.syncContents([first, notOpen], false)), [undefined, 'EBADF']);
      t.deepEqual(codes(await lane.syncContents([notOpen, last], true)), ['EBADF', undefined]);
      t.deepEqual(codes(await lane.syncNames([next])), [undefined]);
      for (const fd of [first, last, next]) t.throws(() => fstatSync(fd), { code: 'EBADF' });
    },
  );
}

const libc = loadLibc();
/** Whatever the folder of the tests lies on. */
const testAsOnExt4 = libc === undefined ? test.serial.skip : test.serial;

interface Fake {
  /** What a sync of the whole file system does; by default as ever. */
  readonly sync?: (own: Libc, fd: number) => Promise<boolean>;
  /** What becomes of the folder whose mode is set. */
  readonly ownFolder?: (root: Directory) => Directory;
}

interface Stage {
  readonly lane: SyncLane;
  /** Writes new files that have their place. */
  readonly open: (count: number) => number[];
  /** Syncs of the whole file system so far. */
  readonly wholes: () => number;
}

function stage(t: ExecutionContext, { sync, ownFolder }: Fake = {}): Stage {
  const path = mkdtempSync(`${tmpdir()}/chunkferry-`);
  const root = new Directory(openSync(path, 'r'), path);
  const own = libc as Libc;
  let wholes = 0;
  useLibc({
    ...own,
    async syncFileSystem(fd) {
      wholes += 1;
      return await (sync === undefined ? own.syncFileSystem(fd) : sync(own, fd));
    },
  });
  t.teardown(() => {
    useLibc(libc);
    closeSync(root.fd);
    rmSync(path, { recursive: true });
  });
  const lane = new SyncLane(root, () => ownFolder?.(root) ?? root, ext4);
  let last = 0;
  const open = (count: number): number[] =>
    Array.from({ length: count }, () => {
      last += 1;
      const fd = openSync(`${path}/${last}`, 'w');
      t.true(lane.reserve(fd, 7));
      writeSync(fd, 'content');
      return fd;
    });
  return { lane, open, wholes: () => wholes };
}

const none = (count: number): undefined[] => Array.from({ length: count }, () => undefined);

testAsOnExt4(
  'of many files on ext4 their whole file system is synced, of few each one',
  async (t) => {
    const { lane, open, wholes } = stage(t);
    // Whoever else writes much at that moment has each file synced.
    for (let attempt = 0; attempt < 100 && wholes() === 0; attempt += 1) {
      const many = open(100);
      t.deepEqual(await lane.syncContents(many, true), none(100));
      for (const fd of many) t.throws(() => fstatSync(fd), { code: 'EBADF' });
      if (wholes() === 0) await new Promise((resolve) => setTimeout(resolve, 100));
    }
    t.is(wholes(), 1);
    t.deepEqual(await lane.syncContents(open(10), true), none(10));
    t.deepEqual(await lane.syncContents(open(100), false), none(100), 'not all have their place');
    t.deepEqual(await lane.syncNames(open(100)), none(100), 'folders are asked each');
    t.is(wholes(), 1);
  },
);

testAsOnExt4(
  'when the file system could not be synced, each file is asked from then on',
  async (t) => {
    const { lane, open, wholes } = stage(t, { sync: async () => false });
    for (let attempt = 0; attempt < 100 && wholes() === 0; attempt += 1) {
      const fds = open(50);
      const failures = await lane.syncContents(
        [...fds.slice(0, 30), notOpen, ...fds.slice(30)],
        true,
      );
      t.is(
        failures.filter((failure) => failure !== undefined).length,
        1,
        'only the one that fails',
      );
      t.true(failures[30] instanceof Error);
      for (const fd of fds) t.throws(() => fstatSync(fd), { code: 'EBADF' });
      if (wholes() === 0) await new Promise((resolve) => setTimeout(resolve, 100));
    }
    t.deepEqual(await lane.syncContents(open(50), true), none(50));
    t.is(wholes(), 1);
  },
);

testAsOnExt4(
  'what the last file tells after the sync of the whole concerns them all',
  async (t) => {
    const { lane, open, wholes } = stage(t, { sync: async () => true });
    let failures: (Error | undefined)[] = [];
    for (let attempt = 0; attempt < 100 && wholes() === 0; attempt += 1) {
      const fds = open(50);
      failures = await lane.syncContents([...fds, notOpen], true);
      for (const fd of fds) t.throws(() => fstatSync(fd), { code: 'EBADF' });
      if (wholes() === 0) await new Promise((resolve) => setTimeout(resolve, 100));
    }
    t.is(failures.length, 51);
    t.true(failures.every((failure) => failure instanceof Error));
    t.deepEqual(await lane.syncContents(open(50), true), none(50));
    t.is(wholes(), 1);
  },
);

testAsOnExt4('a file system that accepts no change any more has synced no name', async (t) => {
  const gone = (root: Directory): Directory => {
    throw Object.assign(new Error(`EROFS: ${root.base}`), { code: 'EROFS', syscall: 'fchmod' });
  };
  const { lane, open } = stage(t, { ownFolder: gone });
  const failures = await lane.syncNames(open(3));
  t.is(failures.length, 3);
  t.true(failures.every((failure) => failure instanceof Error));
  t.deepEqual(await lane.syncNames([]), []);
});

testAsOnExt4('a file that finds no place on the disk is told of at once', (t) => {
  const { lane } = stage(t);
  t.throws(() => lane.reserve(notOpen, 1), { code: 'EBADF' });
});
