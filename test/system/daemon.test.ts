/** The daemon as a program: shares, locks, signals, limits. */
import { mkdir, readdir, readFile, rm, symlink, utimes, writeFile } from 'node:fs/promises';
import net from 'node:net';
import test, { type ExecutionContext } from 'ava';
import { type DaemonProcess, startDaemon } from './helpers/daemon.ts';
import { type FerryProcess, runFerry, startFerry } from './helpers/ferry.ts';
import { differences, MiB, type TempFolder, tempFolder, writeRandomFile } from './helpers/files.ts';
import { type Exit, type ProgramOptions, startProgram } from './helpers/processes.ts';
import { Proxy } from './helpers/proxy.ts';
import { checkLog, ferryExits, setScene } from './helpers/scene.ts';
import { runTool, testAsRoot } from './helpers/trace.ts';

async function folderFor(t: ExecutionContext): Promise<TempFolder> {
  const folder = await tempFolder();
  t.teardown(() => folder.remove());
  return folder;
}

async function daemonFor(
  t: ExecutionContext,
  settings: Parameters<typeof startDaemon>[0],
): Promise<DaemonProcess> {
  const daemon = await startDaemon(settings);
  t.teardown(async () => {
    await daemon.stop();
    checkLog(daemon);
  });
  return daemon;
}

/** A ferryd that must refuse to start. */
async function refused(
  args: readonly string[],
  options: ProgramOptions = {},
): Promise<Exit & { stderr: string }> {
  const { child, exit } = startProgram('ferryd', args, ['ignore', 'ignore', 'pipe'], options);
  let stderr = '';
  child.stderr?.setEncoding('utf8').on('data', (text: string) => {
    stderr += text;
  });
  return { ...(await exit), stderr };
}

test.serial('several shares: each under its name, a listing of them as the root', async (t) => {
  const folder = await folderFor(t);
  for (const name of ['music', 'in box']) {
    await mkdir(folder.at(name, 'sub'), { recursive: true });
    await writeFile(folder.at(name, 'sub', 'file'), name);
  }
  await writeFile(folder.at('mine'), 'mine');
  const shares = [`music=${folder.at('music')}:ro`, `in box=${folder.at('in box')}`];
  const daemon = await daemonFor(t, { args: shares.flatMap((share) => ['--share', share]) });
  const ls = await ferryExits(t, ['ls', '-R', daemon.url()]);
  const paths = ls.events.flatMap((event) => (event.type === 'entry' ? [event.path] : []));
  t.deepEqual(paths, [
    'in box',
    'in box/sub',
    'in box/sub/file',
    'music',
    'music/sub',
    'music/sub/file',
  ]);
  await ferryExits(t, ['download', daemon.url(), folder.at('all')]);
  t.deepEqual(await differences(folder.at('music'), folder.at('all', 'music')), []);
  await ferryExits(t, ['upload', folder.at('mine'), daemon.url('in box/sub/')]);
  t.is(await readFile(folder.at('in box', 'sub', 'mine'), 'utf8'), 'mine');
  const own = daemon.url('in box/sub/mine');
  for (const [args, code] of [
    [['ls', daemon.url('other')], 3],
    [['stat', daemon.url('other/file')], 3],
    [['stat', daemon.url()], 0],
    [['upload', folder.at('mine'), daemon.url()], 3],
    [['upload', folder.at('mine'), daemon.url('mine')], 3],
    [['upload', folder.at('mine'), daemon.url('music/mine')], 4],
    [['mkdir', daemon.url('new')], 3],
    [['mv', own, '/music/mine'], 4],
    [['mv', daemon.url('music/sub/file'), '/in box/file'], 4],
    [['rm', '-r', daemon.url('in box')], 4],
    [['mv', daemon.url('in box'), '/out box'], 3],
  ] as [string[], number][]) {
    const { code: found, stderr } = await runFerry(args);
    // Between two shares either reason is right.
    const either = args[0] === 'mv' && found === 2;
    t.true(found === code || either, `${args.join(' ')}: ${found}, ${stderr}`);
  }
  t.deepEqual(await readdir(folder.at('music')), ['sub']);
});

test.serial('what cannot be served is refused with one sentence and exit 2', async (t) => {
  const folder = await folderFor(t);
  await mkdir(folder.at('outer', 'inner'), { recursive: true });
  await symlink(folder.at('outer', 'inner'), folder.at('link'));
  await writeFile(folder.at('file'), 'file');
  const plain = ['--plain', '--listen', '127.0.0.1:0', '--state', folder.at('state')];
  const [outer, inner, link] = [folder.at('outer'), folder.at('outer', 'inner'), folder.at('link')];
  const taken = net.createServer();
  await new Promise<void>((resolve) => void taken.listen(0, '127.0.0.1', resolve));
  t.teardown(() => taken.close());
  const { port } = taken.address() as net.AddressInfo;
  for (const [args, says, code] of [
    [[...plain, '--share', `a=${outer}`, '--share', `b=${inner}`], /overlap/, 2],
    [[...plain, '--share', `a=${inner}`, '--share', `b=${outer}:ro`], /overlap/, 2],
    [[...plain, '--share', `a=${outer}`, '--share', `b=${link}`], /overlap/, 2],
    [[...plain, '--share', `a=${outer}`, '--share', `b=${outer}`], /overlap/, 2],
    [[...plain, '--share', `a=${outer}`, '--share', `a=${folder.at('x')}`], /taken/, 2],
    [[...plain, '--share', 'nonsense'], /name=folder/, 2],
    [[...plain, '--share', `a=${outer}`, inner], /not both/, 2],
    [[...plain, folder.at('missing')], /does not exist/, 3],
    [[...plain, folder.at('file')], /not a folder/, 2],
    [[outer, '--tls-cert', folder.at('file'), '--state', folder.at('state')], /together/, 2],
    [['--plain', '--listen', '0.0.0.0:0', outer], /loopback/, 2],
    [
      ['--plain', '--listen', `127.0.0.1:${port}`, '--state', folder.at('state'), outer],
      /another program/,
      2,
    ],
    [['--plain', '--listen', 'nonsense:port', outer], /host:port/, 2],
    [['--frobnicate'], /frobnicate/, 2],
  ] as [string[], RegExp, number][]) {
    const { code: found, stderr } = await refused(args);
    t.is(found, code, stderr);
    const sentences = stderr.split('\n').filter((line) => line !== '' && !line.startsWith('{'));
    t.is(sentences.length, 1, stderr);
    t.regex(stderr, says);
    t.notRegex(stderr, /^\s+at /m);
  }
});

test.serial(
  'one daemon a folder; a lock that was left behind by kill -9 is taken over',
  async (t) => {
    const scene = await setScene(t);
    const args = ['--plain', '--listen', '127.0.0.1:0', '--state', scene.at('state')];
    const second = await refused([...args, scene.served]);
    t.is(second.code, 11, second.stderr);
    t.regex(second.stderr, /Another process serves/);
    // The first goes on, and a read-only share of the same folder takes no lock.
    await writeFile(scene.there('file'), 'file');
    await scene.ferry(['stat', scene.url('file')]);
    const reader = await daemonFor(t, { args: ['--share', `r=${scene.served}:ro`] });
    await ferryExits(t, ['stat', reader.url('r/file')]);

    await scene.daemon.kill9();
    await scene.restart();
    await scene.ferry(['stat', scene.url('file')]);
    t.is((await refused([...args, scene.served])).code, 11);
  },
);

testAsRoot('a state folder without room, or read-only: each of its files says so', async (t) => {
  const folder = await folderFor(t);
  await Promise.all([mkdir(folder.at('served')), mkdir(folder.at('state'))]);
  const state = folder.at('state');
  const args = [folder.at('served'), '--state', state, '--listen', '127.0.0.1:0'];
  runTool('mount', '-t', 'tmpfs', '-o', 'size=4k,mode=700', 'chunkferry', state);
  t.teardown(() => runTool('umount', '-l', state));
  const says = async (file: string, why: string): Promise<void> => {
    const { code, stderr } = await refused(args);
    t.is(code, 2, stderr);
    const sentences = stderr.split('\n').filter((line) => line !== '' && !line.startsWith('{'));
    t.is(sentences.length, 1, stderr);
    t.true(sentences[0]?.startsWith(`ferryd: Cannot use "${folder.at('state', file)}": ${why}`));
  };
  // A file more has room each time, and the start goes on where the last one ended.
  for (const [kib, file] of [
    [4, 'tokens.json'],
    [8, 'key.pem'],
    [12, 'cert.pem'],
    [16, 'ferryd.json'],
  ] as const) {
    runTool('mount', '-o', `remount,size=${kib}k`, state);
    await says(file, 'ENOSPC: ');
  }
  runTool('mount', '-o', 'remount,ro', state);
  await says('ferryd.json', 'EROFS: ');
});

testAsRoot('a user without a home folder is told what to give', async (t) => {
  const home = 'This user has no home folder: set HOME';
  for (const HOME of [undefined, '']) {
    const env = { HOME, XDG_STATE_HOME: undefined, XDG_CONFIG_HOME: undefined };
    const options = { env, through: ['setpriv', '--reuid', '12345', '--clear-groups'] };
    for (const args of [['/nowhere'], ['check', '/nowhere'], ['token', 'list']]) {
      const { code, stderr } = await refused(args, options);
      t.is(code, 2, stderr);
      t.regex(stderr, /^(?:\{.*\n)?ferryd: .*\n$/);
      t.true(stderr.endsWith(`ferryd: ${home}, or give --state.\n`), stderr);
    }
    const { code, stderr } = await runFerry(['ls', 'nas:'], options);
    t.is(code, 2, stderr);
    t.is(stderr, `ferry: ${home} or XDG_CONFIG_HOME.\n`);
  }
});

test.serial('a free port is told in the log and in the state folder', async (t) => {
  const folder = await folderFor(t);
  await mkdir(folder.at('served'));
  const daemon = await daemonFor(t, { folder: folder.at('served'), state: folder.at('state') });
  t.true(daemon.port > 0);
  t.like(await daemon.logged('listening'), { host: '127.0.0.1', port: daemon.port });
  const note = JSON.parse(await readFile(folder.at('state', 'ferryd.json'), 'utf8')) as object;
  t.like(note, { host: '127.0.0.1', port: daemon.port });
});

/** Slow transfers, half of them up and half down, that have all begun. */
async function slowTransfers(
  t: ExecutionContext,
  count: number,
): Promise<{
  scene: Awaited<ReturnType<typeof setScene>>;
  commands: string[][];
  running: FerryProcess[];
}> {
  const scene = await setScene(t);
  const commands: string[][] = [];
  for (let i = 0; i < count / 2; i += 1) {
    await writeRandomFile(scene.at(`up-${i}`), 3 * MiB, `up ${i}`);
    await writeRandomFile(scene.there(`down-${i}`), 3 * MiB, `down ${i}`);
    commands.push(['upload', scene.at(`up-${i}`), scene.url(`up-${i}`)]);
    commands.push(['download', scene.url(`down-${i}`), scene.at(`down-${i}`)]);
  }
  const begun: Promise<void>[] = [];
  const running = commands.map(([command = '', ...rest]) => {
    let started: () => void = () => undefined;
    begun.push(
      new Promise((resolve) => {
        started = resolve;
      }),
    );
    const limits = ['--bwlimit', '200k', '--retries', '0'];
    return startFerry([command, '--json', ...limits, ...rest], {
      onEvent: (event) => {
        if (event.type === 'progress' && event.bytesSent > 0) started();
      },
    });
  });
  await Promise.race([
    Promise.all(begun),
    Promise.race(running.map(({ result }) => result)).then((result) => {
      throw new Error(`a transfer ended early: ${result.stderr}`);
    }),
  ]);
  return { scene, commands, running };
}

for (const [signal, count] of [
  ['SIGTERM', 10],
  ['SIGINT', 2],
] as const) {
  test.serial(
    `${signal} during ${count} transfers: exit 0 within 10 s, and all of them resume`,
    async (t) => {
      const { scene, commands, running } = await slowTransfers(t, count);
      const startedAtMs = performance.now();
      process.kill(scene.daemon.pid, signal);
      t.deepEqual(await scene.daemon.exit, { code: 0, signal: null });
      t.true(performance.now() - startedAtMs < 10_000);
      for (const { result } of running) {
        const { code, stderr } = await result;
        t.is(code, 5, stderr);
        t.regex(stderr, /same command again/);
      }
      await scene.restart();
      for (const args of commands) {
        const again = await scene.ferry(args);
        t.true((again.summary?.bytesReused ?? 0) > 0, args.join(' '));
      }
      for (let i = 0; i < count / 2; i += 1) {
        t.deepEqual(await differences(scene.at(`up-${i}`), scene.there(`up-${i}`)), []);
        t.deepEqual(await differences(scene.there(`down-${i}`), scene.at(`down-${i}`)), []);
      }
      t.deepEqual(await readdir(scene.there('.chunkferry')), ['lock'], 'nothing is left behind');
    },
  );
}

test.serial('the second signal ends it at once', async (t) => {
  const { scene, running } = await slowTransfers(t, 2);
  process.kill(scene.daemon.pid, 'SIGTERM');
  await scene.daemon.logged('stopping');
  const startedAtMs = performance.now();
  process.kill(scene.daemon.pid, 'SIGTERM');
  const { code } = await scene.daemon.exit;
  t.is(code, 1);
  t.true(performance.now() - startedAtMs < 1_000);
  for (const { result } of running) t.is((await result).code, 5);
  await scene.restart();
});

test.serial('an idle daemon with clients connected stops at once', async (t) => {
  const scene = await setScene(t);
  const silent = net.connect(scene.daemon.port, '127.0.0.1');
  silent.on('error', () => undefined);
  await new Promise((resolve) => silent.once('connect', resolve));
  t.teardown(() => silent.destroy());
  const startedAtMs = performance.now();
  t.deepEqual(await scene.daemon.stop(), { code: 0, signal: null });
  t.true(performance.now() - startedAtMs < 5_000);
  await scene.restart();
});

test.serial('promise 6: bounded: --max-connections, and room again afterwards', async (t) => {
  const scene = await setScene(t, { args: ['--max-connections', '3'] });
  await writeRandomFile(scene.at('file'), 16 * MiB);
  const holders = Array.from({ length: 3 }, (_, i) => {
    let begun: () => void = () => undefined;
    const moving = new Promise<void>((resolve) => {
      begun = resolve;
    });
    const args = ['upload', '--json', '--bwlimit', '200k', scene.at('file'), scene.url(`${i}`)];
    const ferry = startFerry(args, {
      onEvent: ({ type }) => void (type === 'progress' && begun()),
    });
    return { ferry, moving };
  });
  await Promise.all(holders.map(({ moving }) => moving));
  const startedAtMs = performance.now();
  await scene.ferry(['stat', scene.url()], 8);
  t.true(performance.now() - startedAtMs < 5_000);
  t.like(await scene.daemon.logged('refused'), { msg: 'too many connections' });
  for (const { ferry } of holders) {
    ferry.kill('SIGKILL');
    await ferry.result;
  }
  // Ten times as many in turn: nobody is counted for ever.
  for (let i = 0; i < 30; i += 1) {
    await new Promise<void>((resolve) => {
      const socket = net.connect(scene.daemon.port, '127.0.0.1', () => socket.destroy());
      socket.on('error', () => undefined);
      socket.on('close', () => resolve());
    });
  }
  await scene.ferry(['stat', '--retries', '5', scene.url()]);
});

test.serial('partials expire after --partial-age days, younger ones stay', async (t) => {
  const scene = await setScene(t, { args: ['--partial-age', '2'] });
  await writeRandomFile(scene.at('file'), 8 * MiB);
  for (const name of ['old', 'young']) {
    const proxy = await Proxy.start(scene.daemon.port, {
      cut: { direction: 'up', afterBytes: 4 * MiB },
    });
    const args = ['upload', '--retries', '0', scene.at('file'), proxy.url(name)];
    t.is((await runFerry(args)).code, 5);
    await proxy.close();
    await scene.daemon.stop();
    if (name === 'old') {
      const dayMs = 24 * 3_600_000;
      const then = new Date(Date.now() - 3 * dayMs);
      for (const file of await readdir(scene.there('.chunkferry'))) {
        await utimes(scene.there('.chunkferry', file), then, then);
      }
    }
    await scene.restart();
  }
  const left = (await readdir(scene.there('.chunkferry'))).filter((name) => name !== 'lock');
  t.is(left.length, 2, 'data and journal of the young one');
  const again = await scene.ferry(['upload', scene.at('file'), scene.url('young')]);
  t.true((again.summary?.bytesReused ?? 0) > 0);
  const anew = await scene.ferry(['upload', scene.at('file'), scene.url('old')]);
  t.is(anew.summary?.bytesReused, 0);
});

test.serial(
  'a share whose folder goes away is an error of its own, not of the daemon',
  async (t) => {
    const scene = await setScene(t);
    await writeFile(scene.there('file'), 'file');
    await rm(scene.served, { recursive: true });
    t.is((await runFerry(['download', scene.url('file'), scene.at('got')])).code, 3);
    const { code, stderr } = await runFerry(['upload', '/etc/hostname', scene.url('x')]);
    t.not(code, 0);
    t.notRegex(stderr, new RegExp(scene.folder.path));
    await mkdir(scene.served);
  },
);
