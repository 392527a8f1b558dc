import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import test from 'ava';
import { parsePaths, readList } from '../../client/files-from.ts';
import { FerryError } from '../../protocol/errors.ts';

const nothing = Readable.from([]);

test('lines end in any way, and blank ones and comments do not count', (t) => {
  const items = 'a\r\nb/c\n\n# no\n;no\n#\rd'.split(/\r\n|\n|\r/);
  t.deepEqual(parsePaths(items, 'line'), ['a', 'b/c', 'd']);
});

test('with NUL nothing is a comment and a newline is part of a name', (t) => {
  t.deepEqual(parsePaths(['#a', 'b\nc', ''], 'nul'), ['#a', 'b\nc']);
});

test('what says the same is the same, once', (t) => {
  t.deepEqual(parsePaths(['./a', '/a', 'a/', 'a//b/.', 'a/b'], 'line'), ['a', 'a/b']);
});

for (const item of ['../a', 'a/../b', '.', '/', './', 'a/.chunkferry/b', 'x'.repeat(256)]) {
  test(`${item.slice(0, 20)} is refused with its number`, (t) => {
    const error = t.throws(() => parsePaths(['a', item], 'line'), { instanceOf: FerryError });
    t.is(error?.exitCode, 2);
    t.regex(error?.message ?? '', /^Item 2 of --files-from/);
  });
}

test('a list is read from a file or from stdin', async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'ferry-list-'));
  const file = join(folder, 'list');
  await writeFile(file, '\ufeffä\nb\r\nc');
  t.deepEqual(await readList(file, { stdin: nothing }, 'line'), ['\ufeffä', 'b', 'c']);
  await writeFile(file, 'a\nb\0c\0');
  t.deepEqual(await readList(file, { stdin: nothing }, 'nul'), ['a\nb', 'c', '']);
  // A character may be cut anywhere.
  const bytes = Buffer.from('ä\nb');
  const pieces = Readable.from([bytes.subarray(0, 1), bytes.subarray(1)]);
  t.deepEqual(await readList('-', { stdin: pieces }, 'line'), ['ä', 'b']);
  await rm(folder, { recursive: true });
});

test('a list that cannot be read says why', async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'ferry-list-'));
  const failure = async (file: string) =>
    (await t.throwsAsync(readList(file, { stdin: nothing }, 'line'), { instanceOf: FerryError }))
      ?.failure;
  t.is(await failure(join(folder, 'absent')), 'not-found');
  t.is(await failure(folder), 'wrong-kind');
  await writeFile(join(folder, 'latin1'), Buffer.from([0x61, 0xe4, 0x0a]));
  t.is(await failure(join(folder, 'latin1')), 'usage');
  await rm(folder, { recursive: true });
});
