import test from 'ava';
import { Shares } from '../../daemon/shares.ts';
import type { Entry } from '../../protocol/entry.ts';
import { MemoryStorage } from '../../transfer/memory-storage.ts';
import { load, smallFile } from '../transfer/helpers/files.ts';
import { failureOf } from '../transfer/helpers/outcome.ts';

async function twoShares() {
  const [music, work] = [new MemoryStorage(), new MemoryStorage({ readOnly: false })];
  await music.putSmall('', [smallFile('a/song', 'la')]);
  await work.putSmall('', [smallFile('plan', 'do')]);
  return {
    music,
    work,
    shares: new Shares(
      new Map([
        ['music', music],
        ['work', work],
      ]),
    ),
  };
}

async function listed(shares: Shares, path: string, recursive = false): Promise<string[]> {
  const entries: Entry[] = [];
  for await (const batch of shares.list(path, { recursive, contentTypes: false }))
    entries.push(...batch);
  return entries.map((entry) => `${entry.path} ${entry.kind}`).sort();
}

test('one share without a name is the root', async (t) => {
  const storage = new MemoryStorage();
  await storage.putSmall('', [smallFile('dir/file', 'x')]);
  const shares = new Shares(new Map([['', storage]]));
  t.deepEqual(shares.at('dir/file'), { storage, path: 'dir/file' });
  t.deepEqual(shares.at(''), { storage, path: '' });
  t.is((await shares.stat('dir')).kind, 'directory');
  t.deepEqual(await listed(shares, '', true), ['dir directory', 'dir/file file']);
});

test('several shares are the first component of every path', async (t) => {
  const { music, work, shares } = await twoShares();
  t.deepEqual(shares.names, ['music', 'work']);
  t.deepEqual(shares.at('music/a/song'), { storage: music, path: 'a/song' });
  t.deepEqual(shares.at('work'), { storage: work, path: '' });
  t.is((await shares.stat('music/a/song')).size, 2);
  t.is((await shares.stat('')).kind, 'directory');
  t.is((await shares.stat('music')).kind, 'directory');
});

test('the root of several shares lists them, and everything below when asked to', async (t) => {
  const { shares } = await twoShares();
  t.deepEqual(await listed(shares, ''), ['music directory', 'work directory']);
  t.deepEqual(await listed(shares, '', true), [
    'music directory',
    'music/a directory',
    'music/a/song file',
    'work directory',
    'work/plan file',
  ]);
  t.deepEqual(await listed(shares, 'music', true), ['a directory', 'a/song file']);
});

test('what lies in no share is not found, and the root takes nothing', async (t) => {
  const { shares } = await twoShares();
  t.is(await failureOf(shares.stat('video/x')), 'not-found');
  t.is(await failureOf((async () => shares.at(''))()), 'wrong-kind');
  t.is(await failureOf((async () => shares.at('video'))()), 'not-found');
});

test('bad paths are refused in the share’s name, too', async (t) => {
  const { shares } = await twoShares();
  for (const path of [
    '../music',
    'music/../work/plan',
    '/music',
    'music/',
    'music//a',
    '.',
    '.chunkferry',
    'music/.chunkferry/x',
    'mu\0sic',
  ]) {
    t.is(await failureOf(shares.stat(path)), 'bad-path', JSON.stringify(path));
  }
});

test('a rename stays in its share', async (t) => {
  const { music, work, shares } = await twoShares();
  await shares.rename('music/a/song', 'music/tune');
  t.truthy(await load(music, 'tune'));
  t.is(await failureOf(shares.rename('music/tune', 'work/tune')), 'bad-path');
  t.is(await failureOf(shares.rename('music', 'music/x')), 'permission');
  t.is(await failureOf(shares.rename('music/tune', 'music')), 'exists');
  t.is(await load(work, 'tune'), undefined);
});
