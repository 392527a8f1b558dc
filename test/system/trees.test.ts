/** Trees: what is kept of them, what is left out, and what they cost over a slow link. */
import { execFile } from 'node:child_process';
import { lstatSync } from 'node:fs';
import {
  chmod,
  link,
  lstat,
  mkdir,
  readdir,
  readFile,
  symlink,
  unlink,
  utimes,
  writeFile,
} from 'node:fs/promises';
import path from 'node:path';
import { promisify } from 'node:util';
import test, { type ExecutionContext } from 'ava';
import type { FerryEvent, FileEvent, WarningEvent } from '../../client/events.ts';
import { connect, defaultTransferOptions, parseRemote } from '../../client/index.ts';
import { testConnect } from '../helpers/token.ts';
import { type FerryResult, runFerry } from './helpers/ferry.ts';
import { differences, writeRandomFile } from './helpers/files.ts';
import { Proxy } from './helpers/proxy.ts';
import { isLinux, isRoot, type Scene, setScene } from './helpers/scene.ts';

const run = promisify(execFile);
const testOnLinux = isLinux ? test.serial : test.serial.skip;
const testAsRoot = isLinux && isRoot ? test.serial : test.serial.skip;

// ---- over a slow link ----------------------------------------------------------------------------

const manyFiles = 10_000;
const filesAFolder = 100;
const delayMs = 50;
/** One round trip a file would take 1,000 s, one for every 32nd still longer than this. */
const slowLinkMs = 30_000;

async function writeManyFiles(folder: string, count: number, perFolder: number): Promise<void> {
  const content = Buffer.alloc(2_000, 'small files ');
  for (let i = 0; i < count; i += perFolder) {
    const sub = path.join(folder, `folder-${i / perFolder}`);
    await mkdir(sub, { recursive: true });
    const writing = Array.from({ length: perFolder }, (_, j) =>
      writeFile(path.join(sub, `file-${i + j}`), content.subarray(0, 100 + ((i + j) % 1_900))),
    );
    await Promise.all(writing);
  }
}

test.serial('ten thousand files over a slow link take no round trip each', async (t) => {
  const scene = await setScene(t);
  await writeManyFiles(scene.at('tree'), manyFiles, filesAFolder);
  const proxy = await Proxy.start(scene.daemon.port, { delayMs: { up: delayMs, down: delayMs } });
  t.teardown(() => proxy.close());

  const timed = async (args: string[]): Promise<FerryResult> => {
    const startedAtMs = performance.now();
    const result = await scene.ferry(args);
    const tookMs = performance.now() - startedAtMs;
    t.log(`${args[0] ?? ''}: ${Math.round(tookMs)} ms, ${result.summary?.bytesSent ?? 0} bytes`);
    t.true(tookMs < slowLinkMs, `${args[0] ?? ''} took ${tookMs} ms`);
    t.is(result.summary?.files, manyFiles);
    return result;
  };
  const up = ['upload', scene.at('tree'), proxy.url()];
  const down = ['download', proxy.url('tree'), scene.at('back')];
  const bytes = (await timed(up)).summary?.bytesSent ?? 0;
  t.is(proxy.contentBytes('up'), bytes, 'each new file is sent once');
  t.like((await timed(up)).summary, { bytesSent: 0, bytesReused: bytes });
  t.is(proxy.contentBytes('up'), bytes, 'unchanged files are not sent');
  t.is((await timed(down)).summary?.bytesSent, bytes);
  t.like((await timed(down)).summary, { bytesSent: 0, bytesReused: bytes });
  t.is(proxy.contentBytes('down'), bytes);
  await run('diff', ['-rq', scene.at('tree'), scene.at('back', 'tree')]);

  // The control: one command a file pays for every round trip, and the clock sees it.
  const startedAtMs = performance.now();
  const naive = 5;
  for (let i = 0; i < naive; i += 1) {
    await runFerry(['stat', proxy.url(`tree/folder-0/file-${i}`)]);
  }
  const eachMs = (performance.now() - startedAtMs) / naive;
  t.true(eachMs >= 2 * delayMs && eachMs * manyFiles > slowLinkMs);
});

// A hundred thousand of them are in test/soak/many-files.ts.
test.serial('twenty thousand files in one folder', async (t) => {
  const scene = await setScene(t, { args: ['--durability', 'none'] });
  const count = 20_000;
  await mkdir(scene.at('flat'));
  for (let i = 0; i < count; i += 500) {
    await Promise.all(
      Array.from({ length: 500 }, (_, j) => writeFile(scene.at('flat', `${i + j}`), `${i + j}`)),
    );
  }
  const up = await scene.ferry(['upload', scene.at('flat'), scene.url()]);
  t.is(up.summary?.files, count);
  const down = await scene.ferry(['download', scene.url('flat'), scene.at('back')]);
  t.is(down.summary?.files, count);
  t.is((await readdir(scene.at('back', 'flat'))).length, count);
  t.is(await readFile(scene.at('back', 'flat', '19999'), 'utf8'), '19999');
  const list = await scene.ferry(['ls', scene.url('flat')]);
  t.is(list.summary?.files, count);
  await scene.ferry(['rm', '-r', scene.url('flat')]);
  t.deepEqual(
    (await readdir(scene.served)).filter((name) => name !== '.chunkferry'),
    [],
  );
});

// ---- what is kept --------------------------------------------------------------------------------

/** The nodes of a tree with their modes and times; `differences` allows for more than 2 µs. */
async function timesApart(t: ExecutionContext, a: string, b: string): Promise<void> {
  const [left, right] = [lstatSync(a, { bigint: true }), lstatSync(b, { bigint: true })];
  const apartNs = left.mtimeNs - right.mtimeNs;
  t.true(apartNs <= 2_000n && apartNs >= -2_000n, `${a}: ${apartNs} ns apart`);
  if (!left.isDirectory()) return;
  for (const name of await readdir(a)) {
    if (name !== '.chunkferry') await timesApart(t, path.join(a, name), path.join(b, name));
  }
}

async function bothWays(t: ExecutionContext, scene: Scene, tree: string): Promise<void> {
  await scene.ferry(['upload', tree, scene.url()]);
  const name = path.basename(tree);
  t.deepEqual(await differences(tree, scene.there(name)), []);
  await timesApart(t, tree, scene.there(name));
  await scene.ferry(['download', scene.url(name), scene.at('back')]);
  t.deepEqual(await differences(tree, scene.at('back', name)), []);
  await timesApart(t, tree, scene.at('back', name));
}

test.serial('modes with all their bits, times of files and folders, empty folders', async (t) => {
  const scene = await setScene(t);
  const tree = scene.at('tree');
  await mkdir(`${tree}/empty/in empty`, { recursive: true });
  await mkdir(`${tree}/closed`);
  const modes = [0o0, 0o400, 0o644, 0o755, 0o4755, 0o2755, 0o1644, 0o6777, 0o7777];
  for (const mode of modes) {
    const file = `${tree}/closed/mode-${mode.toString(8)}`;
    await writeFile(file, `${mode}`);
    await chmod(file, mode);
    const folder = `${tree}/folder-${mode.toString(8)}`;
    await mkdir(folder);
    await writeFile(`${folder}/inside`, 'inside');
    await chmod(folder, mode);
  }
  await writeRandomFile(`${tree}/large`, 200_000);
  await chmod(`${tree}/large`, 0o4711);
  // Fractions that a double cannot hold, long ago, before 1970, and far ahead.
  const times = [
    1_234_567_890.123_456, 0.5, 1, -86_400.25, -0.000_005, -620_420_094.876_543,
    4_102_444_800.999_999,
  ];
  for (const [i, time] of times.entries()) {
    await mkdir(`${tree}/time-${i}`);
    await writeFile(`${tree}/time-${i}/file`, 'x');
    await run('touch', [
      '-d',
      `@${time.toFixed(6)}`,
      `${tree}/time-${i}/file`,
      `${tree}/time-${i}`,
    ]);
  }
  await utimes(`${tree}/large`, 1, 987_654_321.987_654);
  await run('touch', ['-d', '@1600000000.123456789', `${tree}/closed`, `${tree}/empty`, tree]);
  await chmod(`${tree}/closed`, 0o555);
  await bothWays(t, scene, tree);
  t.is((await lstat(scene.there('tree', 'closed'))).mode & 0o7777, 0o555);

  // Modes and times alone change: they follow, without content.
  await chmod(`${tree}/large`, 0o600);
  await chmod(`${tree}/closed/mode-644`, 0o640);
  const again = await scene.ferry(['upload', tree, scene.url()]);
  t.is(again.summary?.bytesSent, 0);
  t.deepEqual(await differences(tree, scene.there('tree')), []);
  await chmod(`${tree}/closed/mode-644`, 0o600);
  await scene.ferry(['upload', tree, scene.url()]);
  await scene.ferry(['download', scene.url('tree'), scene.at('back')]);
  t.deepEqual(await differences(tree, scene.at('back', 'tree')), []);
});

test.serial('a time beyond what the protocol can say becomes the latest that it can', async (t) => {
  const scene = await setScene(t);
  const tree = scene.at('tree');
  const files = [`${tree}/small`, `${tree}/large`];
  await mkdir(tree);
  await writeFile(`${tree}/small`, 'x');
  await writeRandomFile(`${tree}/large`, 200_000);
  await run('touch', ['-d', '2400-01-01', ...files, tree]);
  for (const [from, to, copy] of [
    [tree, scene.url(), scene.there('tree')],
    [scene.url('tree'), scene.at('back'), scene.at('back', 'tree')],
  ] as const) {
    const command = from === tree ? 'upload' : 'download';
    await scene.ferry([command, from, to]);
    for (const name of ['small', 'large', '']) {
      const { mtime } = await lstat(path.join(copy, name));
      t.is(mtime.toISOString().slice(0, 19), '2262-04-11T23:47:16', name);
    }
    const again = await scene.ferry([command, from, to]);
    t.is(again.summary?.bytesReused, 200_001);
  }
});

test.serial('a tree of 64 levels; one deeper is reported, and the rest done', async (t) => {
  const scene = await setScene(t);
  const deepest = Array.from({ length: 63 }, (_, i) => `${i}`).join('/');
  await mkdir(scene.at('tree', deepest), { recursive: true });
  await writeFile(scene.at('tree', deepest, 'leaf'), 'leaf');
  await writeRandomFile(scene.at('tree', path.dirname(deepest), 'large leaf'), 100_000);
  // 63 folders and a leaf: the most that a path holds.
  await scene.ferry(['upload', `${scene.at('tree')}/`, scene.url()]);
  t.is(await readFile(scene.there(deepest, 'leaf'), 'utf8'), 'leaf');
  await scene.ferry(['download', scene.url(), scene.at('back')]);
  t.deepEqual(await differences(scene.at('tree'), scene.at('back')), []);

  // Below another folder the leaf is too deep.
  const up = await scene.ferry(['upload', `${scene.at('tree')}/`, scene.url('a/b')], 23);
  t.true((up.summary?.failed ?? 0) >= 1);
  const errors = up.events.filter(({ type }) => type === 'error');
  t.true(errors.length > 0);
  for (const event of errors) t.like(event, { failure: 'bad-path' });
  await writeFile(scene.at('tree', '0', 'shallow'), 'shallow');
  await scene.ferry(['upload', `${scene.at('tree')}/`, scene.url('a/b')], 23);
  t.is(await readFile(scene.there('a', 'b', '0', 'shallow'), 'utf8'), 'shallow');
});

// ---- what is named, and where it goes ------------------------------------------------------------

test.serial("a slash at the end follows rsync's rule, both ways", async (t) => {
  const scene = await setScene(t);
  for (const name of ['one', 'two']) {
    await mkdir(scene.at(name, 'sub'), { recursive: true });
    await writeFile(scene.at(name, 'sub', `${name}.txt`), name);
  }
  await writeFile(scene.at('file'), 'file');
  const settings = { cwd: scene.at('one') };
  const uploads: [string[], string, string[]][] = [
    [[scene.at('one')], 'a', ['a/one/sub/one.txt']],
    [[scene.at('one')], 'a/', ['a/one/sub/one.txt']],
    [[`${scene.at('one')}/`], 'b', ['b/sub/one.txt']],
    [[`${scene.at('one')}/.`], 'c', ['c/sub/one.txt']],
    [['.'], 'd/', ['d/sub/one.txt']],
    [['sub'], 'e', ['e/sub/one.txt']],
    [['../file'], 'f', ['f']],
    [['../file'], 'g/', ['g/file']],
    [['../file'], 'g', ['g/file']],
    [['../one', '../two/', '../file'], 'h', ['h/file', 'h/one/sub/one.txt', 'h/sub/two.txt']],
    [['../file'], '', ['file']],
    [['../file'], 'new/folders/name', ['new/folders/name']],
  ];
  for (const [sources, target, expected] of uploads) {
    await scene.ferry(['upload', ...sources, scene.url(target)], 0, settings);
    const top = target === '' ? 'file' : target.replace(/\/.*$/, '');
    t.deepEqual(
      await filesBelow(scene.there(top), top),
      expected,
      `${sources.join(' ')} ${target}`,
    );
  }
  const downloads: [string[], string, string[]][] = [
    [['a/one'], 'A', ['one/sub/one.txt']],
    [['a/one/'], 'B', ['sub/one.txt']],
    [['f'], 'C', ['']],
    [['f'], 'D/', ['f']],
    [['a/one', 'h/sub/', 'f'], 'E', ['f', 'one/sub/one.txt', 'two.txt']],
    [['f'], 'E/g', ['']],
  ];
  for (const [sources, target, expected] of downloads) {
    await scene.ferry(['download', ...sources.map(scene.url), scene.at(target)]);
    const found = await filesBelow(scene.at(target), '');
    t.deepEqual(found, expected, `${sources.join(' ')} ${target}`);
  }
});

test.serial('two sources that would become the same are refused, both ways', async (t) => {
  const scene = await setScene(t);
  for (const name of ['one', 'two']) {
    await mkdir(scene.at(name, 'sub'), { recursive: true });
    await writeFile(scene.at(name, 'x'), name);
    await writeFile(scene.at(name, 'sub', name), name);
  }
  for (const name of ['x', 'sub']) {
    const sources = [scene.at('one', name), scene.at('two', name)];
    const { events } = await scene.ferry(['upload', ...sources, scene.url('same/')], 2);
    const error = events.find((event) => event.type === 'error');
    t.is(error?.failure, 'usage');
    for (const source of sources) t.true(error?.message.includes(`"${source}"`), error?.message);
  }
  t.false((await readdir(scene.served)).includes('same'), 'nothing was sent');

  // Contents go together, and one source may be named twice.
  const contents = [`${scene.at('one', 'sub')}/`, `${scene.at('two', 'sub')}/`];
  await scene.ferry(['upload', ...contents, scene.at('one', 'x'), scene.url('merged')]);
  await scene.ferry(['upload', scene.at('one', 'x'), scene.at('one', 'x'), scene.url('twice')]);
  t.deepEqual(await filesBelow(scene.there('merged'), ''), ['one', 'two', 'x']);

  await scene.ferry(['upload', scene.at('one'), scene.at('two'), scene.url()]);
  for (const name of ['x', 'x/', 'sub']) {
    const sources = ['one', 'two'].map((folder) => scene.url(`${folder}/${name}`));
    const { events } = await scene.ferry(['download', ...sources, scene.at('same')], 2);
    const error = events.find((event) => event.type === 'error');
    t.is(error?.failure, 'usage');
    const bare = name.replace('/', '');
    t.regex(error?.message ?? '', new RegExp(`"one/${bare}" and "two/${bare}"`));
  }
  t.false((await readdir(path.dirname(scene.at('same')))).includes('same'), 'nothing was made');
  const both = [scene.url('one/sub/'), scene.url('two/sub/')];
  await scene.ferry(['download', ...both, scene.at('merged')]);
  t.deepEqual(await filesBelow(scene.at('merged'), ''), ['one', 'two']);
});

/** Paths of the files below, in order, beginning with `label`. */
async function filesBelow(folder: string, label: string): Promise<string[]> {
  if (!lstatSync(folder).isDirectory()) return [label];
  const names = (await readdir(folder)).filter((name) => name !== '.chunkferry').sort();
  const below = names.map((name) =>
    filesBelow(path.join(folder, name), label === '' ? name : `${label}/${name}`),
  );
  return (await Promise.all(below)).flat();
}

test.serial('rules choose what takes part, both ways', async (t) => {
  const scene = await setScene(t);
  const tree = scene.at('tree');
  for (const file of [
    'keep.txt',
    'drop.log',
    'keep.log',
    'cache/deep/file.txt',
    'sub/cache/file.txt',
    'sub/drop.log',
    'sub/[odd]*.txt',
    'build/out.o',
  ]) {
    await mkdir(path.dirname(`${tree}/${file}`), { recursive: true });
    await writeFile(`${tree}/${file}`, file);
  }
  await writeFile(scene.at('rules'), '# comment\n\n/cache/\n- *.o\n');
  const rules = [
    '--include',
    'keep.log',
    '--exclude',
    '*.log',
    '--exclude-from',
    scene.at('rules'),
  ];
  const expected = ['keep.log', 'keep.txt', 'sub/[odd]*.txt', 'sub/cache/file.txt'];
  await scene.ferry(['upload', ...rules, `${tree}/`, scene.url('up')]);
  t.deepEqual(await filesBelow(scene.there('up'), ''), expected);
  t.deepEqual(await readdir(scene.there('up')), ['build', 'keep.log', 'keep.txt', 'sub']);
  await scene.ferry(['upload', `${tree}/`, scene.url('all')]);
  await scene.ferry(['download', ...rules, scene.url('all/'), scene.at('down')]);
  t.deepEqual(await filesBelow(scene.at('down'), ''), expected);
  await scene.ferry(['verify', ...rules, tree, scene.url('up')]);
  await scene.ferry(['verify', ...rules, tree, scene.url('all')]);

  // Lists of paths: by lines, and by NULs from stdin.
  await writeFile(scene.at('list'), 'keep.txt\nsub/cache\n');
  const listed = ['keep.txt', 'sub/cache/file.txt'];
  await scene.ferry(['upload', '--files-from', scene.at('list'), tree, scene.url('listed/')]);
  t.deepEqual(await filesBelow(scene.there('listed', 'tree'), ''), listed);
  const input = { input: 'keep.txt\0sub/cache\0' };
  const fromStdin = ['--files-from', '-', '-0'];
  await scene.ferry(['download', ...fromStdin, scene.url('all/'), scene.at('listed')], 0, input);
  t.deepEqual(await filesBelow(scene.at('listed'), ''), listed);
  const missing = await scene.ferry(
    ['upload', '--files-from', '-', `${tree}/`, scene.url('partly')],
    23,
    { input: 'missing\nkeep.txt\n' },
  );
  t.deepEqual(missing.summary?.failedNames, ['tree/missing']);
  t.deepEqual(await filesBelow(scene.there('partly'), ''), ['keep.txt']);
});

const errorsOf = ({ events }: FerryResult): [string | undefined, string][] =>
  events.flatMap((event) => (event.type === 'error' ? [[event.path, event.failure]] : []));

test.serial(
  'a listed path that the daemon does not have fails, and the others go on',
  async (t) => {
    const scene = await setScene(t);
    await mkdir(scene.there('tree', 'sub'), { recursive: true });
    for (const name of ['keep', 'sub/drop.log', 'sub/inside']) {
      await writeFile(scene.there('tree', name), name);
    }
    const list = { input: 'gone\nkeep\nsub/gone\ngone/file\nkeep/below\nsub/drop.log\nsub' };
    const args = ['--files-from', '-', '--exclude', '*.log'];
    const missing = ['gone', 'sub/gone', 'gone/file', 'keep/below'];
    const content = await scene.ferry(
      ['download', ...args, scene.url('tree/'), scene.at('content')],
      23,
      list,
    );
    t.deepEqual(
      errorsOf(content),
      missing.map((name) => [name, 'not-found']),
    );
    t.deepEqual(await filesBelow(scene.at('content'), ''), ['keep', 'sub/inside']);
    const folder = await scene.ferry(
      ['download', ...args, '--dry-run', scene.url('tree'), scene.at('folder')],
      23,
      list,
    );
    t.deepEqual(
      folder.summary?.failedNames,
      missing.map((name) => `tree/${name}`),
    );
  },
);

test.serial('a listed path that is not here fails, and the others go on', async (t) => {
  const scene = await setScene(t);
  await mkdir(scene.at('tree', 'sub'), { recursive: true });
  for (const name of ['keep', 'sub/inside', 'unlisted']) {
    await writeFile(scene.at('tree', name), name);
  }
  const missing = ['gone', 'gone/file', 'sub/gone', 'unlisted/below'];
  const up = await scene.ferry(
    ['upload', '--files-from', '-', `${scene.at('tree')}/`, scene.url('up')],
    23,
    { input: [...missing, 'keep', 'sub/inside'].join('\n') },
  );
  t.deepEqual(
    errorsOf(up),
    missing.map((name) => [`tree/${name}`, 'not-found']),
  );
  for (const event of up.events) {
    if (event.type === 'error') t.regex(event.message, /does not exist/);
  }
  t.deepEqual(await filesBelow(scene.there('up'), ''), ['keep', 'sub/inside']);
});

test.serial(
  'a comparison of listed paths: missing here, missing there, missing at all',
  async (t) => {
    const scene = await setScene(t);
    const [mine, theirs] = [scene.at('tree'), scene.there('tree')];
    await mkdir(mine);
    await mkdir(theirs);
    for (const name of ['keep', 'mine', 'unlisted']) await writeFile(path.join(mine, name), 'x');
    for (const name of ['keep', 'theirs', 'other']) await writeFile(path.join(theirs, name), 'x');
    const ferry = await connect(parseRemote(scene.daemon.url()), testConnect);
    const filesFrom = ['keep', 'mine', 'theirs', 'gone'];
    const told: string[] = [];
    for await (const event of ferry.verify(mine, 'tree', {
      ...defaultTransferOptions,
      filesFrom,
    })) {
      if (event.type === 'difference') told.push(`${event.path} ${event.reason}`);
      if (event.type === 'error' && event.path !== undefined) told.push(`${event.path} fails`);
    }
    await ferry.close();
    t.deepEqual(told.sort(), ['gone fails', 'mine missing-there', 'theirs missing-here']);
  },
);

test.serial('listed paths that overlap are sent and counted once, in any order', async (t) => {
  const scene = await setScene(t);
  await mkdir(scene.at('tree', 'keep', 'sub', 'deep'), { recursive: true });
  for (const name of ['keep/c', 'keep/d', 'keep/sub/e', 'keep/sub/deep/f']) {
    await writeFile(scene.at('tree', name), name);
  }
  const all = ['keep/c', 'keep/d', 'keep/sub/deep/f', 'keep/sub/e'];
  for (const [i, list] of [
    ['keep', 'keep/c', 'keep/sub/deep', 'keep/sub/e'],
    ['keep/sub/deep/f', 'keep/sub/e', 'keep/c', 'keep/sub', 'keep'],
  ].entries()) {
    const { events, summary } = await scene.ferry(
      ['upload', '--files-from', '-', `${scene.at('tree')}/`, scene.url(`up-${i}`)],
      0,
      { input: list.join('\n') },
    );
    t.like(summary, { files: all.length, directories: 4, bytes: all.join('').length });
    const sent = events.filter((event): event is FileEvent => event.type === 'file');
    t.deepEqual(
      sent.map((event) => event.path).sort(),
      all.map((name) => `tree/${name}`),
    );
    t.deepEqual(await filesBelow(scene.there(`up-${i}`), ''), all);
  }
});

// ---- links and special files ---------------------------------------------------------------------

const warnings = ({ events }: { events: readonly FerryEvent[] }): string[] =>
  events
    .filter((event): event is WarningEvent => event.type === 'warning')
    .map(({ path = '' }) => path)
    .sort();

const files = ({ events }: FerryResult): string[] =>
  events
    .filter((event): event is FileEvent => event.type === 'file')
    .map((event) => event.path)
    .sort();

testOnLinux('links are skipped and told of, or followed, and never in a circle', async (t) => {
  const scene = await setScene(t);
  const tree = scene.at('tree');
  await mkdir(`${tree}/sub`, { recursive: true });
  await mkdir(scene.at('elsewhere', 'inner'), { recursive: true });
  await writeFile(scene.at('elsewhere', 'inner', 'far'), 'far');
  await writeFile(`${tree}/file`, 'file');
  await symlink('file', `${tree}/to-file`);
  await symlink('../elsewhere', `${tree}/to-folder`);
  await symlink('missing', `${tree}/dangling`);
  await symlink('..', `${tree}/sub/to-parent`);
  await symlink(tree, `${tree}/sub/to-root`);
  await symlink('itself', `${tree}/itself`);
  await symlink('sub', `${tree}/to-sub`);
  await link(`${tree}/file`, `${tree}/hard`);

  const skipped = await scene.ferry(['upload', `${tree}/`, scene.url('skip')]);
  const links = [
    'dangling',
    'itself',
    'sub/to-parent',
    'sub/to-root',
    'to-file',
    'to-folder',
    'to-sub',
  ];
  t.deepEqual(
    warnings(skipped),
    links.map((name) => `tree/${name}`),
  );
  t.deepEqual(await filesBelow(scene.there('skip'), ''), ['file', 'hard']);

  const followed = await scene.ferry([
    'upload',
    '--links',
    'follow',
    `${tree}/`,
    scene.url('follow'),
  ]);
  t.deepEqual(
    warnings(followed).filter((name) => !/to-sub/.test(name)),
    ['dangling', 'itself', 'sub/to-parent', 'sub/to-root'].map((name) => `tree/${name}`),
  );
  t.deepEqual(await filesBelow(scene.there('follow'), ''), [
    'file',
    'hard',
    'to-file',
    'to-folder/inner/far',
  ]);
  t.is(await readFile(scene.there('follow', 'to-folder', 'inner', 'far'), 'utf8'), 'far');
  t.false((await lstat(scene.there('follow', 'to-file'))).isSymbolicLink());
  await scene.ferry(['verify', '--links', 'follow', tree, scene.url('follow')]);

  // A link named itself is what it leads to, as for any tool.
  await scene.ferry(['upload', `${tree}/to-file`, scene.url('named')]);
  t.is(await readFile(scene.there('named'), 'utf8'), 'file');
});

testOnLinux(
  'promise 7: contained: a daemon follows no link, and a client puts nothing through one',
  async (t) => {
    const scene = await setScene(t);
    await mkdir(scene.at('outside'));
    await writeFile(scene.at('outside', 'secret'), 'secret');
    await symlink(scene.at('outside'), scene.there('link'));
    await symlink(scene.at('outside', 'secret'), scene.there('secret'));
    await writeFile(scene.at('mine'), 'mine');
    await mkdir(scene.at('mine tree', 'link'), { recursive: true });
    await writeFile(scene.at('mine tree', 'link', 'secret'), 'mine');
    await writeFile(scene.at('mine tree', 'beside'), 'beside');
    for (const args of [
      ['download', scene.url('link/secret'), scene.at('got')],
      ['ls', scene.url('link')],
      ['upload', scene.at('mine'), scene.url('link/new')],
      ['rm', scene.url('link/secret')],
      ['mkdir', scene.url('link/new')],
      ['mv', scene.url('link/secret'), '/taken'],
      ['download', scene.url('secret'), scene.at('got')],
    ]) {
      const { code, stderr } = await runFerry(args);
      t.is(code, 4, `${args.join(' ')}: ${stderr}`);
      t.notRegex(stderr, /outside/, 'where a link leads is not told');
    }
    const tree = await scene.ferry(['upload', `${scene.at('mine tree')}/`, scene.url()], 23);
    t.is(tree.summary?.files, 1);
    t.deepEqual(await readdir(scene.at('outside')), ['secret']);
    t.is(await readFile(scene.at('outside', 'secret'), 'utf8'), 'secret');

    // In listings and downloads of folders they are told of.
    const down = await scene.ferry(['download', scene.url(), scene.at('back')]);
    t.deepEqual(warnings(down), ['link', 'secret']);

    // A planted link under the download's target.
    await mkdir(scene.there('sub'));
    await writeFile(scene.there('sub', 'file'), 'sub');
    await mkdir(scene.at('target'));
    await symlink(scene.at('outside'), scene.at('target', 'sub'));
    const planted = await scene.ferry(['download', scene.url('sub'), scene.at('target')], 23);
    t.true((planted.summary?.failed ?? 0) > 0);
    t.deepEqual(await readdir(scene.at('outside')), ['secret']);

    // A link where a file goes is replaced, not written through.
    await scene.ferry(['upload', scene.at('mine'), scene.url('secret')]);
    t.is(await readFile(scene.there('secret'), 'utf8'), 'mine');
    t.is(await readFile(scene.at('outside', 'secret'), 'utf8'), 'secret');
    await unlink(scene.there('link'));
  },
);

testOnLinux(
  'special files are skipped with a warning, up and down, and named ones refused',
  async (t) => {
    const scene = await setScene(t);
    for (const folder of [scene.at('tree'), scene.there('tree')]) {
      await mkdir(folder);
      await writeFile(`${folder}/file`, 'file');
      await run('mkfifo', [`${folder}/fifo`]);
    }
    const up = await scene.ferry(['upload', scene.at('tree'), scene.url('up/')]);
    t.deepEqual(warnings(up), ['tree/fifo']);
    t.deepEqual(files(up), ['tree/file']);
    const down = await scene.ferry(['download', scene.url('tree'), scene.at('back')]);
    t.deepEqual(warnings(down), ['tree/fifo']);
    await scene.ferry(['upload', scene.at('tree', 'fifo'), scene.url('up/')], 2);
    await scene.ferry(['download', scene.url('tree/fifo'), scene.at('back')], 2);
    const text = await runFerry(['upload', scene.at('tree'), scene.url('up/')]);
    t.regex(text.stderr, /special file/);
  },
);

testAsRoot('a source reaches over mounted file systems, a share does not', async (t) => {
  const scene = await setScene(t);
  const mounted: string[] = [];
  t.teardown(async () => {
    for (const place of mounted) await run('umount', ['-l', place]);
  });
  for (const folder of [scene.at('tree'), scene.there('tree')]) {
    await mkdir(`${folder}/mnt`, { recursive: true });
    await writeFile(`${folder}/file`, 'file');
    await run('mount', ['-t', 'tmpfs', '-o', 'size=1m', 'tmpfs', `${folder}/mnt`]);
    mounted.push(`${folder}/mnt`);
    await writeFile(`${folder}/mnt/far`, 'far');
  }
  await scene.ferry(['upload', scene.at('tree'), scene.url('up/')]);
  t.is(await readFile(scene.there('up', 'tree', 'mnt', 'far'), 'utf8'), 'far');
  await scene.ferry(['download', scene.url('tree/mnt/far'), scene.at('got')], 4);
  const down = await scene.ferry(['download', scene.url('tree'), scene.at('back')], 23);
  t.is(await readFile(scene.at('back', 'tree', 'file'), 'utf8'), 'file');
  t.is(down.summary?.files, 1);
});
