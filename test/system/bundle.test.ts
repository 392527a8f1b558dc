/** The program that is installed as `ferry` is bundled: each of its parts must load from there, too. */
import { execFile } from 'node:child_process';
import { cp, mkdir, mkdtemp, open, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import test from 'ava';
import { serve } from '../client/helpers/programs.ts';
import { testToken } from '../helpers/token.ts';

const root = new URL('../../../', import.meta.url);

async function installedFerry(): Promise<string> {
  const { bin } = JSON.parse(await readFile(new URL('package.json', root), 'utf8')) as {
    bin: { ferry: string };
  };
  return fileURLToPath(new URL(bin.ferry, root));
}

async function run(
  words: readonly string[],
  env: Record<string, string> = {},
  file?: string,
): Promise<{ stdout: string; stderr: string; code: number }> {
  const surroundings = { env: { PATH: process.env['PATH'], FERRY_TOKEN: testToken, ...env } };
  file ??= await installedFerry();
  const running = promisify(execFile)(process.execPath, [file, ...words], surroundings);
  running.child.stdin?.end();
  return await running.then(
    (output) => ({ ...output, code: 0 }),
    (error: { stdout: string; stderr: string; code: number }) => error,
  );
}

test('the bundled ferry knows its version', async (t) => {
  const { version } = JSON.parse(await readFile(new URL('package.json', root), 'utf8')) as {
    version: string;
  };
  t.regex((await run(['version'])).stdout, new RegExp(`^ferry ${version.replaceAll('.', '\\.')},`));
});

test('the bundled ferry uploads, lists, compares and downloads', async (t) => {
  const daemon = await serve();
  t.teardown(() => daemon.stop());
  const source = join(daemon.local, 'source');
  await mkdir(source);
  await writeFile(join(source, 'small.txt'), 'small');
  await writeFile(join(source, 'large'), Buffer.alloc(100_000, 'large'));
  const succeed = async (...words: string[]): Promise<string> => {
    const { stdout, stderr, code } = await run(words);
    t.is(code, 0, stderr);
    return stdout;
  };
  await succeed('upload', '-P', '--lock', source, `${daemon.remote}/`);
  t.is(await succeed('ls', '-R', `${daemon.remote}/source`), 'large\nsmall.txt\n');
  t.regex(await succeed('stat', `${daemon.remote}/source/small.txt`), /text\/plain/);
  await succeed('verify', source, `${daemon.remote}/source`);
  const target = join(daemon.local, 'target');
  await succeed('download', '--json', `${daemon.remote}/source/`, `${target}/`);
  t.is(await readFile(join(target, 'small.txt'), 'utf8'), 'small');
  t.deepEqual(await readFile(join(target, 'large')), await readFile(join(source, 'large')));
});

test('the bundled ferry measures, in threads of its own', async (t) => {
  const daemon = await serve();
  t.teardown(() => daemon.stop());
  const report = join(daemon.local, 'report.html');
  const words = ['bench', 'net', daemon.remote, '--bytes', '2M', '--clients', '2'];
  const { stdout, stderr, code } = await run([...words, '--report', report]);
  t.is(code, 0, stderr);
  t.regex(stdout, /^net: 2\.0 MiB in /m);
  t.regex(await readFile(report, 'utf8'), /<svg /);
});

test('the bundled ferry speaks TLS, and asks for a link', async (t) => {
  const daemon = await serve();
  t.teardown(() => daemon.stop());
  const secure = await run(['ls', daemon.remote.replace('ferry+tcp:', 'ferry:')]);
  t.is(secure.code, 35);
  t.regex(secure.stderr, /does that daemon serve plain TCP/);
  const pairing = await run(['pair'], { XDG_CONFIG_HOME: daemon.local });
  t.is(pairing.code, 2, pairing.stderr);
});

/** A copy of the bundle whose compiled scripts went through `change`. */
async function copiedFerry(change: (cache: string) => Promise<void>): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'ferry-bundle-'));
  await cp(dirname(await installedFerry()), folder, { recursive: true });
  const caches = (await readdir(folder)).filter((name) => name.endsWith('.cache'));
  if (caches.length === 0) throw new Error('The build compiled no script ahead.');
  for (const name of caches) await change(join(folder, name));
  return join(folder, 'ferry.js');
}

/** Makes them those of another V8: its version is the second word (`SerializedCodeData` of V8). */
async function ofAnotherV8(cache: string): Promise<void> {
  const file = await open(cache, 'r+');
  try {
    await file.write(Buffer.alloc(4, 0xa5), 0, 4, 4);
  } finally {
    await file.close();
  }
}

const changes = { 'are missing': rm, 'are of another V8': ofAnotherV8 };

for (const [what, change] of Object.entries(changes)) {
  test(`the bundled ferry works when its compiled scripts ${what}`, async (t) => {
    const file = await copiedFerry(change);
    t.teardown(() => rm(dirname(file), { recursive: true }));
    const { stdout, stderr, code } = await run(['help', 'ls'], {}, file);
    t.is(code, 0, stderr);
    t.regex(stdout, /^Usage: ferry ls /);
  });
}

test('Node loads no script of the bundle by itself but the launcher', async (t) => {
  const code = await readFile(await installedFerry(), 'utf8');
  const loaded = [...code.matchAll(/require\("([^"]+)"\)/g)].map(([, name]) => name);
  t.not(loaded.length, 0);
  t.deepEqual(
    loaded.filter((name) => name?.startsWith('.')),
    [],
  );
});

test('Node takes the compiled scripts that the build made', async (t) => {
  const { cacheOf, compileScript } = await import('../../client/launch/script.ts');
  const folder = dirname(await installedFerry());
  for (const name of await readdir(folder)) {
    // Node itself loads the launcher.
    if (!name.endsWith('.js') || name === 'ferry.js') continue;
    const file = join(folder, name);
    t.false(compileScript(file, await readFile(cacheOf(file))).cachedDataRejected, name);
  }
});
