/** What the options of uploads and downloads do, and the commands that move nothing. */
import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import {
  chmod,
  mkdir,
  open,
  readdir,
  readFile,
  rm,
  stat,
  utimes,
  writeFile,
} from 'node:fs/promises';
import { promisify } from 'node:util';
import test from 'ava';
import type { DifferenceEvent, FerryEvent, FileEvent } from '../../client/events.ts';
import { type FerryResult, runFerry, startFerry } from './helpers/ferry.ts';
import { differences, flipBit, MiB, writeRandomFile } from './helpers/files.ts';
import { Proxy } from './helpers/proxy.ts';
import { type Scene, setScene } from './helpers/scene.ts';

const run = promisify(execFile);
const KiB = 1024;
const hour = 3_600;

const outcomes = ({ events }: { events: readonly FerryEvent[] }): Record<string, string> =>
  Object.fromEntries(
    events
      .filter((event): event is FileEvent => event.type === 'file')
      .map(({ path, outcome }) => [path, outcome]),
  );

/** The same command both ways: from `from` to `to`, which hold the same names. */
const ways = (scene: Scene): [string, (args: string[]) => string[], string, string][] => [
  [
    'up',
    (args) => ['upload', ...args, scene.at('here/'), scene.url('there')],
    scene.at('here'),
    scene.there('there'),
  ],
  [
    'down',
    (args) => ['download', ...args, scene.url('there/'), scene.at('here')],
    scene.there('there'),
    scene.at('here'),
  ],
];

test.serial('--overwrite always, newer and never, both ways, small files and large', async (t) => {
  const scene = await setScene(t);
  for (const [way, command, from, to] of ways(scene)) {
    const now = Date.now() / 1000;
    const names = ['older', 'newer', 'same'];
    for (const size of [100, 100_000]) {
      for (const name of names) {
        for (const [folder, seed] of [
          [from, 'source'],
          [to, 'target'],
        ] as const) {
          await mkdir(folder, { recursive: true });
          const file = `${folder}/${name}-${size}`;
          await writeRandomFile(file, size, name === 'same' ? name : seed);
          const shift = folder === from && name !== 'same' ? (name === 'newer' ? hour : -hour) : 0;
          await utimes(file, now, Math.floor(now) + shift);
        }
      }
    }
    const expect = async (args: string[], older: string, newer: string): Promise<void> => {
      const found = outcomes(await scene.ferry(command(args)));
      for (const [path, outcome] of Object.entries(found)) {
        const expected = path.includes('older')
          ? older
          : path.includes('newer')
            ? newer
            : undefined;
        if (expected !== undefined) t.is(outcome, expected, `${way} ${args.join(' ')} ${path}`);
        else t.true(outcome === 'unchanged' || outcome === 'skipped', path);
      }
      t.is(Object.keys(found).length, 6);
    };
    await expect(['--overwrite', 'never'], 'skipped', 'skipped');
    await expect(['--overwrite', 'newer'], 'skipped', 'stored');
    await expect(['--overwrite', 'newer'], 'skipped', 'unchanged');
    await expect([], 'stored', 'unchanged');
    t.deepEqual(await differences(from, to), []);
    await rm(scene.at('here'), { recursive: true });
    await rm(scene.there('there'), { recursive: true });
  }
});

test.serial(
  '--checksum finds what size and time hide, and sends nothing that is there',
  async (t) => {
    const scene = await setScene(t);
    for (const [way, command, from, to] of ways(scene)) {
      await mkdir(from, { recursive: true });
      for (const size of [100, 65_537, 9 * MiB])
        await writeRandomFile(`${from}/${size}`, size, way);
      await scene.ferry(command([]));
      // The same size and time, another byte; and the same content with another time.
      await flipBit(`${to}/${9 * MiB}`, 5_000_000);
      for (const folder of [from, to]) await utimes(`${folder}/${9 * MiB}`, 1, 2_000_000);
      await utimes(`${to}/65537`, 1, 1_000_000);
      const blind = await scene.ferry(command(['-n']));
      t.is(outcomes(blind)[`${way === 'up' ? 'here/' : ''}${9 * MiB}`], 'unchanged');
      const seeing = await scene.ferry(command(['--checksum']));
      t.true((seeing.summary?.bytesSent ?? 0) <= 9 * MiB, `${way} ${seeing.summary?.bytesSent}`);
      t.true((seeing.summary?.bytesSent ?? 0) > 0);
      t.deepEqual(await differences(from, to), [], way);
      t.is((await scene.ferry(command(['--checksum']))).summary?.bytesSent, 0);
      await rm(scene.at('here'), { recursive: true });
      await rm(scene.there('there'), { recursive: true });
    }
  },
);

test.serial('--delta sends only the chunks that differ', async (t) => {
  const scene = await setScene(t);
  for (const [way, command, from, to] of ways(scene)) {
    await mkdir(from, { recursive: true });
    await writeRandomFile(`${from}/file`, 20 * MiB, way);
    await scene.ferry(command([]));
    const file = await open(`${from}/file`, 'r+');
    for (const at of [0, 3 * MiB, 17 * MiB + 5]) await file.write(Buffer.from('changed'), 0, 7, at);
    await file.write(Buffer.alloc(1_000, 'longer'), 0, 1_000, 20 * MiB);
    await file.close();
    const { summary } = await scene.ferry(command(['--delta']));
    // Three in the middle, the end, and what was the last one before.
    const chunks = 5;
    t.true((summary?.bytesSent ?? 0) <= chunks * 64 * KiB, `${way}: ${summary?.bytesSent}`);
    t.true((summary?.bytesReused ?? 0) >= 20 * MiB - chunks * 64 * KiB);
    t.deepEqual(await differences(from, to), [], way);
    await rm(scene.at('here'), { recursive: true });
    await rm(scene.there('there'), { recursive: true });
  }
});

test.serial('--modify-window lets times differ', async (t) => {
  const scene = await setScene(t);
  await mkdir(scene.at('here'));
  await writeFile(scene.at('here', 'file'), 'file');
  await utimes(scene.at('here', 'file'), 1_000, 1_000);
  await scene.ferry(['upload', scene.at('here/'), scene.url('there')]);
  await utimes(scene.at('here', 'file'), 1_001.5, 1_001.5);
  const up = (window: string): string[] => [
    'upload',
    '-n',
    '--modify-window',
    window,
    scene.at('here/'),
    scene.url('there'),
  ];
  t.is(outcomes(await scene.ferry(up('2s')))['here/file'], 'unchanged');
  t.is(outcomes(await scene.ferry(up('1s')))['here/file'], 'planned');
});

test.serial('--no-resume starts over, without it the rest is sent', async (t) => {
  const scene = await setScene(t);
  await writeRandomFile(scene.at('file'), 48 * MiB);
  for (const [args, atLeast, atMost] of [
    [['--no-resume'], 48 * MiB, 48 * MiB],
    // What was left, a segment, and what was on its way.
    [[], 8 * MiB, (8 + 8 + 16) * MiB],
  ] as [string[], number, number][]) {
    const proxy = await Proxy.start(scene.daemon.port, {
      cut: { direction: 'up', afterBytes: 40 * MiB },
    });
    const broken = ['upload', '--retries', '0', scene.at('file'), proxy.url('file')];
    t.is((await runFerry(broken)).code, 5);
    await proxy.close();
    const { summary } = await scene.ferry(['upload', ...args, scene.at('file'), scene.url('file')]);
    const sent = summary?.bytesSent ?? 0;
    t.true(sent >= atLeast && sent <= atMost, `${args.join(' ')}: ${sent}`);
    t.deepEqual(await differences(scene.at('file'), scene.there('file')), []);
    await rm(scene.there('file'));
  }
});

test.serial('--bwlimit holds the rate, both ways, for large files and small', async (t) => {
  const scene = await setScene(t);
  const rate = 2 * MiB;
  await mkdir(scene.at('many'));
  for (let i = 0; i < 100; i += 1) await writeRandomFile(scene.at('many', `${i}`), 40 * KiB, i);
  await writeRandomFile(scene.at('large'), 4 * MiB);
  const cases = [
    ['upload', [], 'large', 'large'],
    ['download', [], 'large', 'back'],
    ['upload', [], 'many', ''],
    ['download', [], 'many', 'many back'],
    ['upload', ['--connections', '3'], 'large', 'again'],
  ] as const;
  for (const [i, [what, options, from, to]] of cases.entries()) {
    const run = async (target: string, ...limit: string[]) => {
      const ends =
        what === 'upload'
          ? [scene.at(from), scene.url(target)]
          : [scene.url(from), scene.at(target)];
      const { summary } = await scene.ferry([what, ...limit, ...options, ...ends]);
      return { bytes: summary?.bytesSent ?? 0, seconds: summary?.seconds ?? 0 };
    };
    const { bytes, seconds } = await run(to, '--bwlimit', '2M');
    // How slow the machine is at this moment: what it takes without a limit is not the limit's doing.
    const free = await run(`free ${i}`);
    const found = bytes / seconds / rate;
    t.log(`${what} ${from}: ${found.toFixed(2)} of the limit`);
    t.true(found < 1.25, `${what} ${from}: ${found}`);
    t.true(seconds < bytes / rate / 0.75 + 2 * free.seconds, `${what} ${from}: ${found}`);
  }
});

async function namesBelow(folder: string): Promise<string[]> {
  return (await readdir(folder, { recursive: true })).sort();
}

test.serial('--dry-run tells and changes nothing, anywhere', async (t) => {
  const scene = await setScene(t);
  await mkdir(scene.at('tree', 'sub'), { recursive: true });
  await writeFile(scene.at('tree', 'small'), 'small');
  await writeRandomFile(scene.at('tree', 'sub', 'large'), 200_000);
  await scene.ferry(['upload', scene.at('tree'), scene.url('old/')]);
  await writeFile(scene.there('old', 'tree', 'sub', 'more'), 'more');
  await rm(scene.there('.chunkferry'), { recursive: true, force: true });
  const before = [await namesBelow(scene.folder.path), (await stat(scene.there('old'))).mtimeMs];
  const planned = { files: 2, bytesSent: 0, failed: 0 };
  for (const [args, expected] of [
    [['upload', scene.at('tree'), scene.url()], planned],
    [['upload', scene.at('tree'), scene.url('old')], { ...planned, bytesReused: 200_005 }],
    [['upload', '--checksum', scene.at('tree'), scene.url('new/')], planned],
    [['upload', scene.at('tree', 'sub', 'large'), scene.url('file')], { ...planned, files: 1 }],
    [['upload', scene.at('tree', 'small'), scene.url('new/folder/')], { ...planned, files: 1 }],
    [['download', scene.url('old'), scene.at('back')], { ...planned, files: 3 }],
    [['download', scene.url('old/tree'), scene.folder.path], { ...planned, files: 3 }],
    [['download', scene.url('old/tree/small'), scene.at('new', 'name')], { ...planned, files: 1 }],
  ] as [string[], object][]) {
    const result = await scene.ferry([args[0] ?? '', '-n', ...args.slice(1)]);
    t.like(result.summary, expected, args.join(' '));
    const found = [await namesBelow(scene.folder.path), (await stat(scene.there('old'))).mtimeMs];
    t.deepEqual(found, before, args.join(' '));
  }
});

test.serial('--digest sha256 is what sha256sum says', async (t) => {
  const scene = await setScene(t);
  for (const size of [0, 5, 65_536, 9 * MiB + 1]) {
    await writeRandomFile(scene.at(`${size}`), size, size);
    const { stdout } = await run('sha256sum', [scene.at(`${size}`)]);
    const expected = stdout.slice(0, 64);
    const up = await scene.ferry([
      'upload',
      '--digest',
      'sha256',
      scene.at(`${size}`),
      scene.url(),
    ]);
    const down = ['download', '--digest', 'sha256', scene.url(`${size}`), scene.at('back/')];
    for (const { events } of [up, await scene.ferry(down)]) {
      const file = events.find((event): event is FileEvent => event.type === 'file');
      t.is(file?.sha256, expected, `${size}`);
    }
  }
});

test.serial('--max-duration ends with 30, and the same command completes it', async (t) => {
  const scene = await setScene(t);
  await writeRandomFile(scene.at('file'), 6 * MiB);
  await scene.ferry(['upload', scene.at('file'), scene.url('source')]);
  for (const args of [
    ['upload', scene.at('file'), scene.url('file')],
    ['download', scene.url('source'), scene.at('back')],
  ]) {
    const [command = '', ...rest] = args;
    const limited = [command, '--bwlimit', '3M', '--max-duration', '1s', ...rest];
    const stopped = await scene.ferry(limited, 30);
    t.true((stopped.summary?.seconds ?? 0) < 3);
    const again = await scene.ferry([command, ...rest]);
    t.true((again.summary?.bytesReused ?? 0) > 0);
  }
  t.deepEqual(await differences(scene.at('file'), scene.there('file')), []);
  t.deepEqual(await differences(scene.at('file'), scene.at('back')), []);
});

test.serial('--lock lets one run of a job in, and dies with it', async (t) => {
  const scene = await setScene(t);
  await writeRandomFile(scene.at('file'), 8 * MiB);
  const args = [
    'upload',
    '--json',
    '--lock',
    '--bwlimit',
    '1M',
    scene.at('file'),
    scene.url('file'),
  ];
  let begun: () => void = () => undefined;
  const moving = new Promise<void>((resolve) => {
    begun = resolve;
  });
  const first = startFerry(args, { onEvent: ({ type }) => void (type === 'progress' && begun()) });
  await moving;
  const second = await runFerry(args);
  t.is(second.code, 11, second.stderr);
  t.is(second.summary?.bytesSent, 0);
  // Another target is another job; so is the same one without --lock, which the daemon refuses.
  t.is((await runFerry(['upload', '--lock', scene.at('file'), scene.url('other')])).code, 0);
  t.is((await runFerry(['upload', scene.at('file'), scene.url('file')])).code, 11);
  first.kill('SIGKILL');
  await first.result;
  const third = await runFerry(['upload', '--json', '--lock', scene.at('file'), scene.url('file')]);
  t.is(third.code, 0, third.stderr);
});

// ---- commands that move nothing ------------------------------------------------------------------

const kinds = ({ events }: FerryResult): string[] =>
  events.flatMap((event) => (event.type === 'entry' ? [`${event.kind} ${event.path}`] : []));

test.serial('ls, stat, mkdir, rm and mv do what they say', async (t) => {
  const scene = await setScene(t);
  const { url } = scene;
  await scene.ferry(['mkdir', url('a')]);
  await scene.ferry(['mkdir', url('a')], 2);
  await scene.ferry(['mkdir', '-p', url('a'), url('b/c/d')]);
  await scene.ferry(['mkdir', url('x/y')], 3);
  await writeFile(scene.there('a', 'file'), 'file');
  await writeFile(scene.there('b', 'other'), 'other');
  t.deepEqual(kinds(await scene.ferry(['ls', url()])), ['directory a', 'directory b']);
  t.deepEqual(kinds(await scene.ferry(['ls', '-R', url()])), [
    'directory a',
    'file a/file',
    'directory b',
    'directory b/c',
    'directory b/c/d',
    'file b/other',
  ]);
  t.deepEqual(kinds(await scene.ferry(['ls', url('a/file')])), ['file file']);
  t.deepEqual(kinds(await scene.ferry(['stat', url()])), ['directory ']);
  t.deepEqual(kinds(await scene.ferry(['stat', url('a/file')])), ['file a/file']);
  const plain = await runFerry(['ls', url()]);
  t.is(plain.stdout.toString(), 'a/\nb/\n');
  const zero = await runFerry(['ls', '-0R', url('b')]);
  t.is(zero.stdout.toString(), 'c\0c/d\0other\0');

  await scene.ferry(['mv', url('a/file'), '/b/other'], 2);
  t.is(await readFile(scene.there('b', 'other'), 'utf8'), 'other');
  await scene.ferry(['mv', url('a'), '/b'], 2);
  await scene.ferry(['mv', url('a/file'), url('b/moved')]);
  await scene.ferry(['mv', url('b/c'), '/a/']);
  t.deepEqual(await namesBelow(scene.served), [
    '.chunkferry',
    '.chunkferry/lock',
    'a',
    'a/c',
    'a/c/d',
    'b',
    'b/moved',
    'b/other',
  ]);

  await scene.ferry(['rm', url('a')], 2);
  await scene.ferry(['rm', url('b/moved'), url('b/missing'), url('b/other')], 23);
  await scene.ferry(['rm', url('b')]);
  await scene.ferry(['rm', '-r', url('a')]);
  await scene.ferry(['rm', '-r', url()], 4);
  t.deepEqual(kinds(await scene.ferry(['ls', url()])), []);
});

test.serial('verify finds every kind of difference, and moves no content', async (t) => {
  const scene = await setScene(t);
  const tree = scene.at('tree');
  await mkdir(`${tree}/sub`, { recursive: true });
  for (const size of [0, 10, 65_537]) await writeRandomFile(`${tree}/sub/${size}`, size, size);
  await writeRandomFile(`${tree}/large`, 20 * MiB);
  await scene.ferry(['upload', tree, scene.url()]);
  await scene.ferry(['verify', tree, scene.url('tree')]);
  await scene.ferry(['verify', `${tree}/large`, scene.url('tree/large')]);

  await flipBit(scene.there('tree', 'large'), 9 * MiB);
  await flipBit(scene.there('tree', 'sub', '10'), 9);
  await writeFile(scene.there('tree', 'sub', '65537'), 'shorter');
  await writeFile(scene.there('tree', 'only there'), 'x');
  await writeFile(`${tree}/only here`, 'x');
  await mkdir(`${tree}/kind`);
  await writeFile(scene.there('tree', 'kind'), 'x');
  const proxy = await Proxy.start(scene.daemon.port);
  const { events, summary } = await scene.ferry(['verify', tree, proxy.url('tree')], 6);
  t.is(proxy.contentBytes('up') + proxy.contentBytes('down'), 0);
  t.is(summary?.bytesSent, 0);
  await proxy.close();
  const found = events
    .filter((event): event is DifferenceEvent => event.type === 'difference')
    .map(({ path, reason, segments }) => `${path} ${reason} ${segments?.join() ?? ''}`.trim())
    .sort();
  t.deepEqual(found, [
    'kind kind',
    'large content 1',
    'only here missing-there',
    'only there missing-here',
    'sub/10 content 0',
    'sub/65537 size',
  ]);
  const file = await scene.ferry(['verify', `${tree}/large`, scene.url('tree/large')], 6);
  t.true(file.events.some(({ type }) => type === 'difference'));
  await scene.ferry(['verify', tree, scene.url('tree/large')], 6);
});

test.serial('version, help and aliases', async (t) => {
  const scene = await setScene(t);
  await writeFile(scene.at('file'), 'file');
  const version = await runFerry(['version']);
  t.regex(version.stdout.toString(), /^ferry \d+\.\d+\.\d+, protocol 1, event schema 1\n$/);
  const json = JSON.parse((await runFerry(['version', '--json'])).stdout.toString()) as object;
  t.like(json, { protocol: 1, schema: 1 });
  for (const args of [['--version'], ['--help'], ['help', 'upload'], ['upload', '--help']]) {
    const { code, stdout, stderr } = await runFerry(args);
    t.deepEqual([code, stderr], [0, '']);
    t.true(stdout.length > 0);
  }
  t.is((await runFerry([])).code, 2);
  await scene.ferry(['put', scene.at('file'), scene.url('a')]);
  await scene.ferry(['get', scene.url('a'), scene.at('b')]);
  t.is(await readFile(scene.at('b'), 'utf8'), 'file');
  const verbose = await runFerry(['put', '-v', scene.at('file'), scene.url('c')]);
  t.regex(verbose.stderr, /protocol 1/);
  const quiet = await runFerry(['put', '-q', scene.at('file'), scene.url('d')]);
  t.deepEqual([quiet.stdout.length, quiet.stderr], [0, '']);
  t.true(existsSync(scene.there('d')));
  await chmod(scene.there('d'), 0o644);
});
