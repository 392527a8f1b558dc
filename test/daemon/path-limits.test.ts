import test from 'ava';
import { defaultLimits } from '../../daemon/limits.ts';
import { limitPaths } from '../../daemon/path-limits.ts';
import { TransferError } from '../../protocol/errors.ts';
import { defaultPolicy } from '../../protocol/frames/transfer.ts';
import { MemoryStorage } from '../../transfer/memory-storage.ts';
import { whyRefused } from '../../transfer/refusal.ts';
import { smallFile } from '../transfer/helpers/files.ts';

test('what is as long or deep as allowed passes, the next is refused by name', async (t) => {
  const storage = limitPaths(new MemoryStorage(), { pathBytes: 12, pathDepth: 3 });
  await storage.mkdir('a/b/c', true);
  await storage.mkdir('123456789012', false);
  for (const [path, name] of [
    ['a/b/c/d', 'pathDepth'],
    ['1234567890123', 'pathBytes'],
    ['ééééééé', 'pathBytes'],
  ] as const) {
    for (const work of [
      storage.mkdir(path, true),
      storage.stat(path),
      storage.openSource(path),
      storage.remove(path, false),
      storage.rename('a', path),
      storage.list(path, { recursive: false, contentTypes: false })[Symbol.asyncIterator]().next(),
    ]) {
      const error = await t.throwsAsync(work, { instanceOf: TransferError });
      t.is(error?.failure, 'limit');
      t.true(error?.message.includes(`(${name})`), error?.message);
    }
  }
});

test('of a page only what goes beyond is refused', async (t) => {
  const storage = limitPaths(new MemoryStorage(), { pathBytes: 100, pathDepth: 2 });
  const files = [smallFile('a', 'x'), smallFile('b/c', 'y')];
  const entries = files.map(({ entry }) => entry);
  t.deepEqual(await storage.examine('base', entries, defaultPolicy), ['want', 'refused']);
  t.regex((await whyRefused(storage, 'base/b/c')).message, /pathDepth/);
  await storage.putSmall('base', files.slice(0, 1));
  const [found, refused] = await storage.readSmall('base', ['a', 'b/c']);
  t.false(found instanceof TransferError);
  t.true(refused instanceof TransferError && refused.failure === 'limit');
});

test('a limit that changes holds from then on', async (t) => {
  const changing: { pathBytes: number; pathDepth: number } = { ...defaultLimits };
  const storage = limitPaths(new MemoryStorage(), changing);
  await storage.mkdir('a/b/c', true);
  changing.pathDepth = 2;
  await t.throwsAsync(storage.stat('a/b/c'), { message: /pathDepth/ });
});
