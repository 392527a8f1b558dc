/** A client in another language, written from docs/protocol.md alone, against the real ferryd. */
import { execFile, execFileSync } from 'node:child_process';
import { readFile, stat, truncate, writeFile } from 'node:fs/promises';
import path from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { root } from '../helpers/root.ts';
import { testToken } from '../helpers/token.ts';
import { flipBit, MiB, randomBytes } from './helpers/files.ts';
import { Proxy } from './helpers/proxy.ts';
import { setScene } from './helpers/scene.ts';

const client = path.join(root, 'test/system/foreign-client/ferry.py');
const segmentBytes = 8 * MiB;

function hasPython(): boolean {
  try {
    execFileSync('python3', ['-c', 'import sys; assert sys.version_info >= (3, 9)']);
    return true;
  } catch {
    return false;
  }
}

const testWithPython = hasPython() ? test : test.skip;

type Outcome = Readonly<Record<string, unknown>>;

/** What it printed, or what it said when it failed. */
async function run(port: number, ...args: string[]): Promise<Outcome | string> {
  const env = { ...process.env, FERRY_TOKEN: testToken };
  return await new Promise((resolve) => {
    const all = ['-B', client, `127.0.0.1:${port}`, ...args];
    execFile('python3', all, { env }, (error, stdout, stderr) => {
      resolve(error === null ? (JSON.parse(stdout) as Outcome) : stderr);
    });
  });
}

/** Runs the same command until it succeeds; gives what it printed, and what it said before. */
async function runAgain(
  t: ExecutionContext,
  port: number,
  ...args: string[]
): Promise<{ outcome: Outcome; failed: string[] }> {
  const failed: string[] = [];
  while (failed.length < 20) {
    const outcome = await run(port, ...args);
    if (typeof outcome !== 'string') return { outcome, failed };
    failed.push(outcome);
  }
  t.fail(failed.join('\n'));
  throw new Error('It never came to an end.');
}

testWithPython('it uploads, finds unchanged, lists and downloads', async (t) => {
  const scene = await setScene(t);
  const { port } = scene.daemon;
  const sizes = { empty: 0, small: 5, even: 2 * 65_536, large: segmentBytes + 65_537 };
  for (const [name, size] of Object.entries(sizes)) {
    const content = randomBytes(name, size);
    await writeFile(scene.at(name), content);
    const stored = await run(port, 'upload', scene.at(name), `in/${name}`);
    t.deepEqual(stored, { outcome: 'stored', sent: size, compared: 0 });
    t.true(content.equals(await readFile(scene.there('in', name))), name);
    const again = await run(port, 'upload', scene.at(name), `in/${name}`);
    t.deepEqual(again, { outcome: 'unchanged', sent: 0, compared: 0 });
    const fetched = await run(port, 'download', `in/${name}`, scene.at(`${name} back`));
    t.deepEqual(fetched, { outcome: 'stored', received: size, repeated: 0 });
    t.true(content.equals(await readFile(scene.at(`${name} back`))), name);
    const { mtimeNs, mode } = await stat(scene.at(name), { bigint: true });
    const back = await stat(scene.at(`${name} back`), { bigint: true });
    t.is(back.mode, mode);
    t.true(back.mtimeNs - mtimeNs < 10_000n && mtimeNs - back.mtimeNs < 10_000n);
  }
  const { entries } = (await run(port, 'list', 'in')) as {
    entries: { path: string; size: number }[];
  };
  t.deepEqual(Object.fromEntries(entries.map((entry) => [entry.path, entry.size])), sizes);
});

testWithPython(
  'it resumes an upload that was cut, and the daemon compares what it kept',
  async (t) => {
    const scene = await setScene(t);
    const content = randomBytes('cut', 2 * segmentBytes);
    await writeFile(scene.at('file'), content);
    const afterBytes = segmentBytes + MiB;
    const cut = { direction: 'up', afterBytes, how: 'end' } as const;
    const proxy = await Proxy.start(scene.daemon.port, { cut });
    t.teardown(() => proxy.close());
    const upload = ['upload', scene.at('file'), 'file'] as const;
    const { outcome, failed } = await runAgain(t, proxy.port, ...upload);
    t.true(failed.length > 0, 'it was cut');
    t.is(outcome['outcome'], 'stored');
    t.true((outcome['sent'] as number) <= content.length - segmentBytes, JSON.stringify(outcome));
    t.true((outcome['compared'] as number) > 0);
    t.true(content.equals(await readFile(scene.there('file'))));
  },
);

testWithPython('it carries a download on, and repairs what differs', async (t) => {
  const scene = await setScene(t);
  const content = randomBytes('part', segmentBytes + 3 * MiB);
  await writeFile(scene.there('file'), content);
  await writeFile(scene.at('file.part'), content);
  await truncate(scene.at('file.part'), segmentBytes + MiB);
  await flipBit(scene.at('file.part'), segmentBytes + 100);
  const fetched = await run(scene.daemon.port, 'download', 'file', scene.at('file'));
  // The rest, and the one chunk that differs.
  const received = 2 * MiB + 65_536;
  t.deepEqual(fetched, { outcome: 'stored', received, repeated: 0 });
  t.true(content.equals(await readFile(scene.at('file'))));
});

testWithPython('through a link that turns bits over, what it downloads is whole', async (t) => {
  const scene = await setScene(t);
  const content = randomBytes('flips', segmentBytes);
  await writeFile(scene.there('file'), content);
  const proxy = await Proxy.start(scene.daemon.port, { flipEveryBytes: { down: 1_500_000 } });
  t.teardown(() => proxy.close());
  const { outcome, failed } = await runAgain(t, proxy.port, 'download', 'file', scene.at('file'));
  t.true((outcome['repeated'] as number) + failed.length > 0, 'something was damaged');
  t.true(content.equals(await readFile(scene.at('file'))));
});

testWithPython('what goes wrong has a code and a sentence', async (t) => {
  const scene = await setScene(t);
  const { port } = scene.daemon;
  await writeFile(scene.at('file'), 'content');
  t.is(
    await run(port, 'download', 'none', scene.at('x')),
    'ferry.py: code 20: "none" does not exist.\n',
  );
  const outside = await run(port, 'upload', scene.at('file'), '../file');
  t.regex(outside as string, /^ferry\.py: code 25: /);
});
