/**
 * What every `Storage` must do. An implementation's test file registers the suite with a way to set
 * one up; each test gets a storage of its own.
 */
import test, { type ExecutionContext } from 'ava';
import { checksum } from '../../protocol/checksum.ts';
import type { Entry } from '../../protocol/entry.ts';
import { TransferError } from '../../protocol/errors.ts';
import { defaultPolicy, type Policy } from '../../protocol/frames/transfer.ts';
import { limits } from '../../protocol/limits.ts';
import { chunkChecksums } from '../../protocol/segments.ts';
import type { ChunkSink, SmallFile, Storage } from '../../transfer/storage.ts';
import {
  bytesOf,
  chunkBytes,
  contentOf,
  failureOf,
  fileEntry,
  folderEntry,
  listed,
  mtimeNs,
  offerOf,
  pathsOf,
  put,
  sameBytes,
  smallFile,
  writeChunks,
} from './helpers/stored-files.ts';

export interface StorageSetup {
  /** A new empty storage, gone after the test. */
  readonly open: (t: ExecutionContext) => Promise<Storage>;
  /** Closes it and opens the same one again, where it outlives its process. */
  readonly reopen?: (t: ExecutionContext, storage: Storage) => Promise<Storage>;
}

const toleranceNs = 2_000n;
const near = (a: bigint, b: bigint): boolean => a - b < toleranceNs && b - a < toleranceNs;

const oddNames = [
  'with space',
  ' ',
  'line\nbreak',
  'caf\u00e9',
  'cafe\u0301',
  'aux.c',
  'x\\x2dy',
  'apache.',
  'CON',
  '\u001b[31mred',
  '-rf',
  'trailing ',
  '.hidden',
  '...',
  'n'.repeat(limits.componentBytes),
  '\u20ac'.repeat(85),
  '.chunkferry2',
  '.Chunkferry',
];

export function storageSuite(name: string, setup: StorageSetup): void {
  const suite = (
    title: string,
    run: (t: ExecutionContext, storage: Storage) => Promise<void>,
  ): void => test(`${name}: ${title}`, async (t) => run(t, await setup.open(t)));

  registerTree(suite);
  registerSmall(suite);
  registerSinks(suite);
  registerScratch(suite);
  registerExamine(suite);
  if (setup.reopen !== undefined) registerReopen(suite, setup.reopen);
}

type Register = (
  title: string,
  run: (t: ExecutionContext, storage: Storage) => Promise<void>,
) => void;

function registerTree(suite: Register): void {
  suite('an empty root can be looked at and never removed', async (t, storage) => {
    const root = await storage.stat('');
    t.is(root.kind, 'directory');
    t.is(root.path, '');
    t.deepEqual(await listed(storage), []);
    t.is(await failureOf(() => storage.remove('', true)), 'permission');
    t.is(await failureOf(() => storage.rename('', 'a')), 'permission');
    t.is(await failureOf(() => storage.mkdir('', false)), 'exists');
    await storage.mkdir('', true);
  });

  suite('mkdir makes one folder, or all that are missing', async (t, storage) => {
    await storage.mkdir('a', false);
    t.is((await storage.stat('a')).kind, 'directory');
    t.is(await failureOf(() => storage.mkdir('a', false)), 'exists');
    t.is(await failureOf(() => storage.mkdir('x/y', false)), 'not-found');
    await storage.mkdir('a/b/c', true);
    await storage.mkdir('a/b/c', true);
    await put(t, storage, smallFile('file', 'x'));
    t.is(await failureOf(() => storage.mkdir('file', false)), 'exists');
    t.is(await failureOf(() => storage.mkdir('file', true)), 'wrong-kind');
    t.is(await failureOf(() => storage.mkdir('file/sub', false)), 'wrong-kind');
    t.is(await failureOf(() => storage.mkdir('file/sub', true)), 'wrong-kind');
    t.deepEqual(pathsOf(await listed(storage)), ['a', 'a/b', 'a/b/c', 'file']);
  });

  suite('remove takes files, empty folders, and whole trees when asked', async (t, storage) => {
    await put(
      t,
      storage,
      smallFile('tree/a/one', '1'),
      smallFile('tree/two', '2'),
      smallFile('f', '3'),
    );
    t.is(await failureOf(() => storage.remove('none', false)), 'not-found');
    t.is(await failureOf(() => storage.remove('none/deeper', true)), 'not-found');
    t.is(await failureOf(() => storage.remove('f/deeper', true)), 'not-found');
    t.is(await failureOf(() => storage.remove('tree', false)), 'not-empty');
    t.is((await listed(storage, 'tree')).length, 3);
    await storage.remove('f', false);
    await storage.remove('tree/a/one', true);
    await storage.remove('tree/a', false);
    await storage.remove('tree', true);
    t.deepEqual(await listed(storage), []);
  });

  suite('rename moves files and folders and never overwrites', async (t, storage) => {
    await put(t, storage, smallFile('a/f', 'content'), smallFile('other', 'o'));
    await storage.mkdir('empty', false);
    t.is(await failureOf(() => storage.rename('a/f', 'other')), 'exists');
    t.is(await failureOf(() => storage.rename('a/f', 'empty')), 'exists');
    t.is(await failureOf(() => storage.rename('a', 'empty')), 'exists');
    t.is(await failureOf(() => storage.rename('a', 'other')), 'exists');
    t.is(await failureOf(() => storage.rename('a', 'a')), 'exists');
    t.is(await failureOf(() => storage.rename('a', '')), 'exists');
    t.is(await failureOf(() => storage.rename('a', 'a/b')), 'bad-path');
    t.is(await failureOf(() => storage.rename('none', 'new')), 'not-found');
    t.is(await failureOf(() => storage.rename('a/f', 'none/f')), 'not-found');
    t.is(await failureOf(() => storage.rename('a/f', 'other/f')), 'wrong-kind');
    await storage.rename('a/f', 'empty/g');
    await storage.rename('empty', 'moved');
    await storage.rename('a', 'moved/a');
    t.deepEqual(pathsOf(await listed(storage)), ['moved', 'moved/a', 'moved/g', 'other']);
    t.deepEqual(Buffer.from(await contentOf(storage, 'moved/g')).toString(), 'content');
  });

  suite('odd names are kept byte for byte', async (t, storage) => {
    await put(t, storage, ...oddNames.map((odd, index) => smallFile(odd, `${index}`)));
    t.deepEqual(pathsOf(await listed(storage)), oddNames.toSorted());
    for (const [index, odd] of oddNames.entries()) {
      t.is((await storage.stat(odd)).kind, 'file');
      t.is(Buffer.from(await contentOf(storage, odd)).toString(), `${index}`);
      await storage.rename(odd, 'renamed');
      await storage.rename('renamed', odd);
      await storage.remove(odd, false);
    }
    t.deepEqual(await listed(storage), []);
  });

  suite('paths that break a rule are refused by every method', async (t, storage) => {
    const long = 'n'.repeat(limits.componentBytes + 1);
    const deep = Array.from({ length: limits.pathDepth + 1 }, () => 'd').join('/');
    const bad = [
      '../x',
      'a/../../x',
      '/etc/passwd',
      'a//b',
      './a',
      '.',
      '..',
      'a/',
      '/a',
      'nul\0',
      long,
      deep,
      '\ud800',
    ];
    const staging = ['.chunkferry', '.chunkferry/x', 'a/.chunkferry', 'a/.chunkferry/b'];
    await storage.mkdir('a', false);
    for (const path of [...bad, ...staging]) {
      const runs = [
        () => storage.stat(path),
        () => listed(storage, path),
        () => storage.mkdir(path, true),
        () => storage.mkdir(path, false),
        () => storage.remove(path, true),
        () => storage.rename(path, 'b'),
        () => storage.rename('a', path),
        () => storage.openSource(path),
        () => storage.openSink(path, offerOf(1), false),
        () => storage.touch(path, { mtimeNs, mode: 0o600 }),
      ];
      for (const run of runs) t.is(await failureOf(run), 'bad-path', path);
      const [put] = await storage.putSmall('', [smallFile(path, 'x')]);
      t.is(put?.failure, 'bad-path', path);
      const [read] = await storage.readSmall('', [path]);
      t.true(read instanceof TransferError && read.failure === 'bad-path', path);
      t.deepEqual(await storage.examine('', [fileEntry(path, 1)], defaultPolicy), ['refused']);
    }
    t.deepEqual(pathsOf(await listed(storage)), ['a']);
  });

  suite('a tree of the full depth can be made, listed, read and removed', async (t, storage) => {
    const folders = Array.from({ length: limits.pathDepth - 1 }, (_, i) => `d${i}`);
    const path = [...folders, 'file'].join('/');
    await put(t, storage, smallFile(path, 'deep'));
    const entries = await listed(storage);
    t.is(entries.length, limits.pathDepth);
    for (const [depth, entry] of entries.entries()) t.is(entry.path.split('/').length, depth + 1);
    t.is(Buffer.from(await contentOf(storage, path)).toString(), 'deep');
    await storage.remove('d0', true);
    t.deepEqual(await listed(storage), []);
  });

  suite('listings come in batches, parents first, from any folder', async (t, storage) => {
    const files = Array.from({ length: 2500 }, (_, i) => smallFile(`top/d${i % 7}/f${i}`, `${i}`));
    for (let from = 0; from < files.length; from += 250) {
      await put(t, storage, ...files.slice(from, from + 250));
    }
    const seen = new Set(['']);
    let batches = 0;
    for await (const batch of storage.list('top', { recursive: true, contentTypes: false })) {
      batches += 1;
      t.true(batch.length > 0 && batch.length <= limits.listingEntries);
      for (const { path } of batch) {
        const parentCame = seen.has(path.slice(0, Math.max(0, path.lastIndexOf('/'))));
        if (!parentCame || seen.has(path)) t.fail(`${path} came too early or twice`);
        seen.add(path);
      }
    }
    t.is(seen.size, 1 + 7 + 2500);
    t.is(batches, 3);
    t.is((await listed(storage, 'top', false)).length, 7);
    t.is(await failureOf(() => listed(storage, 'none')), 'not-found');
    t.is(await failureOf(() => listed(storage, 'top/d0/f0')), 'wrong-kind');
    // One that is not read to its end lets go of what it holds.
    for await (const batch of storage.list('top', { recursive: true, contentTypes: false })) {
      t.true(batch.length > 0);
      break;
    }
  });

  suite('listings give content types when asked', async (t, storage) => {
    await put(
      t,
      storage,
      smallFile('a.html', ''),
      smallFile('b.unheard-of', ''),
      folderEntry('c.html'),
    );
    const types: Record<string, string> = {};
    for await (const batch of storage.list('', { recursive: false, contentTypes: true })) {
      for (const { path, contentType } of batch) types[path] = contentType;
    }
    t.deepEqual(types, { 'a.html': 'text/html', 'b.unheard-of': '', 'c.html': '' });
  });
}

function registerSmall(suite: Register): void {
  suite('small files are stored whole, with size, time and mode', async (t, storage) => {
    const sizes = [0, 1, 65_535, 65_536];
    const files = sizes.map((size) =>
      smallFile(`f${size}`, bytesOf(size), { mode: 0o7777 & (0o600 | size) }),
    );
    await put(t, storage, ...files);
    for (const { entry, content } of files) {
      const stat = await storage.stat(entry.path);
      t.is(stat.size, entry.size);
      t.is(stat.mode, entry.mode);
      t.true(near(stat.mtimeNs, mtimeNs));
      sameBytes(t, await contentOf(storage, entry.path), content);
    }
    const read = await storage.readSmall(
      '',
      files.map(({ entry }) => entry.path),
    );
    for (const [index, file] of read.entries()) {
      if (file instanceof TransferError) throw file;
      const stored = files[index] as SmallFile;
      sameBytes(t, file.content, stored.content);
      t.is(file.entry.path, stored.entry.path);
      t.is(file.entry.size, stored.entry.size);
    }
  });

  suite('a page has failures of its own for each entry', async (t, storage) => {
    await storage.mkdir('folder/inner', true);
    const failures = await storage.putSmall('', [
      smallFile('good', '1'),
      smallFile('folder', '2'),
      smallFile('good/below', '3'),
      smallFile('../outside', '4'),
      { entry: fileEntry('link', 0, { kind: 'link' }), content: new Uint8Array(0) },
      folderEntry('good'),
      folderEntry('made/inner', 0o700),
      smallFile('also/good', '5'),
    ]);
    const names = failures.map((failure) => failure?.failure);
    t.deepEqual(names, [
      undefined,
      'wrong-kind',
      'wrong-kind',
      'bad-path',
      'wrong-kind',
      'wrong-kind',
      undefined,
      undefined,
    ]);
    t.is(Buffer.from(await contentOf(storage, 'good')).toString(), '1');
    t.is(Buffer.from(await contentOf(storage, 'also/good')).toString(), '5');
    t.is((await storage.stat('made/inner')).mode, 0o700);
    t.deepEqual(pathsOf(await listed(storage)), [
      'also',
      'also/good',
      'folder',
      'folder/inner',
      'good',
      'made',
      'made/inner',
    ]);
  });

  suite('folders of a page get their mode and time after its files', async (t, storage) => {
    await put(t, storage, folderEntry('d', 0o750), smallFile('d/f', 'x'));
    const stat = await storage.stat('d');
    t.is(stat.mode, 0o750);
    t.true(near(stat.mtimeNs, mtimeNs));
  });

  suite('a page below a base stays there, and an existing file is replaced whole', async (t, storage) => {
    await put(t, storage, smallFile('base/f', 'a longer old content'));
    const old = await storage.openSource('base/f');
    const failures = await storage.putSmall('base', [smallFile('f', 'new'), smallFile('g', 'g')]);
    t.deepEqual(failures, [undefined, undefined]);
    t.is(Buffer.from(await contentOf(storage, 'base/f')).toString(), 'new');
    // Whoever has the old version open reads it to its end.
    const buffer = new Uint8Array(64);
    const got = await old.read(buffer, 0);
    t.is(Buffer.from(buffer.subarray(0, got)).toString(), 'a longer old content');
    await old.close();
  });

  suite('readSmall reads what its memory has room for, end to end', async (t, storage) => {
    const half = bytesOf(limits.fileChunkBytes);
    const files = ['a', 'b', 'c', 'd'].map((path) => smallFile(path, half));
    await put(t, storage, ...files, smallFile('e', 'end'));
    const whole = new Uint8Array(new SharedArrayBuffer(3 * half.length + 2));
    const memory = whole.subarray(0, -2);
    memory.fill(7);
    const read = await storage.readSmall('', ['a', 'b', 'e', 'c', 'd'], memory);
    const shown = read.map((file) =>
      file instanceof TransferError ? file.failure : file.content.length,
    );
    t.deepEqual(shown, [half.length, half.length, 3, 'source-changed', 'source-changed']);
    const contents = read.flatMap((file) => (file instanceof TransferError ? [] : [file.content]));
    t.deepEqual(
      contents.map((content) => [content.buffer === memory.buffer, content.byteOffset]),
      [0, half.length, 2 * half.length].map((at) => [true, at]),
    );
    t.deepEqual(Buffer.from(contents[1] ?? []), Buffer.from(half));
    t.deepEqual([...whole.subarray(-2)], [0, 0], 'nothing beyond it');
  });

  suite('readSmall leaves out large contents and says what is missing', async (t, storage) => {
    const large = bytesOf(65_537);
    const sink = await storage.openSink('base/large', offerOf(large.byteLength), false);
    await writeChunks(sink, large);
    await sink.commit({ size: large.byteLength, mtimeNs, mode: 0o600 });
    await put(t, storage, smallFile('base/small', 'abc'), smallFile('base/empty', ''));
    const read = await storage.readSmall('base', [
      'large',
      'none',
      'small',
      'small/x',
      'empty',
      'small',
    ]);
    const shown = read.map((file) =>
      file instanceof TransferError
        ? file.failure
        : [file.entry.path, file.entry.size, Buffer.from(file.content).toString()],
    );
    t.deepEqual(shown, [
      ['large', 65_537, ''],
      'not-found',
      ['small', 3, 'abc'],
      'not-found',
      ['empty', 0, ''],
      ['small', 3, 'abc'],
    ]);
  });

  suite('touch sets mode and time of a file alone', async (t, storage) => {
    await put(t, storage, smallFile('f', 'x'));
    await storage.mkdir('d', false);
    await storage.touch('f', { mtimeNs: 1_500_000_000_000_000_000n, mode: 0o4711 });
    const stat = await storage.stat('f');
    t.is(stat.mode, 0o4711);
    t.is(stat.mtimeNs, 1_500_000_000_000_000_000n);
    t.is(await failureOf(() => storage.touch('none', { mtimeNs, mode: 0o600 })), 'not-found');
    t.is(await failureOf(() => storage.touch('d', { mtimeNs, mode: 0o600 })), 'wrong-kind');
  });
}

function registerSinks(suite: Register): void {
  suite('a sink gives a file its content, size, time and mode at commit', async (t, storage) => {
    for (const size of [0, 1, 65_535, 65_536, 65_537, 300_000]) {
      const path = `new/f${size}`;
      const content = bytesOf(size, size);
      const sink = await storage.openSink(path, offerOf(size), false);
      t.true(sink.ledger.held.empty);
      await writeChunks(sink, content, { run: 2 });
      t.is(await failureOf(() => storage.stat(path)), 'not-found');
      t.deepEqual(
        pathsOf(await listed(storage)).filter((other) => other === path),
        [],
      );
      await sink.checkpoint();
      await sink.commit({ size, mtimeNs, mode: 0o2751 });
      const stat = await storage.stat(path);
      t.is(stat.size, size);
      t.is(stat.mode, 0o2751);
      t.true(near(stat.mtimeNs, mtimeNs));
      sameBytes(t, await contentOf(storage, path), content);
    }
  });

  suite('a sink takes several writes at once, in any order, and reads them back', async (t, storage) => {
    const content = bytesOf(20 * chunkBytes + 5);
    const sink = await storage.openSink('f', offerOf(content.byteLength), false);
    await Promise.all([
      writeChunks(sink, content, { from: 12 }),
      writeChunks(sink, content, { from: 0, to: 5, run: 1 }),
      writeChunks(sink, content, { from: 5, to: 12, run: 3 }),
    ]);
    t.is(sink.ledger.held.size, 21);
    const buffer = new Uint8Array(chunkBytes);
    t.is(await sink.read(buffer, 3 * chunkBytes), chunkBytes);
    t.is(checksum(buffer), checksum(content.subarray(3 * chunkBytes, 4 * chunkBytes)));
    t.is(await sink.read(buffer, 20 * chunkBytes), 5);
    await sink.commit({ size: content.byteLength, mtimeNs, mode: 0o600 });
    sameBytes(t, await contentOf(storage, 'f'), content);
  });

  suite('a sink that was closed goes on where it stopped', async (t, storage) => {
    const content = bytesOf(10 * chunkBytes + 9);
    const offer = offerOf(content.byteLength);
    const first = await storage.openSink('f', offer, false);
    await writeChunks(first, content, { from: 2, to: 7, run: 2 });
    await writeChunks(first, content, { from: 10 });
    await first.close();
    await first.close();
    const second = await storage.openSink('f', offer, false);
    t.deepEqual(
      [...second.ledger.held].map(({ start, end }) => [start, end]),
      [
        [2, 7],
        [10, 11],
      ],
    );
    const sums = chunkChecksums(content, chunkBytes);
    t.deepEqual(
      [...second.ledger.openChunks(0)],
      [2, 3, 4, 5, 6, 10].map((index) => [index, sums[index] ?? 0n]),
    );
    await writeChunks(second, content, { from: 0, to: 2 });
    await writeChunks(second, content, { from: 7, to: 10 });
    await second.commit({ size: content.byteLength, mtimeNs, mode: 0o600 });
    sameBytes(t, await contentOf(storage, 'f'), content);
    const third = await storage.openSink('f', offer, false);
    t.true(third.ledger.held.empty);
    await third.discard();
  });

  suite('what was forgotten or discarded, or is not wanted, is not there', async (t, storage) => {
    const content = bytesOf(130 * chunkBytes);
    const offer = offerOf(content.byteLength);
    const reopened = async (fresh = false): Promise<ChunkSink> =>
      storage.openSink('f', offer, fresh);
    let sink = await reopened();
    await writeChunks(sink, content, { run: 32 });
    t.not(sink.ledger.digest(content.byteLength, chunkBytes), undefined);
    sink.forget(0);
    t.is(sink.ledger.held.size, 2);
    await sink.close();
    sink = await reopened();
    t.is(sink.ledger.held.size, 2);
    await sink.close();
    sink = await reopened(true);
    t.true(sink.ledger.held.empty);
    await writeChunks(sink, content, { to: 1 });
    await sink.discard();
    sink = await reopened();
    t.true(sink.ledger.held.empty);
    await sink.discard();
  });

  suite('a partial of another chunk size starts anew, one for a shorter source is cut', async (t, storage) => {
    const content = bytesOf(6 * chunkBytes);
    let sink = await storage.openSink('f', offerOf(content.byteLength), false);
    await writeChunks(sink, content);
    await sink.close();
    const identity = Uint8Array.of(9);
    sink = await storage.openSink('f', offerOf(3 * chunkBytes, { identity }), false);
    t.true(sink.ledger.held.hasAll(3, 3));
    t.deepEqual(
      [...sink.ledger.held].filter(({ end }) => end > 3),
      [],
    );
    await writeChunks(sink, content, { to: 3 });
    await sink.commit({ size: 3 * chunkBytes, mtimeNs, mode: 0o600 });
    sameBytes(t, await contentOf(storage, 'f'), content.subarray(0, 3 * chunkBytes));
    sink = await storage.openSink('g', offerOf(content.byteLength), false);
    await writeChunks(sink, content);
    await sink.close();
    sink = await storage.openSink('g', offerOf(content.byteLength, { chunkBytes: 1024 }), false);
    t.true(sink.ledger.held.empty);
    await sink.discard();
  });

  suite('commit replaces a file whole, and never a folder', async (t, storage) => {
    await put(t, storage, smallFile('f', bytesOf(60_000, 5)));
    await storage.mkdir('folder', false);
    const source = await storage.openSource('f');
    const sink = await storage.openSink('f', offerOf(4), false);
    await sink.write(0, [bytesOf(4)], [checksum(bytesOf(4))]);
    t.is((await storage.stat('f')).size, 60_000);
    await sink.commit({ size: 4, mtimeNs, mode: 0o600 });
    sameBytes(t, await contentOf(storage, 'f'), bytesOf(4));
    const old = new Uint8Array(60_000);
    t.is(await source.read(old, 0), 60_000);
    sameBytes(t, old, bytesOf(60_000, 5));
    await source.close();
    t.is(await failureOf(() => storage.openSink('folder', offerOf(1), false)), 'wrong-kind');
    t.is(await failureOf(() => storage.openSink('f/below', offerOf(1), false)), 'wrong-kind');
    const late = await storage.openSink('late', offerOf(0), false);
    await storage.mkdir('late', false);
    t.is(await failureOf(() => late.commit({ size: 0, mtimeNs, mode: 0o600 })), 'wrong-kind');
    t.is((await storage.stat('late')).kind, 'directory');
    await late.discard();
  });

  suite('a closed sink refuses to go on', async (t, storage) => {
    const sink = await storage.openSink('f', offerOf(1), false);
    await sink.close();
    t.is(await failureOf(() => sink.write(0, [bytesOf(1)], [0n])), 'internal');
    t.is(await failureOf(() => sink.commit({ size: 1, mtimeNs, mode: 0 })), 'internal');
  });

  suite('many sinks commit at once', async (t, storage) => {
    const paths = Array.from({ length: 20 }, (_, i) => `d${i % 3}/f${i}`);
    await Promise.all(
      paths.map(async (path, i) => {
        const content = bytesOf(1000 + i, i);
        const sink = await storage.openSink(path, offerOf(content.byteLength), false);
        await writeChunks(sink, content);
        await sink.commit({ size: content.byteLength, mtimeNs, mode: 0o600 });
      }),
    );
    for (const [i, path] of paths.entries())
      sameBytes(t, await contentOf(storage, path), bytesOf(1000 + i, i));
  });

  suite('a source is one version of a file', async (t, storage) => {
    await put(t, storage, smallFile('f', bytesOf(5000)));
    const source = await storage.openSource('f');
    t.is(source.size, 5000);
    t.true(source.rewindable);
    t.true(source.identity.byteLength <= limits.identityBytes);
    t.true(near(source.mtimeNs, mtimeNs));
    t.is(source.mode, 0o644);
    const buffer = new Uint8Array(1000);
    t.is(await source.read(buffer, 4500), 500);
    t.is(await source.read(buffer, 6000), 0);
    t.is(await source.read(buffer, 100), 1000);
    sameBytes(t, buffer, bytesOf(5000).subarray(100, 1100));
    source.release(5000);
    t.true(await source.unchanged());
    await source.close();
    t.is(await failureOf(() => storage.openSource('none')), 'not-found');
    t.is(await failureOf(() => storage.openSource('f/x')), 'not-found');
    await storage.mkdir('d', false);
    t.is(await failureOf(() => storage.openSource('d')), 'wrong-kind');
    t.not(await failureOf(() => storage.openSource('')), undefined);
  });
}

function registerScratch(suite: Register): void {
  suite('a scratch holds what is written, has no name, and leaves nothing', async (t, storage) => {
    const content = bytesOf(5 * chunkBytes + 3);
    const scratches = [
      await storage.openScratch(chunkBytes),
      await storage.openScratch(chunkBytes),
    ];
    for (const scratch of scratches) {
      await writeChunks(scratch, content);
      await scratch.checkpoint();
      t.deepEqual(await listed(storage), []);
      const back = new Uint8Array(content.length);
      t.is(await scratch.read(back, 0), back.length);
      sameBytes(t, back, content);
      await t.throwsAsync(scratch.commit({ size: content.length, mtimeNs, mode: 0o644 }), {
        instanceOf: TransferError,
      });
      await scratch.close();
    }
    t.deepEqual(await listed(storage), []);
  });
}

function registerExamine(suite: Register): void {
  suite('examine tells what is there already', async (t, storage) => {
    await put(t, storage, smallFile('base/f', 'same'), folderEntry('base/d', 0o755));
    const one = async (entry: Entry, policy: Partial<Policy> = {}): Promise<string | undefined> =>
      (await storage.examine('base', [entry], { ...defaultPolicy, ...policy }))[0];
    t.is(await one(fileEntry('f', 4)), 'unchanged');
    t.is(await one(fileEntry('f', 5)), 'want');
    t.is(await one(fileEntry('f', 4, { mtimeNs: mtimeNs + 9_000n })), 'unchanged');
    t.is(await one(fileEntry('f', 4, { mtimeNs: mtimeNs + 20_000n })), 'want');
    t.is(await one(fileEntry('f', 4), { checksum: true }), 'want');
    t.is(await one(fileEntry('f', 9), { overwrite: 'never' }), 'skipped');
    t.is(
      await one(fileEntry('f', 9, { mtimeNs: mtimeNs - 1n }), { overwrite: 'newer' }),
      'skipped',
    );
    t.is(
      await one(fileEntry('f', 9, { mtimeNs: mtimeNs + 50_000n }), { overwrite: 'newer' }),
      'want',
    );
    t.is(await one(fileEntry('none', 4)), 'want');
    t.is(await one(fileEntry('none/at/all', 4)), 'want');
    t.is(await one(fileEntry('d', 4)), 'refused');
    t.is(await one(fileEntry('f/below', 4)), 'refused');
    t.is(await one(folderEntry('f').entry), 'refused');
    t.is(await one(folderEntry('d').entry), 'unchanged');
    t.is(await one(folderEntry('d', 0o700).entry), 'want');
    t.is(await one(fileEntry('l', 0, { kind: 'link' })), 'refused');
  });

  suite('the root stays open to its owner, whatever mode it is offered', async (t, storage) => {
    await put(t, storage, folderEntry('d', 0), folderEntry('', 0));
    t.is((await storage.stat('d')).mode, 0);
    t.is((await storage.stat('')).mode, 0o700);
  });

  suite('examine sets the mode where only that differs', async (t, storage) => {
    await put(t, storage, smallFile('f', 'same'));
    const entries = [fileEntry('f', 4, { mode: 0o4700 })];
    t.deepEqual(await storage.examine('', entries, defaultPolicy), ['unchanged']);
    t.is((await storage.stat('f')).mode, 0o4700);
  });
}

function registerReopen(suite: Register, reopen: NonNullable<StorageSetup['reopen']>): void {
  suite('partials outlive the storage', async (t, storage) => {
    const content = bytesOf(300 * chunkBytes + 77);
    const offer = offerOf(content.byteLength);
    const sink = await storage.openSink('d/f', offer, false);
    await writeChunks(sink, content, { to: 200, run: 13 });
    await sink.checkpoint();
    await sink.close();
    const again = await reopen(t, storage);
    t.deepEqual(await listed(again), []);
    const resumed = await again.openSink('d/f', offer, false);
    t.deepEqual(
      [...resumed.ledger.held].map(({ start, end }) => [start, end]),
      [[0, 200]],
    );
    await writeChunks(resumed, content, { from: 200 });
    await resumed.commit({ size: content.byteLength, mtimeNs, mode: 0o600 });
    sameBytes(t, await contentOf(again, 'd/f'), content);
  });
}
