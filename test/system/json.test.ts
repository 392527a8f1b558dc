/** `--json` is a contract: what every command writes is what docs/json.md says. */
import { chmod, mkdir, readFile, symlink, writeFile } from 'node:fs/promises';
import path from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { root } from '../helpers/root.ts';
import { type FerryResult, type FerrySettings, runFerry } from './helpers/ferry.ts';
import { MiB, randomBytes, writeRandomFile } from './helpers/files.ts';
import { Proxy } from './helpers/proxy.ts';
import { setScene } from './helpers/scene.ts';

interface Field {
  readonly types: readonly string[];
  readonly optional: boolean;
}

/** Fields by event type, as the tables of docs/json.md have them. */
async function documented(): Promise<Map<string, Map<string, Field>>> {
  const text = await readFile(path.join(root, 'docs', 'json.md'), 'utf8');
  const events = new Map<string, Map<string, Field>>();
  for (const section of text.split(/^### /m).slice(1)) {
    const name = /^`(\w+)`/.exec(section)?.[1];
    if (name === undefined) continue;
    const fields = new Map<string, Field>();
    for (const [, field, type = ''] of section.matchAll(/^\| *`(\w+)` *\| *([^|]+?) *\|/gm)) {
      const optional = type.includes('optional');
      const types = type.replace(', optional', '').split(' or ');
      fields.set(field ?? '', { types, optional });
    }
    events.set(name, fields);
  }
  return events;
}

function fits(value: unknown, type: string): boolean {
  switch (type) {
    case 'number':
      return typeof value === 'number' && Number.isFinite(value);
    case 'string':
    case 'object':
    case 'boolean':
      return typeof value === type && value !== null;
    case 'null':
      return value === null;
    case 'array of numbers':
      return Array.isArray(value) && value.every((item) => typeof item === 'number');
    case 'array of strings':
      return Array.isArray(value) && value.every((item) => typeof item === 'string');
    default:
      return JSON.stringify(value) === type.replaceAll('`', '');
  }
}

type Line = Readonly<Record<string, unknown>>;

/** Parses what should be nothing but events. */
function linesOf(t: ExecutionContext, text: string): Line[] {
  t.true(text.endsWith('\n'));
  return text
    .slice(0, -1)
    .split('\n')
    .map((line) => JSON.parse(line) as Line);
}

const progressGapMs = 100;

async function checkEvents(
  t: ExecutionContext,
  lines: readonly Line[],
  result: FerryResult,
): Promise<void> {
  const contract = await documented();
  for (const line of lines) {
    const fields = contract.get(line['type'] as string);
    if (fields === undefined) {
      t.fail(`no such event: ${JSON.stringify(line)}`);
      continue;
    }
    for (const [name, { types, optional }] of fields) {
      if (optional && !(name in line)) continue;
      const found = types.some((type) => fits(line[name], type));
      t.true(found, `${name} in ${JSON.stringify(line)}`);
    }
    for (const name of Object.keys(line)) t.true(fields.has(name), `${name} is not documented`);
  }
  t.is(lines.at(-1)?.['type'], 'summary');
  t.is(lines.filter(({ type }) => type === 'summary').length, 1);
  t.is(lines.at(-1)?.['exitCode'], result.code);
  const starts = lines.filter(({ type }) => type === 'start');
  if (starts.length > 0) t.is(lines[0]?.['type'], 'start');
  t.true(starts.length <= 1);
}

test.serial('promise 8: scriptable: every command writes what docs/json.md says', async (t) => {
  const scene = await setScene(t);
  await mkdir(scene.at('tree', 'sub'), { recursive: true });
  await writeFile(scene.at('tree', 'small'), 'small');
  await writeFile(scene.at('tree', 'sub', 'page.html'), '<p>');
  await writeRandomFile(scene.at('tree', 'sub', 'large'), 3 * MiB);
  await symlink('small', scene.at('tree', 'link'));
  await writeFile(Buffer.concat([Buffer.from(scene.at('tree', 'bad')), Buffer.from([0xff])]), 'x');
  await mkdir(scene.at('other', 'sub'), { recursive: true });
  await writeFile(scene.at('other', 'small'), 'SMALL');
  await writeFile(scene.at('other', 'sub', 'large'), 'shorter');
  await writeFile(scene.at('other', 'more'), 'more');
  const { url } = scene;
  const commands: [string[], number][] = [
    [['upload', scene.at('tree'), url()], 23],
    [['upload', '--digest', 'sha256', scene.at('tree'), url()], 23],
    [['upload', '-n', '--exclude', '*.html', scene.at('tree'), url('planned')], 23],
    [['download', url('tree'), scene.at('back')], 0],
    [['download', '--digest', 'sha256', url('tree'), scene.at('hashed')], 0],
    [['ls', '-R', url()], 0],
    [['stat', url('tree/sub/page.html')], 0],
    [['mkdir', '-p', url('a/b'), url('c')], 0],
    [['mv', url('a/b'), '/d'], 0],
    [['verify', scene.at('back', 'tree'), url('tree')], 0],
    [['verify', scene.at('other'), url('tree')], 6],
    [['bench', 'net', url(), '--bytes', '4M', '--interval', '50ms'], 0],
    [['bench', 'e2e', url(), '--bytes', '1M', '--direction', 'both', '--min-rate', '1000G'], 28],
    [['bench', 'disk-write', url('missing/..'), '--bytes', '1M'], 2],
    [['rm', '-r', url('a'), url('missing'), url('c')], 23],
    [['rm', url('missing')], 3],
    [['download', url('missing'), scene.at('got')], 3],
    [['upload', scene.at('missing'), url()], 3],
    [['upload', '--frobnicate', 'x', url()], 2],
    [['ls', 'ferry+tcp://127.0.0.1:1/'], 35],
  ];
  const seen = new Set<unknown>();
  for (const [args, code] of commands) {
    const [command = '', ...rest] = args;
    const result = await runFerry([command, '--json', ...rest]);
    t.is(result.code, code, `${args.join(' ')}\n${result.stderr}`);
    const lines = linesOf(t, result.stdout.toString());
    await checkEvents(t, lines, result);
    for (const { type } of lines) seen.add(type);
    if (lines[0]?.['type'] === 'start') t.is(lines[0]['command'], command);
    else t.is(code, 2, 'only a wrong command line gives no start');
    // Whatever ends the whole is said for people, too; the rest is silence.
    if (result.stderr !== '') t.regex(result.stderr, /^(ferry: [^\n]+\n)+$/);
  }
  for (const type of [
    'difference',
    'entry',
    'error',
    'file',
    'interval',
    'progress',
    'start',
    'summary',
    'warning',
  ]) {
    t.true(seen.has(type), `${type} was seen`);
  }
});

test.serial('what the events say is true', async (t) => {
  const scene = await setScene(t);
  await mkdir(scene.at('tree', 'sub'), { recursive: true });
  await writeFile(scene.at('tree', 'a.html'), 'content');
  await chmod(scene.at('tree', 'a.html'), 0o640);
  await writeRandomFile(scene.at('tree', 'sub', 'large'), 100_000);
  const { execFileSync } = await import('node:child_process');
  execFileSync('touch', ['-d', '2001-02-03T04:05:06.5Z', scene.at('tree', 'a.html')]);
  const up = await scene.ferry(['upload', '--digest', 'sha256', scene.at('tree'), scene.url()]);
  const sha = execFileSync('sha256sum', [scene.at('tree', 'sub', 'large')], { encoding: 'utf8' });
  const large = up.events.find((event) => event.type === 'file' && event.path === 'tree/sub/large');
  t.like(large, { outcome: 'stored', bytes: 100_000, sha256: sha.slice(0, 64) });
  t.like(up.summary, { files: 2, directories: 2, bytes: 100_007, bytesSent: 100_007, failed: 0 });
  const down = await scene.ferry([
    'download',
    '--digest',
    'sha256',
    scene.url('tree'),
    scene.at('back'),
  ]);
  const again = down.events.find(
    (event) => event.type === 'file' && event.path === 'tree/sub/large',
  );
  t.like(again, { outcome: 'stored', sha256: sha.slice(0, 64) });
  const stat = await scene.ferry(['stat', scene.url('tree/a.html')]);
  t.like(
    stat.events.find(({ type }) => type === 'entry'),
    {
      path: 'tree/a.html',
      kind: 'file',
      size: 7,
      mtime: '2001-02-03T04:05:06.500000000Z',
      mode: 0o640,
      contentType: 'text/html',
    },
  );
  const { seconds = 0, bytesSent = 0, bytesPerSecond = 0 } = up.summary ?? {};
  t.true(Math.abs(bytesPerSecond - bytesSent / seconds) < 0.05 * bytesPerSecond + 1);
});

test.serial('progress comes at most ten times a second, whole lines each', async (t) => {
  const scene = await setScene(t);
  await writeRandomFile(scene.at('file'), 6 * MiB);
  const startedAtMs = performance.now();
  const { events } = await scene.ferry([
    'upload',
    '--bwlimit',
    '4M',
    scene.at('file'),
    scene.url(),
  ]);
  const tookMs = performance.now() - startedAtMs;
  const progress = events.filter(({ type }) => type === 'progress');
  t.true(progress.length >= 5, `${progress.length} in ${tookMs} ms`);
  t.true(progress.length <= tookMs / progressGapMs + 1, `${progress.length} in ${tookMs} ms`);
  let before = 0;
  for (const event of progress) {
    if (event.type !== 'progress') continue;
    t.true(event.bytesSent >= before);
    before = event.bytesSent;
  }
});

test.serial('stdout holds nothing but content when content goes there', async (t) => {
  const scene = await setScene(t);
  const content = randomBytes('stdout', 3 * MiB);
  await writeFile(scene.there('file'), content);
  for (const flags of [['--json'], ['-v'], ['-q'], ['-P'], []]) {
    const result = await runFerry(['download', ...flags, scene.url('file'), '-']);
    t.is(result.code, 0);
    t.true(result.stdout.equals(content), flags.join(' '));
    if (flags.includes('--json')) await checkEvents(t, linesOf(t, result.stderr), result);
    if (flags.includes('-q')) t.is(result.stderr, '');
  }
  const failed = await runFerry(['download', '--json', scene.url('missing'), '-']);
  t.is(failed.stdout.length, 0);
  await checkEvents(t, linesOf(t, failed.stderr), failed);
});

test.serial('a lost connection, a signal and a time limit end with a summary, too', async (t) => {
  const scene = await setScene(t);
  await writeRandomFile(scene.at('file'), 12 * MiB);
  const run = async (args: string[], settings: FerrySettings = {}): Promise<FerryResult> => {
    const result = await runFerry(['upload', '--json', ...args], settings);
    await checkEvents(t, linesOf(t, result.stdout.toString()), result);
    return result;
  };
  const proxy = await Proxy.start(scene.daemon.port, {
    cut: { direction: 'up', afterBytes: 4 * MiB },
  });
  const cut = await run([scene.at('file'), proxy.url('cut')]);
  t.is(cut.code, 0);
  t.true(cut.events.some(({ type }) => type === 'retry'));
  await proxy.close();
  const limited = ['--bwlimit', '2M', scene.at('file')];
  t.is((await run(['--max-duration', '1s', ...limited, scene.url('timed')])).code, 30);
  for (const [signal, code] of [
    ['SIGINT', 130],
    ['SIGTERM', 143],
  ] as const) {
    const { startFerry } = await import('./helpers/ferry.ts');
    const ferry = startFerry(['upload', '--json', ...limited, scene.url(signal)], {
      onEvent: (event) => {
        if (event.type === 'progress' && event.bytesSent > 0) ferry.kill(signal);
      },
    });
    const result = await ferry.result;
    t.is(result.code, code, result.stderr);
    await checkEvents(t, linesOf(t, result.stdout.toString()), result);
    t.regex(result.stderr, /same command again/);
    const again = await run([scene.at('file'), scene.url(signal)]);
    t.is(again.code, 0);
    t.true((again.summary?.bytesReused ?? 0) > 0);
  }
});
