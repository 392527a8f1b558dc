import { closeSync, fstatSync, mkdtempSync, openSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import test, { type ExecutionContext } from 'ava';
import { Directory } from '../../../transfer/local/folder.ts';
import { type Libc, loadLibc, useLibc } from '../../../transfer/local/libc.ts';
import { ext4, SyncLane } from '../../../transfer/local/sync-lane.ts';
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
      const lane = new SyncLane(root);
      t.deepEqual(await lane.sync([]), []);
      const codes = (failures: readonly (Error | undefined)[]): unknown[] =>
        failures.map((failure) =>
          failure === undefined ? undefined : Reflect.get(failure, 'code'),
        );
      t.deepEqual(codes(await lane.sync([first, notOpen])), [undefined, 'EBADF']);
      t.deepEqual(codes(await lane.sync([notOpen, last])), ['EBADF', undefined]);
      t.deepEqual(codes(await lane.sync([next])), [undefined]);
      for (const fd of [first, last, next]) t.throws(() => fstatSync(fd), { code: 'EBADF' });
    },
  );
}

const libc = loadLibc();
/** Whatever the folder of the tests lies on. */
const testAsOnExt4 = libc === undefined ? test.serial.skip : test.serial;

/** A lane in a new folder on the disk, whose syncs of the file system go through `sync`. */
function laneWith(
  t: ExecutionContext,
  sync: (own: Libc, fd: number) => Promise<boolean>,
): { lane: SyncLane; open: (count: number) => number[] } {
  const path = mkdtempSync(`${tmpdir()}/chunkferry-`);
  const root = new Directory(openSync(path, 'r'), path);
  const own = libc as Libc;
  useLibc({ ...own, syncFileSystem: (fd) => sync(own, fd) });
  t.teardown(() => {
    useLibc(libc);
    closeSync(root.fd);
    rmSync(path, { recursive: true });
  });
  let last = 0;
  const open = (count: number): number[] =>
    Array.from({ length: count }, () => {
      last += 1;
      return openSync(`${path}/${last}`, 'w');
    });
  return { lane: new SyncLane(root, ext4), open };
}

const none = (count: number): undefined[] => Array.from({ length: count }, () => undefined);

testAsOnExt4(
  'of many files on ext4 their whole file system is synced, of few each one',
  async (t) => {
    let wholes = 0;
    const { lane, open } = laneWith(t, async (own, fd) => {
      wholes += 1;
      return await own.syncFileSystem(fd);
    });
    t.true(lane.placesOnClose(10));
    t.false(lane.placesOnClose(100));
    const many = open(100);
    t.deepEqual(await lane.sync(many), none(100));
    t.is(wholes, 1);
    for (const fd of many) t.throws(() => fstatSync(fd), { code: 'EBADF' });
    t.deepEqual(await lane.sync(open(10)), none(10));
    t.is(wholes, 1);
  },
);

testAsOnExt4(
  'when the file system could not be synced, each file is asked from then on',
  async (t) => {
    let wholes = 0;
    const { lane, open } = laneWith(t, async () => {
      wholes += 1;
      return false;
    });
    const fds = open(50);
    const failures = await lane.sync([...fds.slice(0, 30), notOpen, ...fds.slice(30)]);
    t.is(failures.filter((failure) => failure !== undefined).length, 1, 'only the one that fails');
    t.true(failures[30] instanceof Error);
    for (const fd of fds) t.throws(() => fstatSync(fd), { code: 'EBADF' });
    t.deepEqual(await lane.sync(open(50)), none(50));
    t.is(wholes, 1);
    t.true(lane.placesOnClose(100));
  },
);

testAsOnExt4(
  'a file that tells of a broken file system is believed more than its sync',
  async (t) => {
    const { lane, open } = laneWith(t, async () => true);
    const fds = open(50);
    const failures = await lane.sync([...fds, notOpen]);
    t.is(failures.length, 51);
    t.true(failures[50] instanceof Error);
    t.deepEqual(failures.slice(0, 50), none(50));
    t.true(lane.placesOnClose(100));
  },
);

testAsOnExt4('where the whole takes long, each file is synced for a while', async (t) => {
  let wholes = 0;
  const { lane, open } = laneWith(t, async () => {
    wholes += 1;
    await new Promise((resolve) => setTimeout(resolve, 300));
    return true;
  });
  await lane.sync(open(40));
  for (let batch = 0; batch < 32; batch += 1) {
    t.true(lane.placesOnClose(100));
    await lane.sync(open(1));
  }
  t.is(wholes, 1);
  t.false(lane.placesOnClose(100));
  await lane.sync(open(40));
  t.is(wholes, 2);
});
