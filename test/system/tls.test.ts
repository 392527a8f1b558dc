/** TLS, pins and tokens, through the real programs. */
import { X509Certificate } from 'node:crypto';
import { chmod, mkdir, readFile, stat, writeFile } from 'node:fs/promises';
import net from 'node:net';
import tls from 'node:tls';
import test, { type ExecutionContext } from 'ava';
import { generate } from 'selfsigned';
import { loadIdentity } from '../../daemon/certificate.ts';
import { newToken, tokenText } from '../../transfer/authentication.ts';
import { testToken } from '../helpers/token.ts';
import { Peer } from '../hostile/helpers/peer.ts';
import { startDaemon } from './helpers/daemon.ts';
import { type FerryResult, runFerry } from './helpers/ferry.ts';
import { differences, MiB, type TempFolder, tempFolder, writeRandomFile } from './helpers/files.ts';
import { eachLine, parseObject, startProgram } from './helpers/processes.ts';
import { testWithStrace, tracing } from './helpers/trace.ts';

interface Secure {
  readonly folder: TempFolder;
  readonly port: number;
  readonly pin: string;
  /** All that it logged. */
  log(): string;
  url(path?: string): string;
}

async function secure(t: ExecutionContext, args: readonly string[] = []): Promise<Secure> {
  const folder = await tempFolder();
  await mkdir(folder.at('served'));
  await mkdir(folder.at('state'), { mode: 0o700 });
  await writeFile(folder.at('state', 'token'), `${testToken}\n`, { mode: 0o600 });
  const words = ['--listen', '127.0.0.1:0', '--log-format', 'json', '--state', folder.at('state')];
  const { child, exit } = startProgram(
    'ferryd',
    [folder.at('served'), ...words, ...args],
    ['ignore', 'ignore', 'pipe'],
    {},
  );
  t.teardown(async () => {
    child.kill('SIGTERM');
    await exit;
    await folder.remove();
  });
  const lines: string[] = [];
  const port = await new Promise<number>((resolve, reject) => {
    eachLine(child.stderr as NodeJS.ReadableStream, (line) => {
      lines.push(line);
      const record = parseObject(line);
      if (record?.['event'] === 'listening') resolve(record['port'] as number);
    });
    exit.then(() => reject(new Error(lines.join('\n'))), reject);
  });
  const own = folder.at('state', 'cert.pem');
  const given = args.indexOf('--tls-cert') + 1;
  const cert = await readFile(given > 0 ? (args[given] ?? own) : own);
  return {
    folder,
    port,
    pin: new X509Certificate(cert).fingerprint256,
    log: () => lines.join('\n'),
    url: (path = '') => `ferry://127.0.0.1:${port}/${path}`,
  };
}

async function exits(
  t: ExecutionContext,
  code: number,
  args: readonly string[],
  env: Record<string, string | undefined> = {},
): Promise<FerryResult> {
  const result = await runFerry(args, { env });
  t.is(result.code, code, `${args.join(' ')}\n${result.stderr}`);
  t.notRegex(result.stderr, /^\s+at /m);
  t.false(result.stderr.includes(testToken));
  return result;
}

test('files go up and down under TLS, and resume', async (t) => {
  const daemon = await secure(t);
  const { folder } = daemon;
  await writeRandomFile(folder.at('big'), 40 * MiB);
  await exits(t, 30, [
    'upload',
    '--bwlimit',
    '20M',
    '--max-duration',
    '1s',
    folder.at('big'),
    daemon.url(),
  ]);
  const again = await runFerry(['upload', '--json', folder.at('big'), daemon.url()]);
  t.is(again.code, 0, again.stderr);
  t.true((again.summary?.bytesReused ?? 0) > MiB);
  await exits(t, 0, ['download', '--pin', daemon.pin, daemon.url('big'), folder.at('back')]);
  t.deepEqual(await differences(folder.at('big'), folder.at('back')), []);
  t.false(daemon.log().includes(testToken));
});

testWithStrace('a download under TLS reads more at a time than TLS asks for', async (t) => {
  const daemon = await secure(t);
  const { folder } = daemon;
  const trace = folder.at('trace');
  await writeRandomFile(folder.at('served', 'big'), 32 * MiB);
  const download = ['download', '--pin', daemon.pin, daemon.url('big'), folder.at('back')];
  const through = tracing(['connect', 'read'], trace);
  const result = await runFerry(download, { through });
  t.is(result.code, 0, result.stderr);
  t.deepEqual(await differences(folder.at('served', 'big'), folder.at('back')), []);
  const lines = (await readFile(trace, 'latin1')).split('\n');
  const connected = lines.findIndex((line) => line.includes(`htons(${daemon.port})`));
  const [, socket] = /connect\((\d+),/.exec(lines[connected] ?? '') ?? [];
  const reads = lines.slice(connected).filter((line) => line.includes(` read(${socket},`));
  const most = Math.max(...reads.map((line) => Number(/ = (\d+)$/.exec(line)?.[1] ?? 0)));
  t.true(most > 64 * 1024, `${reads.length} reads, the largest of ${most} bytes`);
});

test('the first start makes a certificate, a key and a token, for the owner alone', async (t) => {
  const { folder } = await secure(t);
  for (const name of ['token', 'cert.pem', 'key.pem', 'tokens.json']) {
    t.is((await stat(folder.at('state', name))).mode & 0o777, 0o600, name);
  }
});

test('the wrong token, none, a revoked pin, one that others can read: exit 4 with a hint', async (t) => {
  const daemon = await secure(t);
  const ls = ['ls', daemon.url()];
  const wrong = await exits(t, 4, ls, { FERRY_TOKEN: tokenText(newToken()) });
  t.regex(wrong.stderr, /token/);
  const HOME = daemon.folder.path;
  const none = await exits(t, 4, ls, { FERRY_TOKEN: undefined, HOME, XDG_STATE_HOME: HOME });
  t.regex(none.stderr, /ferry pair/);
  const pinned = await exits(t, 4, [...ls, '--pin', `sha256:${'0'.repeat(64)}`]);
  t.regex(pinned.stderr, /another certificate/);
  const file = daemon.folder.at('token');
  await writeFile(file, testToken);
  await chmod(file, 0o644);
  const open = await exits(t, 4, [...ls, '--token-file', file], { FERRY_TOKEN: undefined });
  t.regex(open.stderr, /chmod 600/);
  await chmod(file, 0o600);
  await exits(t, 0, [...ls, '--token-file', file], { FERRY_TOKEN: undefined });
  const nonsense = await exits(t, 2, ls, { FERRY_TOKEN: 'nonsense-secret' });
  t.false(nonsense.stderr.includes('nonsense-secret'));
});

test('on the same machine the daemon of the same user is known by its default state folder', async (t) => {
  const daemon = await secure(t);
  const own = daemon.folder.at('xdg', 'chunkferry');
  await mkdir(own, { recursive: true });
  await writeFile(`${own}/token`, testToken, { mode: 0o600 });
  const env = { FERRY_TOKEN: undefined, XDG_STATE_HOME: daemon.folder.at('xdg') };
  await exits(t, 0, ['ls', daemon.url()], env);
});

test('a certificate of one’s own: signed by --ca it is taken, by others it is not', async (t) => {
  const folder = await tempFolder();
  t.teardown(() => folder.remove());
  await loadIdentity(folder.path); // Self-signed: its own authority, for localhost.
  const files = ['--tls-cert', folder.at('cert.pem'), '--tls-key', folder.at('key.pem')];
  const words = ['--listen', 'localhost:0', '--state', folder.at('state'), '--log-format', 'json'];
  await mkdir(folder.at('served'));
  await mkdir(folder.at('state'), { mode: 0o700 });
  await writeFile(folder.at('state', 'token'), testToken, { mode: 0o600 });
  const { child, exit } = startProgram(
    'ferryd',
    [folder.at('served'), ...words, ...files],
    ['ignore', 'ignore', 'pipe'],
    {},
  );
  t.teardown(async () => {
    child.kill('SIGTERM');
    await exit;
  });
  const port = await new Promise<number>((resolve) => {
    eachLine(child.stderr as NodeJS.ReadableStream, (line) => {
      const record = parseObject(line);
      if (record?.['event'] === 'listening') resolve(record['port'] as number);
    });
  });
  const url = `ferry://localhost:${port}/`;
  await exits(t, 0, ['ls', '--ca', folder.at('cert.pem'), url]);
  await loadIdentity(folder.at('other'));
  const other = await exits(t, 4, ['ls', '--ca', folder.at('other', 'cert.pem'), url]);
  t.regex(other.stderr, /not signed by/);
});

test('the system’s authorities vouch for a daemon where nothing else does', async (t) => {
  const folder = await tempFolder();
  t.teardown(() => folder.remove());
  await Promise.all([mkdir(folder.at('served')), loadIdentity(folder.at('own'))]);
  await loadIdentity(folder.at('other'));
  const daemon = await startDaemon({ folder: folder.at('served') });
  t.teardown(() => daemon.stop());
  // A proxy that ends the TLS: what it says cannot be bound to the channel.
  const certFile = folder.at('own', 'cert.pem'); // Self-signed: its own authority, for localhost.
  const [cert, key] = await Promise.all([
    readFile(certFile),
    readFile(folder.at('own', 'key.pem')),
  ]);
  const proxy = tls.createServer({ cert, key, ALPNProtocols: ['chunkferry/1'] }, (socket) => {
    const onward = net.connect(daemon.port, '127.0.0.1');
    for (const end of [socket, onward]) end.on('error', () => socket.destroy());
    socket.pipe(onward).pipe(socket);
  });
  await new Promise<void>((resolve) => void proxy.listen(0, '127.0.0.1', resolve));
  t.teardown(() => proxy.close());
  const { port } = proxy.address() as net.AddressInfo;
  const ls = ['ls', '--binding', 'none', `ferry://localhost:${port}/`];
  const trusting = { NODE_EXTRA_CA_CERTS: certFile };
  const trustingNobody = { NODE_EXTRA_CA_CERTS: undefined };
  await exits(t, 0, ls, trusting);
  await exits(t, 4, ls, trustingNobody);
  // Whoever names a certificate or an authority means that one.
  const pin = new X509Certificate(cert).fingerprint256;
  await exits(t, 0, [...ls, '--pin', pin], trustingNobody);
  await exits(t, 4, [...ls, '--pin', pin.replaceAll(/[0-9A-F]/g, '0')], trusting);
  await exits(t, 4, [...ls, '--ca', folder.at('other', 'cert.pem')], trusting);
  for (const text of ['', 'none']) {
    await writeFile(folder.at('nobody'), text);
    const { stderr } = await exits(t, 2, [...ls, '--ca', folder.at('nobody')], trusting);
    t.regex(stderr, /No certificate is in/);
  }
});

for (const [kind, names, right, wrong] of [
  ['a name', [{ type: 2, value: 'localhost' }], 'localhost', '127.0.0.1'],
  ['an address', [{ type: 7, ip: '127.0.0.1' }], '127.0.0.1', 'localhost'],
] as const) {
  test(`with --ca a certificate is good for what it names alone: ${kind}`, async (t) => {
    const made = await tempFolder();
    t.teardown(() => made.remove());
    const { private: key, cert } = await generate([{ name: 'commonName', value: 'ferryd' }], {
      keyType: 'ec',
      extensions: [{ name: 'subjectAltName', altNames: [...names] }],
    });
    const [certFile, keyFile] = [made.at('cert.pem'), made.at('key.pem')];
    await writeFile(certFile, cert);
    await writeFile(keyFile, key, { mode: 0o600 });
    const daemon = await secure(t, ['--tls-cert', certFile, '--tls-key', keyFile]);
    await writeFile(daemon.folder.at('served', 'file'), 'content');
    const ca = ['--ca', certFile];
    const at = (host: string): string => `ferry://${host}:${daemon.port}/file`;
    const into = daemon.folder.at('copy');
    await exits(t, 0, ['ls', ...ca, at(right)]);
    await exits(t, 0, ['download', ...ca, at(right), into]);
    t.is(await readFile(into, 'utf8'), 'content');
    for (const [command, ...to] of [['ls'], ['download', '-']] as const) {
      const { stderr } = await exits(t, 4, [command, ...ca, at(wrong), ...to]);
      t.regex(stderr, /for another host/);
    }
  });
}

test('what the daemon says last is heard, though the connection ends right behind it', async (t) => {
  const daemon = await secure(t, ['--limit', 'connections=1']);
  const holder = await (await Peer.dialSecure(daemon.port)).greet();
  t.teardown(() => holder.leave());
  t.true(await holder.isServed());
  await writeFile(daemon.folder.at('file'), 'content');
  const commands = [
    ['ls', daemon.url()],
    ['upload', daemon.folder.at('file'), daemon.url()],
    ['download', daemon.url('file'), daemon.folder.at('back')],
  ];
  for (const command of Array.from({ length: 4 }, () => commands).flat()) {
    const { stderr } = await exits(t, 8, [...command, '--retries', '0']);
    t.regex(stderr, /too many connections/);
  }
});

test('plain against TLS and TLS against plain: never connected, with the likely cause', async (t) => {
  const daemon = await secure(t);
  await mkdir(daemon.folder.at('other'));
  const other = await startDaemon({ folder: daemon.folder.at('other') });
  t.teardown(() => other.stop());
  const one = await exits(t, 35, ['ls', `ferry+tcp://127.0.0.1:${daemon.port}/`]);
  t.regex(one.stderr, /ferry:\/\//);
  const two = await exits(t, 35, ['ls', `ferry://127.0.0.1:${other.port}/`]);
  t.regex(two.stderr, /ferry\+tcp:\/\//);
});

test('TLS 1.2, and TLS without our ALPN name, are not served', async (t) => {
  const daemon = await secure(t);
  const attempt = (options: tls.ConnectionOptions): Promise<string> =>
    new Promise((resolve) => {
      const socket = tls.connect({
        port: daemon.port,
        host: '127.0.0.1',
        rejectUnauthorized: false,
        ...options,
      });
      let heard = 0;
      socket.on('data', (bytes: Buffer) => (heard += bytes.length));
      socket.on('error', () => resolve('refused'));
      socket.on('close', () => resolve(heard === 0 ? 'refused' : 'answered'));
      socket.on('secureConnect', () => socket.write('hello'));
    });
  t.is(await attempt({ maxVersion: 'TLSv1.2', ALPNProtocols: ['chunkferry/1'] }), 'refused');
  t.is(await attempt({ ALPNProtocols: ['h2'] }), 'refused');
  t.is(await attempt({}), 'refused');
});

test('a man in the middle with a certificate of his own gets no proof, pinned or not', async (t) => {
  const daemon = await secure(t);
  await loadIdentity(daemon.folder.at('mallory'));
  const [cert, key] = await Promise.all(
    ['cert.pem', 'key.pem'].map((name) => readFile(daemon.folder.at('mallory', name))),
  );
  const overheard: Buffer[] = [];
  const mallory = tls.createServer(
    { cert, key, ALPNProtocols: ['chunkferry/1'] } as tls.TlsOptions,
    (victim) => {
      const onward = tls.connect({
        port: daemon.port,
        host: '127.0.0.1',
        rejectUnauthorized: false,
        ALPNProtocols: ['chunkferry/1'],
      });
      victim.on('data', (bytes: Buffer) => {
        overheard.push(bytes);
        onward.write(bytes);
      });
      onward.on('data', (bytes: Buffer) => void victim.write(bytes));
      for (const [one, other] of [
        [victim, onward],
        [onward, victim],
      ] as const) {
        one.on('error', () => undefined);
        one.on('close', () => other.destroy());
      }
    },
  );
  await new Promise<void>((resolve) => void mallory.listen(0, '127.0.0.1', resolve));
  t.teardown(() => mallory.close());
  const { port } = mallory.address() as net.AddressInfo;
  const url = `ferry://127.0.0.1:${port}/`;
  await exits(t, 4, ['ls', url]);
  const bytes = Buffer.concat(overheard);
  const helloEnd = 16 + 32 + bytes.readUInt32LE(16 + 4);
  t.not(bytes[helloEnd], 0x02, 'no proof');
  overheard.length = 0;
  await exits(t, 4, ['ls', '--pin', daemon.pin, url]);
  t.is(overheard.length, 0, 'a pinned client says nothing at all');
});

test('a token that is revoked ends its connections at once', async (t) => {
  const daemon = await secure(t);
  const { folder } = daemon;
  await writeRandomFile(folder.at('big'), 40 * MiB);
  const running = runFerry(
    ['upload', '--json', '--bwlimit', '2M', folder.at('big'), daemon.url()],
    {
      onEvent: ({ type }) => {
        if (type === 'progress') void revoke();
      },
    },
  );
  let revoked = false;
  const revoke = async (): Promise<void> => {
    if (revoked) return;
    revoked = true;
    const file = folder.at('state', 'tokens.json');
    const list = JSON.parse(await readFile(file, 'utf8')) as { tokens: unknown[] };
    await writeFile(file, JSON.stringify({ ...list, tokens: [] }), { mode: 0o600 });
  };
  const { code, stderr } = await running;
  t.is(code, 4, stderr);
});
