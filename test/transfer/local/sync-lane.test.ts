import { closeSync, fstatSync, mkdtempSync, openSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import test from 'ava';
import { Directory } from '../../../transfer/local/folder.ts';
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
