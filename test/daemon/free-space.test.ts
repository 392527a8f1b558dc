import { mkdtempSync, rmSync } from 'node:fs';
import { statfs } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import test from 'ava';
import { FreeSpace, keepFree } from '../../daemon/free-space.ts';
import { TransferError } from '../../protocol/errors.ts';
import { MemoryStorage } from '../../transfer/memory-storage.ts';
import { smallFile } from '../transfer/helpers/files.ts';

test('what would go into the space that is kept free is refused by name', async (t) => {
  const folder = mkdtempSync(path.join(tmpdir(), 'chunkferry-free-'));
  t.teardown(() => rmSync(folder, { recursive: true }));
  const { blocks, bavail, bsize } = await statfs(folder);
  const space = new FreeSpace(folder, { freeBytes: Number.MAX_SAFE_INTEGER });
  // Others use the disk, too: what stays free is a tenth, what is left is about the rest.
  const leftBytes = bavail * bsize - (blocks * bsize) / 10;
  await (leftBytes > 2 ** 20 ? t.notThrowsAsync(space.take(2 ** 10)) : Promise.resolve());
  const error = await t.throwsAsync(space.take(bavail * bsize + 1), { instanceOf: TransferError });
  t.is(error?.failure, 'no-space');
  t.regex(error?.message ?? '', /\(freeBytes\)/);
});

test('where it cannot be told, the disk itself says when it is full', async (t) => {
  const space = new FreeSpace('/nowhere/at all', { freeBytes: 10 });
  await t.notThrowsAsync(space.take(2 ** 50));
});

test('a storage refuses content, and only that', async (t) => {
  const whole = new MemoryStorage();
  const storage = keepFree(whole, tmpdir(), { freeBytes: 1 });
  const [failure] = await storage.putSmall('', [smallFile('a', 'x')]);
  t.is(failure, undefined);
});
