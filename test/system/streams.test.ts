/** Content from stdin and to stdout. */

import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { type FileHandle, lstat, open, readdir, readFile, writeFile } from 'node:fs/promises';
import { PassThrough, Readable, Writable } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import test from 'ava';
import { testToken } from '../helpers/token.ts';
import { runFerry, startFerry } from './helpers/ferry.ts';
import { MiB, randomBytes, writeRandomFile } from './helpers/files.ts';
import { programPath, startProgram } from './helpers/processes.ts';
import { Proxy } from './helpers/proxy.ts';
import { isLinux, setScene } from './helpers/scene.ts';
import { testAsRoot } from './helpers/trace.ts';

/** `content` in pieces; `between` is called before each with the bytes given so far. */
function inPieces(
  content: Buffer,
  pieceBytes: number,
  between: (doneBytes: number) => Promise<void> | void,
): Readable {
  async function* pieces(): AsyncGenerator<Buffer> {
    for (let done = 0; done < content.length; done += pieceBytes) {
      await between(done);
      yield content.subarray(done, done + pieceBytes);
    }
  }
  return Readable.from(pieces(), { objectMode: false });
}

test.serial('stdin of any size is stored', async (t) => {
  const scene = await setScene(t);
  for (const size of [0, 1, 65_535, 65_536, 65_537, 8 * MiB, 20 * MiB + 1]) {
    const content = randomBytes(size, size);
    const { summary, stdout } = await scene.ferry(['upload', '-', scene.url('dir/s')], 0, {
      input: content,
    });
    t.like(summary, { files: 1, bytes: size, bytesSent: size });
    t.true((await readFile(scene.there('dir', 's'))).equals(content), `${size}`);
    t.true(stdout.length > 0);
  }
});

test.serial('stdin from a slow producer is stored, and no half of it shows', async (t) => {
  const scene = await setScene(t);
  const content = randomBytes('slow', 300_000);
  const input = inPieces(content, 50_000, async () => {
    t.false(existsSync(scene.there('slow')));
    await sleep(150); // The producer is slow: that is the case here, not a way to wait.
  });
  await scene.ferry(['upload', '--timeout', '1s', '-', scene.url('slow')], 0, { input });
  t.true((await readFile(scene.there('slow'))).equals(content));
});

test.serial('stdin outlives cut connections', async (t) => {
  const scene = await setScene(t);
  const proxy = await Proxy.start(scene.daemon.port, {
    cut: { direction: 'up', afterBytes: 12 * MiB },
  });
  t.teardown(() => proxy.close());
  let cuts = 0;
  proxy.onCut = () => {
    cuts += 1;
    if (cuts === 1) proxy.faults.cut = { direction: 'up', afterBytes: 10 * MiB, how: 'end' };
  };
  const content = randomBytes('cut', 48 * MiB);
  const input = inPieces(content, MiB, () => undefined);
  const { summary, events } = await scene.ferry(['upload', '-', proxy.url('s')], 0, { input });
  t.is(cuts, 2);
  t.true(events.filter(({ type }) => type === 'retry').length >= 2);
  t.true((await readFile(scene.there('s'))).equals(content));
  // Nothing but what was on its way, and an unfinished segment, went twice.
  const sent = proxy.contentBytes('up');
  t.true(sent >= content.length && sent <= content.length + cuts * 24 * MiB, `${sent}`);
  t.true((summary?.bytesSent ?? 0) > 0);
});

test.serial('stdin outlives a daemon that is killed and started again', async (t) => {
  const scene = await setScene(t);
  const content = randomBytes('kill', 48 * MiB);
  const gate = new PassThrough();
  let reached: () => void = () => undefined;
  const moving = new Promise<void>((resolve) => {
    reached = resolve;
  });
  const ferry = startFerry(['upload', '--json', '-', scene.url('s')], {
    input: gate,
    onEvent: (event) => {
      if (event.type === 'progress' && event.bytesSent > 0) reached();
    },
  });
  const half = 24 * MiB;
  for (let at = 0; at < half; at += MiB) gate.write(content.subarray(at, at + MiB));
  await moving;
  await scene.daemon.kill9();
  await scene.restart();
  for (let at = half; at < content.length; at += MiB) gate.write(content.subarray(at, at + MiB));
  gate.end();
  const { code, stderr, summary } = await ferry.result;
  t.is(code, 0, stderr);
  t.true((await readFile(scene.there('s'))).equals(content));
  const sent = summary?.bytesSent ?? 0;
  t.true(sent <= content.length + 24 * MiB, `${sent}`);
});

test.serial('stdout gets every byte in order, through cuts, and nothing else', async (t) => {
  const scene = await setScene(t);
  const content = randomBytes('down', 40 * MiB + 17);
  await writeFile(scene.there('file'), content);
  const proxy = await Proxy.start(scene.daemon.port, {
    cut: { direction: 'down', afterBytes: 12 * MiB },
  });
  t.teardown(() => proxy.close());
  const { code, stdout, stderr, summary, events } = await runFerry([
    'download',
    '--json',
    proxy.url('file'),
    '-',
  ]);
  t.is(code, 0, stderr);
  t.true(stdout.equals(content));
  t.is(events[0]?.type, 'start');
  t.is(summary?.bytes, content.length);
  for (const line of stderr.trimEnd().split('\n')) t.notThrows(() => JSON.parse(line) as unknown);

  const empty = await runFerry(['download', scene.url('missing'), '-']);
  t.is(empty.code, 3);
  t.is(empty.stdout.length, 0);
  await writeFile(scene.there('nothing'), '');
  const none = await runFerry(['download', scene.url('nothing'), '-']);
  t.deepEqual([none.code, none.stdout.length], [0, 0]);
  t.false(existsSync(scene.at('.chunkferry')));
});

test.serial('stdout survives a slow reader, in little memory', async (t) => {
  const scene = await setScene(t);
  await writeRandomFile(scene.there('file'), 24 * MiB, 'slow reader');
  const hash = createHash('sha256');
  let bytes = 0;
  const output = new Writable({
    highWaterMark: 65_536,
    write(piece: Buffer, _encoding, done) {
      hash.update(piece);
      bytes += piece.length;
      setTimeout(done, 1);
    },
  });
  const { code } = await runFerry(['download', scene.url('file'), '-'], { output });
  t.is(code, 0);
  t.is(bytes, 24 * MiB);
  t.is(
    hash.digest('hex'),
    createHash('sha256')
      .update(await readFile(scene.there('file')))
      .digest('hex'),
  );
});

test.serial('a reader that has enough ends it quietly', async (t) => {
  const scene = await setScene(t);
  await writeRandomFile(scene.there('file'), 64 * MiB, 'head');
  const { spawn } = await import('node:child_process');
  const pipe = `'${process.execPath}' '${programPath('ferry')}' download '${scene.url('file')}' - | head -c 100000 | wc -c`;
  const env = { ...process.env, FERRY_TOKEN: testToken };
  const child = spawn('sh', ['-c', pipe], { stdio: ['ignore', 'pipe', 'pipe'], env });
  const [stdout, stderr, code] = await Promise.all([
    text(child.stdout),
    text(child.stderr),
    new Promise((resolve) => child.on('close', resolve)),
  ]);
  t.is(stdout.trim(), '100000');
  t.notRegex(stderr, /unexpected|EPIPE|^\s+at /m);
  t.is(code, 0);
  // The daemon is none the worse for it.
  await scene.ferry(['stat', scene.url('file')]);
});

async function text(stream: Readable): Promise<string> {
  stream.setEncoding('utf8');
  let all = '';
  for await (const piece of stream) all += String(piece);
  return all;
}

test.serial('a client that is killed while stdin flows leaves nothing visible', async (t) => {
  const scene = await setScene(t);
  const gate = new PassThrough();
  const { child, exit } = startProgram(
    'ferry',
    ['upload', '--json', '-', scene.url('s')],
    ['pipe', 'pipe', 'ignore'],
    {},
  );
  gate.pipe(child.stdin as Writable);
  (child.stdin as Writable).on('error', () => undefined);
  const moving = new Promise<void>((resolve) => {
    let seen = '';
    child.stdout?.setEncoding('utf8').on('data', (piece: string) => {
      seen += piece;
      if (/"bytesSent":[1-9]/.test(seen)) resolve();
    });
  });
  gate.write(randomBytes('killed', 12 * MiB));
  await moving;
  child.kill('SIGKILL');
  await exit;
  t.deepEqual(await readdir(scene.served), ['.chunkferry']);
  // Another stream of that name begins anew, and is not mixed with the first.
  const other = randomBytes('other', 2 * MiB);
  await scene.ferry(['upload', '-', scene.url('s')], 0, { input: other });
  t.true((await readFile(scene.there('s'))).equals(other));
});

test.serial('what makes no sense beside a stream is refused', async (t) => {
  const scene = await setScene(t);
  await writeFile(scene.there('file'), 'x');
  for (const args of [
    ['upload', '-', scene.url('folder/')],
    ['upload', '-', scene.url()],
    ['upload', '-', scene.at('x'), scene.url('x')],
    ['upload', '--dry-run', '-', scene.url('x')],
    ['upload', '--files-from', '-', '-', scene.url('x')],
    ['download', scene.url('file'), scene.url('file'), '-'],
    ['download', scene.url('folder/'), '-'],
    ['download', scene.url(), '-'],
  ]) {
    const { code, stdout, stderr } = await runFerry(args, { input: 'never read' });
    t.is(code, 2, stderr);
    t.is(stdout.length, 0);
    t.regex(stderr, /^ferry: [^\n]+\n$/);
  }
  t.deepEqual(await readdir(scene.served), ['.chunkferry', 'file']);
});

const execute = promisify(execFile);
const testOnLinux = isLinux ? test.serial : test.serial.skip;

/** Runs ferry with descriptors of ours as its standard streams; gives its exit code and what it said. */
async function withStreams(
  args: readonly string[],
  {
    input = 'ignore',
    output = 'ignore',
  }: { input?: number | 'ignore'; output?: number | 'ignore' },
): Promise<{ code: number | null; said: string }> {
  const { child, exit } = startProgram('ferry', args, [input, output, 'pipe'], {});
  let said = '';
  child.stderr?.setEncoding('utf8').on('data', (text: string) => {
    said += text;
  });
  return { code: (await exit).code, said };
}

async function using<T>(
  path: string,
  flags: string,
  work: (file: FileHandle) => Promise<T>,
): Promise<T> {
  const file = await open(path, flags);
  try {
    return await work(file);
  } finally {
    await file.close();
  }
}

testAsRoot('a block device as stdin and as stdout is read and written whole', async (t) => {
  const scene = await setScene(t);
  const content = randomBytes('device', 4 * MiB);
  await writeFile(scene.at('disk'), content);
  const made = await execute('losetup', ['--find', '--show', scene.at('disk')]).catch(
    () => undefined,
  );
  if (made === undefined) {
    t.log('no loop device can be made here');
    t.pass();
    return;
  }
  const device = made.stdout.trim();
  t.teardown(() => execute('losetup', ['--detach', device]));
  const up = await using(device, 'r', ({ fd }) =>
    withStreams(['upload', '-', scene.url('image')], { input: fd }),
  );
  t.is(up.code, 0, up.said);
  t.true(content.equals(await readFile(scene.there('image'))));
  const other = randomBytes('other', 4 * MiB);
  await writeFile(scene.there('other'), other);
  const down = await using(device, 'r+', ({ fd }) =>
    withStreams(['download', scene.url('other'), '-'], { output: fd }),
  );
  t.is(down.code, 0, down.said);
  t.true(other.equals(await readFile(device)));
});

testOnLinux('a folder as stdin holds nothing that could be stored: exit 2', async (t) => {
  const scene = await setScene(t);
  const { code, said } = await using(scene.at(), 'r', ({ fd }) =>
    withStreams(['upload', '-', scene.url('nothing')], { input: fd }),
  );
  t.is(code, 2);
  t.regex(said, /^ferry: Standard input is neither/);
  t.false(existsSync(scene.there('nothing')));
  // Who does not read it does not mind.
  await writeFile(scene.at('file'), 'content');
  const other = await using(scene.at(), 'r', ({ fd }) =>
    withStreams(['upload', scene.at('file'), scene.url('file')], { input: fd }),
  );
  t.is(other.code, 0, other.said);
});

testOnLinux('stdout without room for the content: exit 8, as of any disk', async (t) => {
  const scene = await setScene(t);
  await writeFile(scene.there('file'), 'content');
  const { code, said } = await using('/dev/full', 'w', ({ fd }) =>
    withStreams(['download', scene.url('file'), '-'], { output: fd }),
  );
  t.is(code, 8, said);
  t.regex(said, /no space is left/);
});

testOnLinux(
  'a pipe is no place for a file, neither here nor there: exit 2, and it stays',
  async (t) => {
    const scene = await setScene(t);
    await writeFile(scene.at('file'), randomBytes('file', 200_000));
    await writeFile(scene.there('file'), 'content');
    await execute('mkfifo', [scene.at('pipe'), scene.there('pipe')]);
    await scene.ferry(['download', scene.url('file'), scene.at('pipe')], 2);
    await scene.ferry(['upload', scene.at('file'), scene.url('pipe')], 2);
    t.true((await lstat(scene.at('pipe'))).isFIFO());
    t.true((await lstat(scene.there('pipe'))).isFIFO());
  },
);

testOnLinux('in a folder that is gone: one sentence and exit 2', async (t) => {
  const scene = await setScene(t);
  const words = [process.execPath, programPath('ferry'), 'upload', 'file', scene.url()];
  const script = 'mkdir gone && cd gone && rmdir ../gone && exec "$@"';
  const env = { ...process.env, FERRY_TOKEN: testToken };
  const { code, stderr } = (await execute('sh', ['-c', script, 'sh', ...words], {
    cwd: scene.at(),
    env,
  }).catch((error: unknown) => error)) as { code: number; stderr: string };
  t.is(code, 2);
  t.regex(stderr, /^ferry: The current folder is gone[^\n]+\n$/);
});
