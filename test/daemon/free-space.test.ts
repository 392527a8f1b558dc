import test from 'ava';
import { FreeSpace, keepFree } from '../../daemon/free-space.ts';
import { TransferError } from '../../protocol/errors.ts';
import { MemoryStorage } from '../../transfer/memory-storage.ts';
import type { Room, Storage } from '../../transfer/storage.ts';
import { wrap } from '../../transfer/wrap.ts';
import { smallFile } from '../transfer/helpers/files.ts';

const on = (room: Room | undefined) => ({ room: () => Promise.resolve(room) });

test('what would go into the space that is kept free is refused by name', async (t) => {
  const space = new FreeSpace(on({ freeBytes: 500, totalBytes: 4_000 }), { freeBytes: 400 });
  await t.notThrowsAsync(space.take(100));
  const error = await t.throwsAsync(space.take(101), { instanceOf: TransferError });
  t.is(error?.failure, 'no-space');
  t.regex(error?.message ?? '', /\(freeBytes\)/);
});

test('of a small disk a tenth is kept free', async (t) => {
  const space = new FreeSpace(on({ freeBytes: 500, totalBytes: 1_000 }), { freeBytes: 1e9 });
  await t.notThrowsAsync(space.take(400));
  await t.throwsAsync(space.take(401), { instanceOf: TransferError });
});

test('where it cannot be told, the disk itself says when it is full', async (t) => {
  const space = new FreeSpace(on(undefined), { freeBytes: 10 });
  await t.notThrowsAsync(space.take(2 ** 50));
});

test('small files, partials and scratches are held to it', async (t) => {
  const full = wrap<Storage>(new MemoryStorage(), on({ freeBytes: 10, totalBytes: 1_000 }));
  const storage = keepFree(full, { freeBytes: 10 });
  const refused = { instanceOf: TransferError, message: /freeBytes/ };
  await t.throwsAsync(storage.putSmall('', [smallFile('a', 'x')]), refused);
  const scratch = await storage.openScratch(1024);
  await t.throwsAsync(scratch.write(0, [new Uint8Array(1024)], [0n]), refused);
  await scratch.close();
});
