/** The configuration file, `ferryd check`, SIGHUP and the allow-list, with the real programs. */
import { chmod, mkdir, readdir, writeFile } from 'node:fs/promises';
import net from 'node:net';
import tls from 'node:tls';
import test, { type ExecutionContext } from 'ava';
import { newToken, tokenText } from '../../transfer/authentication.ts';
import { type DaemonProcess, type LogRecord, runFerryd, startDaemon } from './helpers/daemon.ts';
import { type FerryProcess, type FerrySettings, runFerry, startFerry } from './helpers/ferry.ts';
import { differences, MiB, type TempFolder, tempFolder, writeRandomFile } from './helpers/files.ts';
import { startProgram } from './helpers/processes.ts';
import { Proxy } from './helpers/proxy.ts';
import { checkLog, ferryExits } from './helpers/scene.ts';
import { until } from './helpers/wait.ts';

async function folderFor(t: ExecutionContext): Promise<TempFolder> {
  const folder = await tempFolder();
  t.teardown(() => folder.remove());
  await mkdir(folder.at('served'));
  return folder;
}

interface Configured {
  readonly folder: TempFolder;
  readonly daemon: DaemonProcess;
  /** Writes the file anew, sends SIGHUP, and gives the line that came of it. */
  reload(text: string, event?: 'reloaded' | 'reload'): Promise<LogRecord>;
}

/** A daemon that reads `ferryd.toml` beside what it serves. */
async function configured(
  t: ExecutionContext,
  folder: TempFolder,
  text: string,
  settings: Parameters<typeof startDaemon>[0] = {},
): Promise<Configured> {
  const file = folder.at('ferryd.toml');
  await writeFile(file, text);
  const { args = [], ...rest } = settings;
  const daemon = await startDaemon({ ...rest, args: ['--config', file, ...args] });
  t.teardown(() => daemon.stop());
  return {
    folder,
    daemon,
    async reload(next, event = 'reloaded') {
      await writeFile(file, next);
      const before = daemon.logs.length;
      process.kill(daemon.pid, 'SIGHUP');
      const found = (): LogRecord | undefined =>
        daemon.logs.slice(before).find((record) => record['event'] === event);
      await until(`a line ${event}`, () => found() !== undefined);
      return found() ?? {};
    },
  };
}

const served = 'folder = "served"\n';

test.serial('check says what would be served, and makes nothing', async (t) => {
  const folder = await folderFor(t);
  await mkdir(folder.at('music'));
  const secret = tokenText(newToken());
  await writeFile(folder.at('token'), `${secret}\n`, { mode: 0o600 });
  await writeFile(
    folder.at('ferryd.toml'),
    `state = "state"
listen = "127.0.0.1:7999"
allow = ["127.0.0.0/8"]
metrics = ":9464"
[limits]
freeBytes = "1G"
[[share]]
name = "in"
folder = "served"
portable-names = true
[[share]]
name = "music"
folder = "music"
read-only = true
[[token]]
name = "backup"
token-file = "token"
scope = ["write"]
share = ["in"]
`,
  );
  const args = ['check', '--config', folder.at('ferryd.toml'), '--max-connections', '9'];
  const { code, stdout, stderr } = await runFerryd(args);
  t.is(code, 0, stderr);
  t.is(stderr, '');
  for (const says of [
    'ferryd.toml',
    '--max-connections 9',
    '127.0.0.1, port 7999: TLS',
    `${folder.at('served')} as /in, portable names only.`,
    `${folder.at('music')} as /music, read-only.`,
    '127.0.0.0/8',
    'Token backup: write; in in.',
    'Metrics on loopback, port 9464.',
    'Limit connections: 9.',
    'Limit freeBytes: 1073741824.',
    'All settings are right.',
  ]) {
    t.true(stdout.includes(says), `${says}\n${stdout}`);
  }
  t.false(stdout.includes(secret.slice(6)));
  t.deepEqual((await readdir(folder.path)).sort(), ['ferryd.toml', 'music', 'served', 'token']);
  // The options may stand before the command, too.
  t.is((await runFerryd(['--config', folder.at('ferryd.toml'), 'check'])).code, 0);
});

test.serial('check exits with 2 on whatever would stop a start', async (t) => {
  const folder = await folderFor(t);
  const file = folder.at('ferryd.toml');
  await writeFile(folder.at('plain'), 'no folder');
  for (const [text, says] of [
    ['lisen = "x"\n', /ferryd\.toml:1: lisen: .*Did you mean listen\?/],
    ['allow = ["10.0.0.0/8", "nonsense"]\n', /ferryd\.toml:1: allow: "nonsense"/],
    ['folder = "missing"\n', /ENOENT/],
    ['folder = "plain"\n', /not a folder/],
    ['[[share]]\nname = "a"\nfolder = "."\n[[share]]\nname = "b"\nfolder = "served"\n', /overlap/],
    ['tls-cert = "plain"\ntls-key = "plain"\n', /can't be used/],
    ['[[token]]\nname = "a"\ntoken-file = "none"\n', /ferryd\.toml:3: token\.token-file/],
    ['plain = true\n[[[\n', /ferryd\.toml:2: /],
  ] as [string, RegExp][]) {
    await writeFile(file, text);
    const { code, stdout, stderr } = await runFerryd(['check', '--config', file]);
    t.is(code, 2, text);
    t.is(stdout, '');
    t.regex(stderr, says);
    t.notRegex(stderr, /^\s+at /m);
  }
  // And a start says the same.
  await writeFile(file, 'lisen = "x"\n');
  const start = await runFerryd(['--config', file, '--state', folder.at('state')]);
  t.is(start.code, 2);
  t.regex(start.stderr, /^ferryd: .*ferryd\.toml:1: lisen: /);
});

test.serial("variables and the user's own file are read where no flag says it", async (t) => {
  const folder = await folderFor(t);
  await mkdir(folder.at('config', 'chunkferry'), { recursive: true });
  await mkdir(folder.at('other'));
  await writeFile(
    folder.at('config', 'chunkferry', 'ferryd.toml'),
    `plain = true\nlisten = "127.0.0.1:7998"\nfolder = "${folder.at('other')}"\n`,
  );
  const env = {
    XDG_CONFIG_HOME: folder.at('config'),
    FERRYD_FOLDER: folder.at('served'),
    FERRYD_LOG_LEVEL: 'warn',
  };
  // Without the one that the tests set for every program.
  const unset = { ...env, FERRYD_CONFIG: undefined };
  const { child, exit } = startProgram('ferryd', ['check'], ['ignore', 'pipe', 'pipe'], {
    env: unset,
  });
  let stdout = '';
  child.stdout?.setEncoding('utf8').on('data', (text: string) => {
    stdout += text;
  });
  t.is((await exit).code, 0);
  t.true(stdout.includes('127.0.0.1, port 7998: plain TCP'), stdout);
  t.true(stdout.includes(`serve ${folder.at('served')} as /.`), stdout);
  t.true(stdout.includes('Given: FERRYD_FOLDER='), stdout);
});

test.serial('a token of the file may do what its table says', async (t) => {
  const folder = await folderFor(t);
  const secret = tokenText(newToken());
  await writeFile(folder.at('token'), `${secret}\n`, { mode: 0o600 });
  await writeFile(folder.at('file'), 'content');
  const table = '[[token]]\nname = "writer"\ntoken-file = "token"\nscope = ["write"]\n';
  const { daemon } = await configured(t, folder, `${served}${table}`);
  const env = { FERRY_TOKEN: secret };
  await ferryExits(t, ['upload', folder.at('file'), daemon.url('file')], 0, { env });
  await ferryExits(t, ['download', daemon.url('file'), folder.at('got')], 4, { env });
  t.like(await daemon.logged('offer'), { token: 'writer', result: 'stored', bytes: 7 });
  // Those of ferryd token are valid beside it.
  await ferryExits(t, ['download', daemon.url('file'), folder.at('got')]);
  checkLog(daemon);
});

/** An upload that is under way, slow enough to go on for a while. */
async function slowUpload(
  folder: TempFolder,
  url: string,
  settings: FerrySettings = {},
  rate = '1M',
): Promise<FerryProcess> {
  const args = ['upload', '--json', '--bwlimit', rate, '--retries', '0', folder.at('big'), url];
  let begun: () => void = () => undefined;
  const moving = new Promise<void>((resolve) => {
    begun = resolve;
  });
  const ferry = startFerry(args, {
    ...settings,
    onEvent: (event) => void (event.type === 'progress' && event.bytesSent > 0 && begun()),
  });
  await Promise.race([moving, ferry.result]);
  return ferry;
}

test.serial('SIGHUP brings settings into force while a transfer goes on, whole', async (t) => {
  const folder = await folderFor(t);
  await writeRandomFile(folder.at('big'), 3 * MiB);
  const { daemon, reload } = await configured(t, folder, served);
  const proxy = await Proxy.start(daemon.port);
  t.teardown(() => proxy.close());
  const ferry = await slowUpload(folder, proxy.url('big'));
  // However long the rest takes, it is under way.
  proxy.faults.stalled = true;
  const next = `${served}log-level = "debug"\npartial-age = 3\n[limits]\nconnections = 1\n`;
  const reloaded = await reload(next);
  t.deepEqual((reloaded['changed'] as string[]).sort(), ['limit', 'log-level']);
  t.deepEqual((await daemon.logged('reload'))['restart'], ['partial-age']);
  // The new limit holds for who comes now.
  await ferryExits(t, ['stat', '--retries', '0', daemon.url()], 8);
  // A fault changes nothing.
  const failed = await reload('[limits]\nconections = 5\n', 'reload');
  t.regex(failed['reason'] as string, /ferryd\.toml:2: limits\.conections: .*connections\?/);
  await ferryExits(t, ['stat', '--retries', '0', daemon.url()], 8);
  proxy.faults.stalled = false;
  const { code, stderr } = await ferry.result;
  t.is(code, 0, stderr);
  t.deepEqual(await differences(folder.at('big'), folder.at('served', 'big')), []);
  await reload(served);
  await ferryExits(t, ['stat', daemon.url()]);
});

test.serial('a token that a reload takes out ends at once, others go on', async (t) => {
  const folder = await folderFor(t);
  await writeRandomFile(folder.at('big'), 3 * MiB);
  const secret = tokenText(newToken());
  await writeFile(folder.at('token'), `${secret}\n`, { mode: 0o600 });
  const table = '[[token]]\nname = "guest"\ntoken-file = "token"\n';
  const { daemon, reload } = await configured(t, folder, `${served}${table}`);
  const stays = await slowUpload(folder, daemon.url('stays'));
  // Slow enough not to end by itself, however slow the machine.
  const guest = { env: { FERRY_TOKEN: secret } };
  const goes = await slowUpload(folder, daemon.url('goes'), guest, '64K');
  // A file that others can read is refused, and changes nothing.
  await chmod(folder.at('token'), 0o644);
  const refused = await reload(`${served}${table}`, 'reload');
  t.regex(refused['reason'] as string, /ferryd\.toml:4: token\.token-file: Others can read/);
  await chmod(folder.at('token'), 0o600);
  await reload(served);
  t.is((await goes.result).code, 4);
  t.is((await stays.result).code, 0);
  t.deepEqual(await differences(folder.at('big'), folder.at('served', 'stays')), []);
  t.deepEqual((await readdir(folder.at('served'))).sort(), ['.chunkferry', 'stays']);
});

/** What a socket from this address hears before it is closed. */
async function knock(port: number, localAddress: string, say?: Uint8Array): Promise<Buffer> {
  const socket = net.connect({ port, host: '127.0.0.1', localAddress });
  const heard: Buffer[] = [];
  socket.on('data', (bytes: Buffer) => {
    heard.push(bytes);
    socket.destroy(); // A word is enough.
  });
  socket.on('error', () => undefined);
  if (say !== undefined) socket.write(say);
  await new Promise<void>((resolve) => socket.once('close', () => resolve()));
  return Buffer.concat(heard);
}

test.serial('an address that is not allowed is closed before a byte, and logged', async (t) => {
  const folder = await folderFor(t);
  const rules = `${served}log-level = "debug"\nallow = ["127.0.0.2/32", "2001:db8::/32"]\n`;
  const { daemon, reload } = await configured(t, folder, rules);
  t.is((await knock(daemon.port, '127.0.0.1')).length, 0);
  t.is((await knock(daemon.port, '127.0.0.3', Buffer.alloc(100_000, 1))).length, 0);
  const allowed = net.connect({ port: daemon.port, host: '127.0.0.1', localAddress: '127.0.0.2' });
  t.like(await daemon.logged('connected'), { peer: '127.0.0.2' });
  allowed.destroy();
  t.like(await daemon.logged('denied'), { peer: '127.0.0.1', level: 40 });
  t.is((await runFerry(['stat', '--retries', '0', daemon.url()])).code, 35);
  // A malformed rule keeps the old ones.
  await reload(`${served}allow = ["127.0.0.0/8", "127.0.0.300"]\n`, 'reload');
  t.is((await knock(daemon.port, '127.0.0.1')).length, 0);
  await reload(`${served}allow = ["127.0.0.0/8"]\n`);
  await ferryExits(t, ['stat', daemon.url()]);
  // Many at once are few lines, and one that counts.
  await reload(`${served}allow = ["127.0.0.2"]\n`);
  await Promise.all(Array.from({ length: 60 }, () => knock(daemon.port, '127.0.0.4')));
  await daemon.stop();
  const denied = daemon.logs.filter(({ event }) => event === 'denied');
  t.true(denied.length <= 45, `${denied.length} lines`);
  const told = denied.reduce((sum, { more }) => sum + ((more as number | undefined) ?? 1), 0);
  t.true(told >= 63, `${told} told of`);
});

test.serial('who is connected and not allowed any more is let go by a reload', async (t) => {
  const folder = await folderFor(t);
  await writeRandomFile(folder.at('big'), 3 * MiB);
  const { daemon, reload } = await configured(t, folder, served);
  const ferry = await slowUpload(folder, daemon.url('big'));
  await reload(`${served}allow = ["127.0.0.2"]\n`);
  t.is((await ferry.result).code, 4);
});

test.serial(
  'with TLS, a denied address gets no handshake, and SIGHUP a new certificate',
  async (t) => {
    const folder = await folderFor(t);
    const { loadIdentity } = await import('../../daemon/certificate.ts');
    for (const name of ['one', 'two']) await loadIdentity(folder.at(name));
    const text = (name: string, more = ''): string =>
      `${served}${more}tls-cert = "${name}/cert.pem"\ntls-key = "${name}/key.pem"\n`;
    const { daemon, reload } = await configured(t, folder, text('one'), { plain: false });
    const pin = async (): Promise<string> => {
      const socket = tls.connect({
        port: daemon.port,
        host: '127.0.0.1',
        ALPNProtocols: ['chunkferry/1'],
        rejectUnauthorized: false,
      });
      socket.on('error', () => undefined);
      await new Promise<void>((resolve) => socket.once('secureConnect', resolve));
      const { fingerprint256 } = socket.getPeerCertificate();
      socket.destroy();
      return fingerprint256;
    };
    const first = await pin();
    await reload(text('missing'), 'reload');
    t.is(await pin(), first);
    await reload(text('two'));
    t.not(await pin(), first);
    await reload(text('two', 'allow = ["127.0.0.2"]\n'));
    // A whole ClientHello: content type 22, and enough behind it.
    const hello = Buffer.concat([Buffer.from([22, 3, 1, 0, 100, 1]), Buffer.alloc(99)]);
    t.is((await knock(daemon.port, '127.0.0.1', hello)).length, 0);
    t.true((await knock(daemon.port, '127.0.0.2', hello)).length > 0, 'an alert at least');
  },
);

test.serial(
  'a line for each transfer says who, what, bytes, seconds and result, escaped',
  async (t) => {
    const folder = await folderFor(t);
    const { daemon } = await configured(t, folder, served);
    const name = 'a\u001b[2J\u009b\u202eb\nc';
    await writeRandomFile(folder.at('big'), MiB);
    await ferryExits(t, ['upload', folder.at('big'), daemon.url(name)]);
    await ferryExits(t, ['download', daemon.url(name), folder.at('got')]);
    await ferryExits(t, ['download', daemon.url(`${name}/none`), folder.at('none')], 3);
    await daemon.stop();
    const lines = daemon.logs.filter(({ path }) => typeof path === 'string');
    const who = { peer: '127.0.0.1', token: 'first' };
    for (const event of ['offer', 'download']) {
      const line = lines.find((each) => each['event'] === event);
      t.like(line, { ...who, path: name, bytes: MiB });
      t.is(typeof line?.['seconds'], 'number');
      t.is(typeof line?.['result'], 'string');
    }
    t.deepEqual(daemon.stray, [], 'no name makes a line of its own');
  },
);
