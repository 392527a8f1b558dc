/** `ferry bench` with the real programs. */
import { readdir, readFile } from 'node:fs/promises';
import test, { type ExecutionContext } from 'ava';
import type { IntervalEvent, SummaryEvent } from '../../client/events.ts';
import type { BenchSummary } from '../../client/measure/summary.ts';
import { root } from '../helpers/root.ts';
import { runFerryd } from './helpers/daemon.ts';
import { type FerrySettings, runFerry, startFerry } from './helpers/ferry.ts';
import { type Scene, setScene } from './helpers/scene.ts';
import { until } from './helpers/wait.ts';

const MiB = 1024 * 1024;

interface Found {
  readonly summary: SummaryEvent;
  readonly bench: BenchSummary;
  readonly intervals: readonly IntervalEvent[];
}

async function bench(
  scene: Scene,
  args: readonly string[],
  code = 0,
  settings?: FerrySettings,
): Promise<Found> {
  const [mode = '', ...options] = args;
  const words = ['bench', mode, scene.url(), '--folder', scene.folder.path, ...options];
  const { events, summary } = await scene.ferry(words, code, settings);
  if (summary?.bench === undefined) throw new Error('The summary is none of a bench.');
  const intervals = events.filter((event) => event.type === 'interval');
  return { summary, bench: summary.bench, intervals };
}

const stagingOf = async (folder: string): Promise<string[]> =>
  (await readdir(`${folder}/.chunkferry`).catch(() => [])).filter((name) => name !== 'lock');

async function leavesNothing(t: ExecutionContext, scene: Scene): Promise<void> {
  t.deepEqual(await readdir(scene.served), ['.chunkferry']);
  await until('staging is empty', async () => (await stagingOf(scene.served)).length === 0);
  t.deepEqual(await stagingOf(scene.folder.path), []);
}

for (const mode of ['net', 'disk-write', 'disk-read', 'e2e'] as const) {
  test.serial(`${mode} moves what is asked for, both ways, and leaves nothing`, async (t) => {
    const scene = await setScene(t);
    const { summary, bench: found } = await bench(scene, [
      mode,
      '--bytes',
      '6M',
      '--direction',
      'both',
    ]);
    t.is(summary.bytes, 12 * MiB);
    t.deepEqual(
      found.directions.map(({ direction, bytes }) => [direction, bytes]),
      [
        ['up', 6 * MiB],
        ['down', 6 * MiB],
      ],
    );
    t.is(summary.bytesPerSecond * 8, found.bitsPerSecond);
    const onDisk = mode.startsWith('disk') ? 6 * MiB : 0;
    t.is(found.clientDataBytes, onDisk);
    t.is(found.daemonDataBytes, onDisk);
    t.true((found.daemonMemoryBytes ?? 0) > 0);
    t.is(found.mode, mode);
    await leavesNothing(t, scene);
  });
}

test.serial('hash hashes at both ends, and moves nothing', async (t) => {
  const scene = await setScene(t);
  const { bench: found } = await bench(scene, ['hash', '--duration', '300ms']);
  t.deepEqual(
    found.directions.map(({ bottleneck }) => bottleneck),
    ['client CPU', 'daemon CPU'],
  );
  for (const { bytes } of found.directions) t.true(bytes > 0);
});

test.serial(
  'a time: intervals follow one another, warm-up does not count, all settings are told',
  async (t) => {
    const scene = await setScene(t);
    const options = ['--duration', '1s', '--omit', '500ms', '--interval', '250ms'];
    const load = [
      '--clients',
      '2',
      '--connections',
      '2',
      '--chunk',
      '16k',
      '--bytes-per-write',
      '128k',
    ];
    const { intervals, summary, bench: found } = await bench(scene, ['net', ...options, ...load]);
    t.true(intervals.length >= 3);
    for (const [i, { from, to, bytes, bytesPerSecond, bitsPerSecond }] of intervals.entries()) {
      t.is(from, intervals[i - 1]?.to ?? 0);
      t.is(bitsPerSecond, 8 * bytesPerSecond);
      t.true(to >= from && bytes >= 0);
    }
    t.true(intervals[0]?.omitted);
    t.false(intervals.at(-1)?.omitted);
    const counted = intervals.filter(({ omitted }) => !omitted);
    t.is(
      summary.bytes,
      counted.reduce((sum, { bytes }) => sum + bytes, 0),
    );
    t.true(summary.seconds >= 0.99);
    t.true((found.pingMs?.count ?? 0) > 0);
    t.true((found.completeMs?.count ?? 0) > 0);
    const { clients, connections, chunkBytes, writeBytes, omitMs, durationMs, checksums } =
      found.settings;
    t.deepEqual([clients, connections, chunkBytes, writeBytes], [2, 2, 16_384, 131_072]);
    t.deepEqual([omitMs, durationMs, checksums], [500, 1000, true]);
  },
);

test.serial('the fields of the summary are those of docs/bench.md', async (t) => {
  const scene = await setScene(t);
  const { bench: found } = await bench(scene, ['net', '--bytes', '1M', '--no-checksum']);
  const page = await readFile(`${root}/docs/bench.md`, 'utf8');
  const [, table = ''] = /The field `bench` of the summary:\n(.*?)\n## /s.exec(page) ?? [];
  const documented = [...table.matchAll(/^\| `(\w+)`/gm)].map(([, name]) => name);
  t.deepEqual(documented, Object.keys(found));
  t.is(found.settings['checksums'], false);
});

test.serial('a slower result than --min-rate is exit 28, a faster one is 0', async (t) => {
  const scene = await setScene(t);
  const { summary } = await bench(scene, ['net', '--bytes', '1M', '--min-rate', '1000G'], 28);
  t.is(summary.bytes, MiB);
  await bench(scene, ['net', '--bytes', '1M', '--min-rate', '1k']);
});

async function token(t: ExecutionContext, state: string, ...args: string[]): Promise<string> {
  const words = ['token', 'add', `t${args.join('').length}`, ...args, '--state', state];
  const { code, stdout } = await runFerryd(words);
  t.is(code, 0);
  return stdout.trim();
}

test.serial("it keeps to its token's rate, both ways", async (t) => {
  const { tempFolder } = await import('./helpers/files.ts');
  const state = await tempFolder();
  t.teardown(() => state.remove());
  // Made before the daemon starts, which knows it from the first moment then.
  const secret = await token(t, state.path, '--scope', 'bench', '--rate', '1M');
  const scene = await setScene(t, { state: state.path });
  for (const direction of ['up', 'down']) {
    const args = ['net', '--bytes', '3M', '--direction', direction];
    const { summary } = await bench(scene, args, 0, { env: { FERRY_TOKEN: secret } });
    t.true(summary.seconds > 2, `${direction}: ${summary.seconds} s`);
  }
});

test.serial('it takes the scope bench and no other, and no quota', async (t) => {
  const { tempFolder } = await import('./helpers/files.ts');
  const state = await tempFolder();
  t.teardown(() => state.remove());
  const scene = await setScene(t, { state: state.path });
  const others = await token(t, state.path, '--scope', 'read,write,delete');
  const only = await token(t, state.path, '--scope', 'bench', '--quota', '1k');
  // The daemon watches its file of tokens: until it has read it again, neither is known.
  const withToken = (secret: string, mode: string) =>
    runFerry(['bench', mode, scene.url(), '--json', '--bytes', '1M', '--direction', 'both'], {
      env: { FERRY_TOKEN: secret },
      cwd: scene.folder.path,
    });
  await until('the daemon knows the tokens', async () => {
    const { events } = await withToken(only, 'net');
    return !events.some((event) => event.type === 'error' && event.failure === 'authentication');
  });
  for (const mode of ['net', 'disk-write', 'disk-read', 'hash', 'e2e']) {
    const { code, events } = await withToken(others, mode);
    t.is(code, 4, mode);
    const error = events.find((event) => event.type === 'error');
    t.regex(error?.message ?? '', /does not allow to bench/);
  }
  for (const mode of ['net', 'disk-write', 'disk-read', 'hash', 'net']) {
    const { code, stderr } = await withToken(only, mode);
    t.is(code, 0, `${mode}: ${stderr}`);
  }
  await leavesNothing(t, scene);
});

test.serial(
  'a daemon that is killed while its disk is measured leaves nothing in staging',
  async (t) => {
    const scene = await setScene(t);
    const args = [
      'bench',
      'disk-write',
      scene.url(),
      '--json',
      '--duration',
      '1m',
      '--rate',
      '20M',
    ];
    let isFlowing = false;
    const ferry = startFerry([...args, '--interval', '100ms'], {
      onEvent: (event) => {
        isFlowing ||= event.type === 'interval' && event.bytes > 0;
      },
    });
    await until('content flows', () => isFlowing);
    await scene.daemon.kill9();
    t.deepEqual(await stagingOf(scene.served), []);
    t.is((await ferry.result).code, 5);
    await scene.restart();
    await bench(scene, ['disk-write', '--bytes', '1M']);
    await leavesNothing(t, scene);
  },
);

test.serial('limits of the daemon are told by name, exit 8', async (t) => {
  const limits = ['--limit', 'benchBytes=2M', '--limit', 'benches=2'];
  const scene = await setScene(t, { args: limits });
  const run = async (...args: string[]): Promise<string> => {
    const words = ['bench', args[0] ?? '', scene.url(), '--json', ...args.slice(1)];
    const { code, stderr } = await runFerry(words, { cwd: scene.folder.path });
    t.is(code, 8, stderr);
    return stderr;
  };
  t.regex(await run('disk-write', '--bytes', '8M'), /benchBytes/);
  t.regex(await run('net', '--duration', '5s', '--connections', '3'), /benches/);
  await leavesNothing(t, scene);
});

test.serial('benchMs: no measurement goes on for longer, whatever was asked', async (t) => {
  const scene = await setScene(t, { args: ['--limit', 'benchMs=1000'] });
  const words = ['bench', 'net', scene.url(), '--json', '--duration', '1m', '--direction', 'up'];
  const { code, stderr } = await runFerry(words, { cwd: scene.folder.path });
  t.is(code, 8, stderr);
  t.regex(stderr, /benchMs/);
});

test.serial('interrupted, it sums up what it saw, and leaves nothing', async (t) => {
  const scene = await setScene(t);
  const words = ['bench', 'e2e', scene.url(), '--json', '--duration', '1m', '--rate', '20M'];
  let isFlowing = false;
  const ferry = startFerry([...words, '--interval', '100ms'], {
    onEvent: (event) => {
      isFlowing ||= event.type === 'interval' && event.bytes > 0;
    },
  });
  await until('content flows', () => isFlowing);
  ferry.kill('SIGINT');
  const { code, summary } = await ferry.result;
  t.is(code, 130);
  t.true((summary?.bench?.directions[0]?.bytes ?? 0) > 0);
  await leavesNothing(t, scene);
});

test.serial(
  'csv, text and the report are written; usage is checked before anything is measured',
  async (t) => {
    const scene = await setScene(t);
    const report = scene.at('report.html');
    const words = ['bench', 'net', scene.url(), '--bytes', '2M'];
    const csv = await runFerry([...words, '--csv', '--report', report]);
    t.is(csv.code, 0, csv.stderr);
    const lines = csv.stdout.toString().split('\r\n');
    t.true(lines[0]?.startsWith('row,from,to,omitted,bytes,'));
    t.true(lines.some((line) => line.startsWith('summary,')));
    t.regex(await readFile(report, 'utf8'), /^<!doctype html>.*<svg .*<\/html>\n$/s);
    const text = await runFerry(words);
    t.regex(text.stdout.toString(), /^net: 2\.0 MiB in .*\n/m);
    t.regex(text.stdout.toString(), /^bottleneck: .*\n {2}of the time: sender thread/m);
    for (const [args, code] of [
      [['disk', scene.url()], 2],
      [['net', scene.url(), '--chunk', '1'], 2],
      [['net', scene.url(), '--chunk', '8M'], 2],
      [['net', scene.url(), '--bytes', '1M', '--duration', '1s'], 2],
      [['net', scene.url(), '--bytes-per-write', '1k'], 2],
      [['e2e', scene.url(), '--no-checksum'], 2],
      [['net', scene.url(), '--csv', '--json'], 2],
      [['net', scene.folder.path], 2],
      [['net', scene.url(), '--report', scene.at('missing', 'report.html')], 1],
    ] as [string[], number][]) {
      const result = await runFerry(['bench', ...args]);
      t.is(result.code, code, `${args.join(' ')}: ${result.stderr}`);
      if (!args.includes('--json')) t.is(result.stdout.toString(), '');
    }
  },
);
