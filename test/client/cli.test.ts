import { mkdir, readFile, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import test from 'ava';
import { ferry, jsonLines, serve, startFerry } from './helpers/programs.ts';

const somewhere = 'ferry+tcp://127.0.0.1:1/a';
const elsewhere = 'ferry+tcp://127.0.0.2:1/a';

/** Command line, and what its one sentence says; `words` are split at spaces. */
const wrong: readonly (readonly [string, RegExp])[] = [
  ['uplaod a b', /unknown command 'uplaod'; did you mean upload\?/],
  [`upload --exlude x a ${somewhere}`, /unknown option '--exlude'; did you mean --exclude\?/],
  [`ls -z ${somewhere}`, /unknown option '-z'/],
  ['stat', /missing required argument 'remote'/],
  ['ls music', /"music" is not a remote: write it as/],
  ['ls nas:/music', /did you mean "ferry:\/\/nas\/music"\?/],
  ['ls ferry+tcp://nas:x/a', /needs a port/],
  ['ls ferry+tcp://nas/../a', /component "\.\."/],
  [`upload ${somewhere}`, /Name what to send/],
  ['upload a', /Name the remote to send it to/],
  [`upload ${somewhere} a`, /The remote comes last; to fetch, use ferry download/],
  [`upload ${somewhere} ${somewhere}`, /Both are remotes/],
  [`upload http://x/y ${somewhere}`, /neither a remote nor clearly a file/],
  [`download ${somewhere}`, /Name where to put it/],
  [`download a ${somewhere}`, /The remote comes first; to send, use ferry upload/],
  [`download ${somewhere} ${elsewhere} b`, /All remotes must be on the same daemon/],
  [`rm ${somewhere} ${elsewhere}`, /All remotes must be on the same daemon/],
  [`mv ${somewhere} ${elsewhere}`, /stays on one daemon/],
  [`mv ${somewhere} b`, /"b" is no target: write "\/b" or "ferry\+tcp:\/\/127\.0\.0\.1:1\/b"/],
  [`upload - a ${somewhere}`, /Stdin \(-\) is sent alone/],
  [`upload - ${somewhere}/`, /needs the name of a file/],
  [`upload -n - ${somewhere}`, /--dry-run cannot be used with -/],
  [`upload --files-from - --exclude-from - a ${somewhere}`, /Stdin \(-\) can be read for one/],
  [`upload -0 a ${somewhere}`, /-0 says how --files-from or --exclude-from is read/],
  [`upload --exclude-from - - ${somewhere}`, /can be read for one|cannot be used with -/],
  [`download ${somewhere}/ -`, /the remote names a folder/],
  [`download ${somewhere} ${somewhere}b -`, /Stdout \(-\) takes one file only/],
  [`download --digest sha256 ${somewhere} -`, /--digest cannot be used with -/],
  [`download --connections 2 ${somewhere} -`, /--connections cannot be used with -/],
  [`upload --retries x a ${somewhere}`, /It must be a whole number from 0/],
  [`upload --timeout 0 a ${somewhere}`, /more than nothing/],
  [`upload --bwlimit 1000 a ${somewhere}`, /with its unit/],
  [`upload --overwrite maybe a ${somewhere}`, /Allowed choices are always, newer, never/],
  [`upload --exclude= a ${somewhere}`, /pattern is empty/],
  [`ls -q -v ${somewhere}`, /cannot be used with option '-v, --verbose'/],
  [`verify ${somewhere} a`, /The local path comes first/],
];
for (const [line, says] of wrong) {
  test(`ferry ${line}: one sentence, exit 2`, async (t) => {
    const { exitCode, out, err } = await ferry(line.split(' '));
    t.is(exitCode, 2);
    t.is(out, '');
    t.regex(err, /^ferry: [^\n]+\n$/);
    t.regex(err, says);
  });
}

test('help is there, with examples, at once', async (t) => {
  const all = await ferry(['--help']);
  t.is(all.exitCode, 0);
  for (const text of ['upload|put', 'download|get', 'Examples:', 'FERRY_']) {
    t.true(all.out.includes(text), text);
  }
  const one = await ferry(['help', 'upload']);
  t.is(one.exitCode, 0);
  t.regex(one.out, /Usage: ferry upload\|put \[options\] <path\.\.\.> <remote>/);
  t.regex(one.out, /--overwrite <when> .*\n.*\(default:\s+always\)/);
  const none = await ferry([]);
  t.is(none.exitCode, 2);
  t.regex(none.err, /Usage: ferry .*ferry: Name a command\.\n$/s);
});

test('version, for people and for programs', async (t) => {
  const { version } = JSON.parse(
    await readFile(new URL('../../../package.json', import.meta.url), 'utf8'),
  ) as { version: string };
  t.regex((await ferry(['version'])).out, new RegExp(`^ferry ${version}, protocol 1, `));
  const { out, exitCode } = await ferry(['version', '--json']);
  t.is(exitCode, 0);
  t.deepEqual(JSON.parse(out), { version, protocol: 1, schema: 1 });
  t.is((await ferry(['--version'])).out, `${version}\n`);
});

test('where nothing listens: the cause, exit 35, and with --json the events to the end', async (t) => {
  const { exitCode, out, err } = await ferry(['ls', '--json', somewhere]);
  t.is(exitCode, 35);
  t.regex(err, /^ferry: Cannot connect to 127\.0\.0\.1:1: [^\n]+\n$/);
  const events = jsonLines(out);
  t.deepEqual(
    events.map(({ type }) => type),
    ['start', 'error', 'summary'],
  );
  t.is(events[1]?.['failure'], 'never-connected');
  t.is(events[2]?.['exitCode'], 35);
});

test('a wrong command line gives an error and a summary with --json', async (t) => {
  for (const words of [
    ['upload', '--json', '--nonsense'],
    ['ls', '--json', 'x'],
    ['--json', 'x'],
  ]) {
    const { exitCode, out } = await ferry(words);
    t.is(exitCode, 2);
    const events = jsonLines(out);
    t.deepEqual(
      events.map(({ type }) => type),
      ['error', 'summary'],
    );
    t.is(events[1]?.['exitCode'], 2);
  }
});

test('events stay off stdout when content goes there, also when all is wrong', async (t) => {
  for (const words of [['--nonsense'], ['--digest', 'sha256']]) {
    const { out, err } = await ferry(['download', '--json', ...words, somewhere, '-']);
    t.is(out, '');
    t.deepEqual(
      jsonLines(err).map(({ type }) => type),
      ['error', 'summary'],
    );
  }
});

test('the environment sets options; the command line wins; no means no', async (t) => {
  const settings = async (env: Record<string, string>, ...words: string[]) => {
    const { out } = await ferry(['upload', '--json', ...words, 'x', somewhere], { env });
    return jsonLines(out)[0]?.['settings'] as Record<string, unknown>;
  };
  const env = {
    FERRY_BWLIMIT: '2M',
    FERRY_CHECKSUM: '1',
    FERRY_DELTA: '0',
    FERRY_DRY_RUN: 'false',
    FERRY_NO_RESUME: 'yes',
    FERRY_LOCK: '',
    FERRY_EXCLUDE: '*.o',
    FERRY_MAX_DURATION: '2h',
  };
  const byEnv = await settings(env);
  t.is(byEnv['bytesPerSecond'], 2 * 1024 ** 2);
  t.is(byEnv['maxDurationMs'], 7_200_000);
  t.deepEqual(byEnv['rules'], ['- *.o']);
  t.true(byEnv['checksum']);
  for (const name of ['delta', 'dryRun', 'resume', 'lock']) t.false(byEnv[name], name);
  t.is((await settings(env, '--bwlimit', '1k'))['bytesPerSecond'], 1024);
  const bad = await ferry(['upload', 'x', somewhere], { env: { FERRY_RETRIES: 'x' } });
  t.is(bad.exitCode, 2);
  t.regex(bad.err, /'x' from env 'FERRY_RETRIES' is invalid/);
});

test('rules keep the order of the command line, files among them', async (t) => {
  const list = ['--exclude-from', '-'];
  const words = ['--include', 'a', '--exclude', 'b', ...list, '--include', 'c'];
  const { out } = await ferry(['upload', '--json', ...words, 'x', somewhere], {
    input: '# rules\n+ x\ny\n\n- z\n',
  });
  const settings = jsonLines(out)[0]?.['settings'] as Record<string, unknown>;
  t.deepEqual(settings['rules'], ['+ a', '- b', '+ x', '- y', '- z', '+ c']);
});

test('interrupted while it connects: says so, exit 130', async (t) => {
  const words = ['ls', '--retries', '100', somewhere];
  const { child, ended } = startFerry(words);
  await new Promise((resolve) => child.stderr?.once('data', resolve));
  child.kill('SIGINT');
  const { exitCode, err } = await ended;
  t.is(exitCode, 130);
  t.regex(err, /Trying again in .*\nferry: Interrupted\.\n$/s);
  t.notRegex(err, /\n\s+at /);
});

test('a missing list of rules is not found', async (t) => {
  const { exitCode, err } = await ferry(['upload', '--exclude-from', '/no/such', 'x', somewhere]);
  t.is(exitCode, 3);
  t.regex(err, /^ferry: "\/no\/such" does not exist/);
});

// ---- with a daemon -----------------------------------------------------------------------------

test('folders are made, listed, moved and removed', async (t) => {
  const { remote, folder, stop } = await serve();
  t.teardown(stop);
  const run = async (...words: string[]) => {
    const { exitCode, out, err } = await ferry(words);
    return [exitCode, out, err];
  };
  t.deepEqual(await run('mkdir', `${remote}/a`, `${remote}/b`), [0, '', '']);
  t.is((await run('mkdir', `${remote}/c/d`))[0], 3);
  t.is((await run('mkdir', `${remote}/a`))[0], 2);
  t.is((await run('mkdir', '-p', `${remote}/c/d`, `${remote}/a`))[0], 0);
  await writeFile(join(folder, 'c/new\nline'), 'text');
  await writeFile(join(folder, 'c.txt'), 'text');
  t.deepEqual(await run('ls', remote), [0, 'a/\nb/\nc/\nc.txt\n', '']);
  const below = 'a/\nb/\nc/\nc/d/\nc/new\\nline\nc.txt\n';
  t.deepEqual(await run('ls', '-R', remote), [0, below, '']);
  t.deepEqual(await run('ls', '-0', `${remote}/c`), [0, 'd\0new\nline\0', '']);
  t.deepEqual(await run('ls', `${remote}/c.txt`), [0, 'c.txt\n', '']);
  t.is((await run('ls', `${remote}/none`))[0], 3);
  const [, long] = await run('ls', '-l', `${remote}/c`);
  t.regex(String(long), /^drwx.{6} +\d+ \d{4}-.{14} d\/\n-rw-.{6} +4 \d{4}-.{14} new\\nline\n$/);
  t.deepEqual(await run('mv', `${remote}/c.txt`, '/c/'), [0, '', '']);
  t.is((await run('mv', `${remote}/a`, `${remote}/b`))[0], 2);
  t.true((await stat(join(folder, 'c/c.txt'))).isFile());
  t.is((await run('rm', `${remote}/c`))[0], 2);
  const [code, , err] = await run('rm', `${remote}/none`, `${remote}/a`, `${remote}/c`);
  t.is(code, 23);
  t.is(String(err).split('\n').length, 3 + 1, 'two failures, their names, and the end');
  t.is((await run('rm', '-r', `${remote}/c`, `${remote}/b`))[0], 0);
  t.deepEqual(await run('ls', remote), [0, '', '']);
});

test('stat shows one entry, to people and to programs', async (t) => {
  const { remote, folder, stop } = await serve();
  t.teardown(stop);
  await mkdir(join(folder, 'a'));
  await writeFile(join(folder, 'a/b.txt'), 'text', { mode: 0o640 });
  const { out } = await ferry(['stat', `${remote}/a/b.txt`]);
  t.regex(out, /^path {6}\/a\/b\.txt\nkind {6}file\nsize {6}4 \(4 B\)\n.*0640 \(-rw-r-----\)/s);
  const json = await ferry(['stat', '--json', `${remote}/a/b.txt`]);
  const [start, entry, summary] = jsonLines(json.out);
  t.is(start?.['type'], 'start');
  const settings = start?.['settings'] as Record<string, unknown> | undefined;
  t.truthy(settings?.['agreed']);
  t.like(entry, { type: 'entry', path: 'a/b.txt', kind: 'file', size: 4, mode: 0o640 });
  t.like(summary, { type: 'summary', files: 1, bytes: 4, exitCode: 0 });
});

test('content goes through - both ways, and a listing may be cut off', async (t) => {
  const { remote, folder, stop } = await serve();
  t.teardown(stop);
  t.is((await ferry(['upload', '-', `${remote}/x`], { input: 'some text' })).exitCode, 0);
  t.is(await readFile(join(folder, 'x'), 'utf8'), 'some text');
  const { out, exitCode } = await ferry(['download', `${remote}/x`, '-']);
  t.deepEqual([exitCode, out], [0, 'some text']);
  const { child, ended } = startFerry(['ls', remote]);
  child.stdout?.destroy();
  t.is((await ended).err, '');
});

test('--lock: a second run of the same job exits 11, another job does not', async (t) => {
  const { remote, local, stop } = await serve();
  t.teardown(stop);
  await writeFile(join(local, 'x'), Buffer.alloc(8 * 1024 ** 2, 1));
  const words = ['upload', '--lock', '-P', '--bwlimit', '1M', 'x', `${remote}/x`];
  const first = startFerry(words, { cwd: local });
  await new Promise((resolve) => first.child.stderr?.once('data', resolve));
  const second = await ferry(['upload', '--lock', join(local, 'x'), `${remote}/x`]);
  t.is(second.exitCode, 11);
  t.regex(second.err, /^ferry: The same job is at work already[^\n]*\n$/);
  const third = await ferry(['upload', '--lock', 'x', `${remote}/y`], { cwd: local });
  t.is(third.exitCode, 0);
  first.child.kill('SIGKILL');
  await first.ended;
});

test('Ctrl-C during an upload says how to carry on, and the same command does', async (t) => {
  const { remote, local, folder, stop } = await serve();
  t.teardown(stop);
  const content = Buffer.alloc(24 * 1024 ** 2, 'content');
  await writeFile(join(local, 'x'), content);
  const slow = ['upload', '--json', '--bwlimit', '12M', 'x', `${remote}/x`];
  const { child, ended } = startFerry(slow, { cwd: local });
  await new Promise<void>((resolve) => {
    child.stdout?.on('data', (piece: string) => {
      const [, sent] = /"bytesSent":(\d+)/.exec(piece) ?? [];
      if (Number(sent) > 12 * 1024 ** 2) resolve();
    });
  });
  child.kill('SIGINT');
  const first = await ended;
  t.is(first.exitCode, 130);
  t.regex(first.err, /run the same command again to carry on/);
  t.like(jsonLines(first.out).at(-1), { type: 'summary', exitCode: 130 });
  const second = await ferry(['upload', '--json', 'x', `${remote}/x`], { cwd: local });
  t.is(second.exitCode, 0);
  const summary = jsonLines(second.out).at(-1);
  t.is(summary?.['type'], 'summary');
  t.true(Number(summary?.['bytesReused']) > 0);
  t.is(Buffer.compare(await readFile(join(folder, 'x')), content), 0);
});
