/** Bad input and bad luck: one clear sentence each, and the exit code that scripts go by. */
import { execFile } from 'node:child_process';
import { chmod, mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { createServer, type Server } from 'node:http';
import net from 'node:net';
import path from 'node:path';
import { promisify } from 'node:util';
import test, { type ExecutionContext } from 'ava';
import { root } from '../helpers/root.ts';
import { startDaemon } from './helpers/daemon.ts';
import { type FerrySettings, runFerry } from './helpers/ferry.ts';
import { differences, MiB, randomBytes, tempFolder, writeRandomFile } from './helpers/files.ts';
import { boundByModes, checkLog, isLinux, isRoot, type Scene, setScene } from './helpers/scene.ts';

const run = promisify(execFile);
const testAsRoot = isLinux && isRoot ? test.serial : test.serial.skip;

/** What an error must be: its exit code, one sentence that says so, nothing of the machines' insides. */
async function refuses(
  t: ExecutionContext,
  args: readonly string[],
  code: number,
  says: RegExp,
  settings: FerrySettings & { readonly hides?: string } = {},
): Promise<void> {
  const result = await runFerry(args, settings);
  const what = `ferry ${args.join(' ')}\n${result.stderr}`;
  t.is(result.code, code, what);
  // One sentence; below it at most what was done until then.
  t.regex(result.stderr, /^ferry: [^\n]+\n(ferry: \d+ files?,? [^\n]+\n)*$/, what);
  t.regex(result.stderr, says, what);
  t.notRegex(result.stderr, /^\s+at |Error:|node:|undefined|\[object/m, what);
  if (settings.hides !== undefined) t.false(result.stderr.includes(settings.hides), what);
  t.is(result.stdout.length, 0, what);
}

async function freePort(): Promise<number> {
  const server = net.createServer();
  await new Promise<void>((resolve) => void server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as net.AddressInfo;
  await new Promise((resolve) => void server.close(resolve));
  return port;
}

async function listening(server: Server | net.Server): Promise<number> {
  await new Promise<void>((resolve) => void server.listen(0, '127.0.0.1', resolve));
  return (server.address() as net.AddressInfo).port;
}

test.serial('no daemon there, an unknown host: exit 35 at once', async (t) => {
  const port = await freePort();
  const startedAtMs = performance.now();
  await refuses(t, ['ls', `ferry+tcp://127.0.0.1:${port}/`], 35, /nothing listens on port/);
  await refuses(
    t,
    ['upload', '/etc/hostname', `ferry+tcp://[::1]:${port}/x`],
    35,
    /Cannot connect/,
  );
  await refuses(t, ['ls', 'ferry+tcp://no-such-host.invalid/'], 35, /host name/);
  t.true(performance.now() - startedAtMs < 15_000);

  // With --retries the first connection is tried again, too.
  const retried = await runFerry([
    'ls',
    '--json',
    '--retries',
    '1',
    `ferry+tcp://127.0.0.1:${port}/`,
  ]);
  t.is(retried.code, 35);
  t.is(retried.events.filter(({ type }) => type === 'retry').length, 1);
});

test.serial('--max-duration is over before a connection stands: exit 30 then', async (t) => {
  const silent = net.createServer((socket) => socket.on('error', () => undefined));
  const [silentPort, freedPort] = [await listening(silent), await freePort()];
  t.teardown(() => silent.close());
  const folder = await tempFolder();
  t.teardown(folder.remove);
  // The handshake, the greeting, and the waits between attempts: each alone takes 10 s or more.
  const roots = [
    `ferry://127.0.0.1:${silentPort}`,
    `ferry+tcp://127.0.0.1:${silentPort}`,
    `ferry://127.0.0.1:${freedPort}`,
  ];
  for (const root of roots) {
    for (const paths of [
      ['upload', '/etc/hostname', `${root}/x`],
      ['download', `${root}/x`, folder.at('x')],
    ]) {
      const limited = [...paths, '--max-duration', '2s', '--retries', '9', '--json'];
      const startedAtMs = performance.now();
      const { code, events, stderr } = await runFerry(limited);
      const what = `${paths.join(' ')}\n${stderr}`;
      t.is(code, 30, what);
      t.true(performance.now() - startedAtMs < 7_000, what);
      const [error, ...more] = events.filter(({ type }) => type === 'error');
      t.like(error, { failure: 'timeout', exitCode: 30 }, what);
      t.deepEqual(more, [], what);
      // What was stopped is not tried again.
      const retries = events.filter(({ type }) => type === 'retry');
      t.is(retries.length > 0, root.includes(`${freedPort}`), what);
    }
  }
});

testAsRoot(
  'no answer, no way there: exit 35, and a firewall is among what may be the cause',
  async (t) => {
    // What is routed to loopback and is no address of it gets lost; firewalls that refuse look like the second.
    const network =
      'ip link set lo up; ip route add 10.9.8.0/24 dev lo; ip route add unreachable 10.9.7.0/24';
    const through = ['unshare', '--net', 'sh', '-ec', `${network}; exec "$@"`, 'sh'];
    await Promise.all([
      refuses(t, ['ls', 'ferry://10.9.8.1/'], 35, /no answer; .*firewall/, { through }),
      refuses(
        t,
        ['upload', '--max-duration', '2s', '/etc/hostname', 'ferry://10.9.8.1/x'],
        30,
        /--max-duration/,
        { through },
      ),
      refuses(t, ['ls', 'ferry://10.9.7.1/'], 35, /no way to that machine; .*firewall/, {
        through,
      }),
      refuses(t, ['ls', 'ferry://10.9.6.1/'], 35, /no way to that network/, { through }),
    ]);
  },
);

test.serial('a port where something else answers: exit 35 or 7, with a hint', async (t) => {
  const http = createServer((_request, response) => response.end('hello'));
  const closing = net.createServer((socket) => socket.destroy());
  for (const server of [http, closing]) {
    const port = await listening(server);
    t.teardown(() => server.close());
    const { code, stderr } = await runFerry(['ls', `ferry+tcp://127.0.0.1:${port}/`]);
    t.true(code === 35 || code === 7, stderr);
    t.regex(stderr, /^ferry: [^\n]+\n$/);
    t.regex(stderr, /ferryd|chunkferry/);
  }
  // A TLS alert, as anything that OpenSSL finds wrong, and a first record that is none of a handshake.
  for (const [said, says] of [
    ['15030300020228', /: the TLS handshake failed \(sslv3 alert handshake failure\); try again, /],
    ['1703030001aa', /: the TLS handshake failed \(unexpected message\); try again, /],
  ] as const) {
    const server = net.createServer((socket) => {
      socket.on('error', () => undefined);
      socket.write(Buffer.from(said, 'hex'));
    });
    const port = await listening(server);
    t.teardown(() => server.close());
    await refuses(t, ['ls', `ferry://127.0.0.1:${port}/`], 35, says, { hides: 'openssl' });
  }
  // The other way round: HTTP to a daemon is closed without a word.
  const scene = await setScene(t);
  const answer = await new Promise<string>((resolve) => {
    const socket = net.connect(scene.daemon.port, '127.0.0.1');
    let text = '';
    socket.on('data', (bytes) => {
      text += bytes.toString('latin1');
    });
    socket.on('close', () => resolve(text));
    socket.on('error', () => undefined);
    socket.end('GET / HTTP/1.1\r\nHost: x\r\n\r\n');
  });
  t.notRegex(answer, /daemon|main\.js|Error/);
});

test('what takes the connection and says nothing is not told as one that closed it', async (t) => {
  const silent = net.createServer((socket) => socket.on('error', () => undefined));
  const port = await listening(silent);
  t.teardown(() => silent.close());
  const says = /took the connection, and did not answer for 10 s: is that ferryd/;
  await refuses(t, ['ls', `ferry+tcp://127.0.0.1:${port}/`], 35, says);
});

test.serial('a daemon of another version, or one that breaks the rules: exit 7', async (t) => {
  const preamble = (version: number): Buffer => {
    const bytes = Buffer.from('\x89FERRY\r\n\0\0\0\0\0\0\0\0', 'latin1');
    bytes.writeUInt16LE(version, 8);
    bytes.writeUInt16LE(version, 10);
    return bytes;
  };
  // Its first frame would be a `pong`, with every check right.
  const pong = await readFile(path.join(root, 'fixtures/frames/pong.hex'), 'utf8');
  const frame = Buffer.from(pong.replace(/#.*$/gm, '').replace(/\s/g, ''), 'hex');
  for (const [said, says] of [
    [preamble(9), /version/],
    [Buffer.concat([preamble(1), frame]), /pong|hello|protocol/],
  ] as const) {
    const server = net.createServer((socket) => {
      socket.on('error', () => undefined);
      socket.write(said);
    });
    const port = await listening(server);
    t.teardown(() => server.close());
    await refuses(t, ['ls', `ferry+tcp://127.0.0.1:${port}/`], 7, says);
  }
});

test.serial('what is not there, in the way, or of the wrong kind', async (t) => {
  const scene = await setScene(t);
  await mkdir(scene.there('folder', 'sub'), { recursive: true });
  await writeFile(scene.there('file'), 'file');
  await writeFile(scene.at('mine'), 'mine');
  await mkdir(scene.at('tree', 'file'), { recursive: true });
  await writeFile(scene.at('tree', 'file', 'inside'), 'inside');
  await writeFile(scene.at('blocked'), 'a file');
  const { url } = scene;
  const hides = scene.served;
  const cases: [string[], number, RegExp][] = [
    [['download', url('missing'), scene.at('got')], 3, /"?missing"? does not exist/],
    [['download', url('file/below'), scene.at('got')], 3, /not exist|not a folder/],
    [['upload', scene.at('missing'), url()], 3, /does not exist/],
    [['stat', url('missing')], 3, /does not exist/],
    [['ls', url('missing')], 3, /does not exist/],
    [['rm', url('missing')], 3, /does not exist/],
    [['mv', url('missing'), '/other'], 3, /does not exist/],
    [['verify', scene.at('mine'), url('missing')], 3, /does not exist/],
    [['verify', scene.at('missing'), url('file')], 3, /does not exist/],
    [['mkdir', url('no/parent')], 3, /does not exist/],
    [['mkdir', url('file')], 2, /exists/],
    [['mkdir', url('file/below')], 2, /not a folder/],
    [['rm', url('folder')], 2, /not empty/],
    [['mv', url('file'), '/folder'], 2, /exists/],
    [['mv', url('folder'), '/folder/sub/inside'], 2, /into itself/],
    [['upload', scene.at('mine'), url('file/below')], 2, /a file is in the way/],
    [['upload', scene.at('tree'), url('file')], 2, /folder/],
    [['download', url('folder'), scene.at('blocked')], 2, /is a file|not a folder/],
    [['download', url('file'), scene.at('blocked', 'below')], 2, /a file is in the way/],
  ];
  for (const [args, code, says] of cases) await refuses(t, args, code, says, { hides });

  // A folder where a file should go: the file goes into it, unless its own name is taken by a folder.
  await mkdir(scene.there('folder', 'mine'));
  await refuses(t, ['upload', scene.at('mine'), url('folder')], 2, /folder/, { hides });
  await mkdir(scene.at('here', 'file'), { recursive: true });
  await refuses(t, ['download', url('file'), scene.at('here')], 2, /folder/, { hides });
  t.deepEqual(await readdir(scene.there('folder')), ['mine', 'sub']);
  t.is(await readFile(scene.there('file'), 'utf8'), 'file');

  // Among several they count as one that failed.
  const several = ['upload', scene.at('mine'), scene.at('blocked'), url('folder')];
  const some = await scene.ferry(several, 23);
  t.like(some.summary, { files: 1, failed: 1 });
  const gone = ['upload', scene.at('blocked'), scene.at('missing'), url('folder')];
  t.true([3, 23].includes((await runFerry(gone)).code ?? 0));
});

test.serial('a tree with a file where a folder should be, and the other way round', async (t) => {
  const scene = await setScene(t);
  for (const [root, swapped] of [
    [scene.at('tree'), false],
    [scene.there('tree'), true],
  ] as const) {
    const [file, folder] = swapped ? ['b', 'a'] : ['a', 'b'];
    await mkdir(`${root}/${folder}`, { recursive: true });
    await writeFile(`${root}/${file}`, 'file');
    await writeFile(`${root}/${folder}/inside`, 'inside');
    await writeFile(`${root}/good-${swapped}`, 'good');
  }
  const up = await scene.ferry(['upload', scene.at('tree'), scene.url()], 23);
  t.is(up.summary?.files, 1);
  t.true((up.summary?.failed ?? 0) >= 2);
  t.is(await readFile(scene.there('tree', 'b'), 'utf8'), 'file');
  const down = await scene.ferry(['download', scene.url('tree'), scene.folder.path], 23);
  t.is(down.summary?.files, 2);
  t.is(await readFile(scene.at('tree', 'a'), 'utf8'), 'file');
  t.is(await readFile(scene.at('tree', 'good-true'), 'utf8'), 'good');
});

test.serial('the command line: unknown options, commands and remotes are exit 2', async (t) => {
  const cases: [string[], RegExp][] = [
    [['upload', '--frobnicate', 'x', 'ferry+tcp://h/'], /--frobnicate/],
    [['frobnicate'], /frobnicate/],
    [['ls', 'host:/path'], /did you mean/],
    [['ls', 'http://host/'], /not a remote/],
    [['ls', 'ferry+tcp:///x'], /host/],
    [['ls', 'ferry+tcp://host:99999/x'], /port/],
    [['ls', 'ferry+tcp://::1/x'], /brackets/],
    [['ls', 'ferry+tcp://me@host/x'], /user/],
    [['ls', 'ferry+tcp://host/../x'], /component/],
    [['upload', 'x'], /./],
    [['upload', 'x', 'y'], /not a remote/],
    [['upload', 'ferry+tcp://h/a', 'ferry+tcp://h/b'], /./],
    [['download', 'x', 'ferry+tcp://h/b'], /./],
    [['upload', '--bwlimit', 'fast', 'x', 'ferry+tcp://h/'], /bwlimit|unit/],
    [['upload', '--overwrite', 'maybe', 'x', 'ferry+tcp://h/'], /overwrite/],
    [['upload', '--connections', '0', 'x', 'ferry+tcp://h/'], /connections/],
    [['upload', '--max-duration', 'soon', 'x', 'ferry+tcp://h/'], /max-duration|time/],
    [['upload', '--exclude', '', 'x', 'ferry+tcp://h/'], /empty/],
  ];
  for (const [args, says] of cases) await refuses(t, args, 2, says);
});

/** A daemon that file modes bind, with things in its share that it may not touch. */
async function setBoundScene(t: ExecutionContext): Promise<Scene> {
  const scene = await setScene(t, { through: boundByModes });
  await mkdir(scene.there('closed'));
  await writeFile(scene.there('closed', 'inside'), 'inside');
  await mkdir(scene.there('read only'));
  await writeFile(scene.there('read only', 'file'), 'file');
  await writeFile(scene.there('secret'), 'secret');
  await writeFile(scene.there('open'), 'open');
  await chmod(scene.there('secret'), 0);
  await chmod(scene.there('closed'), 0);
  await chmod(scene.there('read only'), 0o555);
  await writeFile(scene.at('mine'), 'mine');
  await writeRandomFile(scene.at('large'), 200_000);
  return scene;
}

testAsRoot(
  'no permission at the daemon: exit 4 for what was named, 23 for some of it',
  async (t) => {
    const scene = await setBoundScene(t);
    const hides = scene.served;
    const { url } = scene;
    for (const args of [
      ['download', url('secret'), scene.at('got')],
      ['download', url('closed/inside'), scene.at('got')],
      ['ls', url('closed')],
      ['upload', scene.at('mine'), url('closed/mine')],
      ['upload', scene.at('mine'), url('read only/mine')],
      ['upload', scene.at('large'), url('read only/large')],
      ['upload', scene.at('large'), url('closed/large')],
      ['mkdir', url('read only/new')],
      ['rm', url('read only/file')],
      ['mv', url('read only/file'), '/moved'],
      ['mv', url('open'), '/read only/open'],
    ]) {
      await refuses(t, args, 4, /may not|permission|cannot/i, { hides });
    }
    const down = await scene.ferry(['download', url(), scene.at('back')], 23);
    t.deepEqual([...(down.summary?.failedNames ?? [])].sort(), ['closed', 'secret']);
    t.is(await readFile(scene.at('back', 'open'), 'utf8'), 'open');
    t.is(await readFile(scene.at('back', 'read only', 'file'), 'utf8'), 'file');

    await mkdir(scene.at('tree', 'closed'), { recursive: true });
    await mkdir(scene.at('tree', 'read only'));
    await mkdir(scene.at('tree', 'fine'));
    for (const folder of ['closed', 'read only', 'fine']) {
      await writeFile(scene.at('tree', folder, 'new'), folder);
      await writeRandomFile(scene.at('tree', folder, 'large'), 100_000);
    }
    const up = await scene.ferry(['upload', `${scene.at('tree')}/`, url()], 23);
    t.deepEqual([...(up.summary?.failedNames ?? [])].sort(), [
      'tree/closed', // Its mode could not be set either.
      'tree/closed/large',
      'tree/closed/new',
      'tree/read only/large',
      'tree/read only/new',
    ]);
    for (const event of up.events) if (event.type === 'error') t.is(event.failure, 'permission');
    t.is(await readFile(scene.there('fine', 'new'), 'utf8'), 'fine');
  },
);

testAsRoot('no permission here: the same', async (t) => {
  const scene = await setScene(t);
  const bound = { through: boundByModes };
  await mkdir(scene.at('tree', 'closed'), { recursive: true });
  await writeFile(scene.at('tree', 'open'), 'open');
  await writeFile(scene.at('tree', 'secret'), 'secret');
  await writeRandomFile(scene.at('tree', 'large secret'), 100_000);
  await writeFile(scene.at('tree', 'closed', 'inside'), 'inside');
  await chmod(scene.at('tree', 'secret'), 0);
  await chmod(scene.at('tree', 'large secret'), 0);
  await chmod(scene.at('tree', 'closed'), 0);
  await refuses(t, ['upload', scene.at('tree', 'secret'), scene.url()], 4, /may not|cannot/, bound);
  await refuses(t, ['upload', scene.at('tree', 'closed'), scene.url()], 4, /may not|cannot/, bound);
  const up = await scene.ferry(['upload', scene.at('tree'), scene.url()], 23, bound);
  t.deepEqual([...(up.summary?.failedNames ?? [])].sort(), [
    'tree/closed',
    'tree/large secret',
    'tree/secret',
  ]);
  for (const event of up.events) if (event.type === 'error') t.is(event.failure, 'permission');
  t.is(await readFile(scene.there('tree', 'open'), 'utf8'), 'open');

  // A target that may not be written; and a read-only folder in the source, with its content.
  await mkdir(scene.at('target'));
  await chmod(scene.at('target'), 0o555);
  const down = ['download', scene.url('tree/open'), scene.at('target')];
  await refuses(t, down, 4, /may not|cannot/, bound);
  await mkdir(scene.there('fixed', 'sub'), { recursive: true });
  await writeFile(scene.there('fixed', 'sub', 'file'), 'fixed');
  await writeRandomFile(scene.there('fixed', 'sub', 'large'), 100_000);
  await chmod(scene.there('fixed', 'sub'), 0o555);
  await chmod(scene.there('fixed'), 0o555);
  await scene.ferry(['download', scene.url('fixed'), scene.at('back')], 0, bound);
  t.deepEqual(await differences(scene.there('fixed'), scene.at('back', 'fixed')), []);
  await scene.ferry(['download', scene.url('fixed'), scene.at('back')], 0, bound);
});

test.serial('a read-only share: exit 4 for every change, and reading works', async (t) => {
  const folder = await tempFolder();
  t.teardown(() => folder.remove());
  await mkdir(folder.at('share'));
  await writeFile(folder.at('share', 'file'), 'file');
  await writeFile(folder.at('mine'), 'mine');
  const daemon = await startDaemon({ args: ['--share', `music=${folder.at('share')}:ro`] });
  t.teardown(async () => {
    await daemon.stop();
    checkLog(daemon);
  });
  const file = daemon.url('music/file');
  for (const args of [
    ['upload', folder.at('mine'), daemon.url('music/mine')],
    ['upload', folder.at('mine'), file],
    ['mkdir', daemon.url('music/new')],
    ['mkdir', '-p', daemon.url('music/new')],
    ['rm', file],
    ['rm', '-r', file],
    ['mv', file, '/music/other'],
  ]) {
    await refuses(t, args, 4, /read-only/, { hides: folder.path });
  }
  t.is((await runFerry(['download', file, folder.at('got')])).code, 0);
  t.is(await readFile(folder.at('got'), 'utf8'), 'file');
  t.deepEqual(await readdir(folder.at('share')), ['file'], 'not even a staging folder');
});

testAsRoot(
  'a full disk: exit 8, nothing visible; with space again the same command carries on',
  async (t) => {
    const folder = await tempFolder('/dev/shm');
    t.teardown(() => folder.remove());
    await mkdir(folder.at('disk'));
    await run('mount', ['-t', 'tmpfs', '-o', 'size=24m,nr_inodes=64', 'tmpfs', folder.at('disk')]);
    t.teardown(() => run('umount', ['-l', folder.at('disk')]));
    const daemon = await startDaemon({ folder: folder.at('disk') });
    t.teardown(() => daemon.stop());
    await writeFile(folder.at('disk', 'ballast'), randomBytes('ballast', 8 * MiB));
    await writeRandomFile(folder.at('large'), 20 * MiB);
    const up = ['upload', folder.at('large'), daemon.url('large')];
    await refuses(t, up, 8, /no space|disk/i, { hides: folder.path });
    t.deepEqual((await readdir(folder.at('disk'))).sort(), ['.chunkferry', 'ballast']);
    await rm(folder.at('disk', 'ballast'));
    const again = await runFerry([...up, '--json']);
    t.is(again.code, 0, again.stderr);
    t.true((again.summary?.bytesReused ?? 0) > 0, 'what fitted before was not sent again');
    t.deepEqual(await differences(folder.at('large'), folder.at('disk', 'large')), []);
    await rm(folder.at('disk', 'large'));

    // Small files: too many for the inodes.
    await mkdir(folder.at('many'));
    for (let i = 0; i < 100; i += 1) await writeFile(folder.at('many', `${i}`), `${i}`);
    const many = ['upload', '--json', folder.at('many'), daemon.url()];
    const first = await runFerry(many);
    t.true(first.code === 23 || first.code === 8, first.stderr);
    for (const event of first.events) if (event.type === 'error') t.is(event.failure, 'no-space');
    await run('mount', ['-o', 'remount,nr_inodes=400', folder.at('disk')]);
    const second = await runFerry(many);
    t.is(second.code, 0, second.stderr);
    t.deepEqual(await differences(folder.at('many'), folder.at('disk', 'many')), []);
    checkLog(daemon);

    // The client's own disk.
    const small = await tempFolder('/dev/shm');
    t.teardown(() => small.remove());
    await run('mount', ['-t', 'tmpfs', '-o', 'size=4m', 'tmpfs', small.path]);
    t.teardown(() => run('umount', ['-l', small.path]));
    await writeRandomFile(folder.at('disk', 'fits not'), 6 * MiB);
    await refuses(t, ['download', daemon.url('fits not'), `${small.path}/`], 8, /no space|disk/i);
    await run('mount', ['-o', 'remount,size=16m', small.path]);
    t.is((await runFerry(['download', daemon.url('fits not'), `${small.path}/`])).code, 0);
    t.deepEqual(await differences(folder.at('disk', 'fits not'), small.at('fits not')), []);
  },
);
