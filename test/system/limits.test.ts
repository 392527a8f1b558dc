/** Each limit of a daemon, reached by the real programs: exit 8, its name, and the others are served. */
import { execFile } from 'node:child_process';
import { mkdir, readdir, readFile, rename, rm, stat, statfs, writeFile } from 'node:fs/promises';
import net from 'node:net';
import { tmpdir } from 'node:os';
import { promisify } from 'node:util';
import test, { type ExecutionContext } from 'ava';
import { leastFiles } from '../../daemon/descriptors.ts';
import { credentialOf, parseToken } from '../../transfer/authentication.ts';
import { testToken } from '../helpers/token.ts';
import { chunkFrame, RawPeer } from '../transfer/helpers/ends.ts';
import { contentOf, offerOf, sourceOf } from '../transfer/helpers/files.ts';
import { runFerryd } from './helpers/daemon.ts';
import { type FerryResult } from './helpers/ferry.ts';
import { differences, MiB, randomBytes, tempFolder, writeRandomFile } from './helpers/files.ts';
import { peakOf, writeSparse } from './helpers/memory.ts';
import { startProgram } from './helpers/processes.ts';
import { isLinux, isRoot, type Scene, type SceneSettings, setScene } from './helpers/scene.ts';
import { until } from './helpers/wait.ts';

interface LimitedScene extends Scene {
  /** The daemon's own folder. */
  readonly state: string;
  /** Makes a token that may do everything, with these limits. */
  addToken(name: string, ...limits: string[]): Promise<string>;
}

async function limitedScene(
  t: ExecutionContext,
  limits: Readonly<Record<string, number>>,
  settings: SceneSettings = {},
): Promise<LimitedScene> {
  t.timeout(120_000);
  const state = await tempFolder();
  t.teardown(() => state.remove());
  const args = Object.entries(limits).flatMap(([name, value]) => ['--limit', `${name}=${value}`]);
  const scene = await setScene(t, { ...settings, args, state: state.path });
  const addToken = async (name: string, ...more: string[]): Promise<string> => {
    const all = ['token', 'add', name, '--scope', 'read,write,delete', '--state', state.path];
    const { child, exit } = startProgram(
      'ferryd',
      [...all, ...more],
      ['ignore', 'pipe', 'ignore'],
      {},
    );
    let secret = '';
    child.stdout?.setEncoding('utf8').on('data', (text: string) => (secret += text));
    t.is((await exit).code, 0);
    return secret.trim();
  };
  return Object.assign(scene, { addToken, state: state.path });
}

/** The command fails with exit code 8, and says which limit it was, to people and in JSON. */
async function reaches(
  t: ExecutionContext,
  { ferry }: Scene,
  name: string,
  args: readonly string[],
  token: string = testToken,
): Promise<FerryResult> {
  const settings = { env: { FERRY_TOKEN: token, FERRY_RETRIES: '0' } };
  const result = await ferry(args, 8, settings);
  const told = result.events.find((event) => event.type === 'error');
  t.true(told?.message.includes(`(${name})`), told?.message);
  return result;
}

/** A peer of our own, with its token proved. */
async function rawPeer(
  t: ExecutionContext,
  scene: Scene,
  token = testToken,
  hasHeartbeat = true,
): Promise<RawPeer> {
  const socket = net.connect(scene.daemon.port, '127.0.0.1');
  t.teardown(() => void socket.destroy());
  const peer = new RawPeer(socket);
  await peer.prove(credentialOf(parseToken(token)));
  if (!hasHeartbeat) return peer;
  // It stays however slow the machine is.
  const heartbeat = setInterval(() => peer.say({ type: 'ping', request: 0, token: 1n }), 2_000);
  socket.on('close', () => clearInterval(heartbeat));
  return peer;
}

/** Somebody else's upload goes well meanwhile. */
async function othersAreServed(t: ExecutionContext, scene: LimitedScene): Promise<void> {
  const token = await scene.addToken('healthy');
  const file = scene.at('healthy');
  await writeRandomFile(file, 3 * MiB);
  await scene.ferry(['upload', file, scene.url('healthy')], 0, { env: { FERRY_TOKEN: token } });
  t.deepEqual(await differences(file, scene.there('healthy')), []);
}

const run = promisify(execFile);
const large = 2 * MiB;

test.serial('connectionsPerToken: one more is refused, other tokens come in', async (t) => {
  const scene = await limitedScene(t, { connectionsPerToken: 1 });
  const peer = await rawPeer(t, scene);
  peer.say({ type: 'stat', request: 1, path: '' });
  await peer.next('entry');
  await reaches(t, scene, 'connectionsPerToken', ['stat', scene.url()]);
  await othersAreServed(t, scene);
});

test.serial(
  'connectionsPerAddress and connections: one more is refused until a place is free',
  async (t) => {
    for (const name of ['connectionsPerAddress', 'connections']) {
      const scene = await limitedScene(t, { [name]: 1 });
      const peer = await rawPeer(t, scene);
      peer.say({ type: 'stat', request: 1, path: '' });
      await peer.next('entry');
      await reaches(t, scene, name, ['stat', scene.url()]);
      peer.stream.destroy();
      await othersAreServed(t, scene);
    }
  },
);

test.serial('a large file goes on as many connections as the daemon lets in', async (t) => {
  const scene = await limitedScene(t, {});
  const file = scene.at('large');
  await writeRandomFile(file, 64 * MiB);
  for (const most of [1, 2, 3]) {
    const token = await scene.addToken(`most${most}`, '--max-connections', `${most}`);
    const env = { FERRY_TOKEN: token, FERRY_RETRIES: '0' };
    const back = scene.at(`back${most}`);
    for (const [name, from, to] of [
      ['upload', file, scene.url(`up${most}`)],
      ['download', scene.url(`up${most}`), back],
    ] as const) {
      const args = [name, '--json', '--connections', '4', from, to];
      const { events, stderr } = await scene.ferry(args, 0, { env });
      const told = events.flatMap((event) => (event.type === 'warning' ? [event.message] : []));
      t.is(told.length, 1, stderr);
      t.regex(told[0] ?? '', /^The daemon lets [123] of 4 /);
    }
    t.deepEqual(await differences(file, back), []);
  }
});

test.serial("a token's own max-connections", async (t) => {
  const scene = await limitedScene(t, {});
  const token = await scene.addToken('one', '--max-connections', '1');
  const peer = await rawPeer(t, scene, token);
  peer.say({ type: 'stat', request: 1, path: '' });
  await peer.next('entry');
  await reaches(t, scene, "the token's max-connections", ['stat', scene.url()], token);
  await othersAreServed(t, scene);
});

test.serial(
  'transfersPerToken and transfers: offers without data take their slots, and no more',
  async (t) => {
    const scene = await limitedScene(t, { transfersPerToken: 2, transfers: 3 });
    await writeRandomFile(scene.at('file'), large);
    const source = sourceOf(contentOf(10));
    const holds = async (token: string, count: number): Promise<RawPeer> => {
      const peer = await rawPeer(t, scene, token);
      for (let request = 1; request <= count; request += 1) {
        peer.say({ request, ...offerOf(source, { path: `${token.slice(-6)} ${request}` }) });
        await peer.next('want');
      }
      return peer;
    };
    const peer = await holds(testToken, 2);
    await reaches(t, scene, 'transfersPerToken', ['upload', scene.at('file'), scene.url('a')]);
    await othersAreServed(t, scene);
    const second = await holds(await scene.addToken('second'), 1);
    const third = await scene.addToken('third');
    await reaches(t, scene, 'transfers', ['upload', scene.at('file'), scene.url('a')], third);
    peer.stream.destroy();
    second.stream.destroy();
    await until('the slots are free again', async () => {
      const { events } = await scene.ferry(['ls', scene.url()]);
      return !events.some(({ type }) => type === 'error');
    });
    await scene.ferry(['upload', scene.at('file'), scene.url('a')]);
  },
);

test.serial('stagingBytesPerToken: what does not fit is refused before it is sent', async (t) => {
  const scene = await limitedScene(
    t,
    { stagingBytesPerToken: large - 1 },
    { leavesPartials: true },
  );
  await writeRandomFile(scene.at('large'), large);
  await writeRandomFile(scene.at('fits'), large - 1);
  const up = ['upload', scene.at('large'), scene.url('large')];
  const { summary } = await reaches(t, scene, 'stagingBytesPerToken', up);
  t.is(summary?.bytesSent, 0);
  await scene.ferry(['upload', scene.at('fits'), scene.url('fits')]);
  await scene.ferry(['upload', scene.at('fits'), scene.url('again')]);
  t.deepEqual(await differences(scene.at('fits'), scene.there('again')), []);
  // The length of a stream shows only as it comes.
  const stream = { input: await readFile(scene.at('large')), env: { FERRY_RETRIES: '0' } };
  const refused = await scene.ferry(['upload', '-', scene.url('stream')], 8, stream);
  t.true(
    refused.events.some((e) => e.type === 'error' && e.message.includes('(stagingBytesPerToken)')),
  );
});

test.serial(
  'stagingFilesPerToken: what an interruption left counts until it is carried on',
  async (t) => {
    const scene = await limitedScene(t, { stagingFilesPerToken: 1 });
    await writeRandomFile(scene.at('file'), large);
    const peer = await rawPeer(t, scene);
    const content = await readFile(scene.at('file'));
    const source = sourceOf(content);
    peer.say({ request: 1, ...offerOf(source, { path: 'left' }) });
    await peer.next('want');
    for (let i = 0; i < 16; i += 1)
      peer.say(chunkFrame(1, i, content.subarray(i * 65_536, (i + 1) * 65_536)));
    await peer.next('credit');
    peer.stream.destroy();
    await scene.daemon.logged('failed');
    const other = ['upload', scene.at('file'), scene.url('other')];
    await reaches(t, scene, 'stagingFilesPerToken', other);
    await othersAreServed(t, scene);
    const carried = await scene.ferry(['upload', scene.at('file'), scene.url('left')]);
    t.true((carried.summary?.bytesReused ?? 0) > 0, 'it was carried on');
    await scene.ferry(other);
  },
);

test.serial('a quota counts both ways, holds over a restart, and has its name', async (t) => {
  const scene = await limitedScene(t, {});
  const token = await scene.addToken('guest', '--quota', '5M');
  const env = { FERRY_TOKEN: token };
  await writeRandomFile(scene.at('file'), 2 * MiB);
  const up = (name: string): string[] => ['upload', scene.at('file'), scene.url(name)];
  await scene.ferry(up('one'), 0, { env });
  await scene.ferry(['download', scene.url('one'), scene.at('got')], 0, { env });
  const { summary } = await reaches(t, scene, 'quotaBytes', up('two'), token);
  t.is(summary?.bytesSent, 0, 'refused before it was sent');
  await scene.daemon.stop();
  await scene.restart();
  await reaches(t, scene, 'quotaBytes', up('two'), token);
  // Small files go by pages: those that fit are stored.
  await mkdir(scene.at('small'));
  for (let i = 0; i < 20; i += 1)
    await writeFile(scene.at('small', `${i}`), Buffer.alloc(60 * 1024, i));
  const small = ['upload', scene.at('small'), scene.url()];
  const some = await scene.ferry(small, 23, { env });
  const told = some.events.filter((event) => event.type === 'error');
  t.is(told.length, 3, 'of twenty files of 60 KiB seventeen go into 1 MiB');
  t.true(told.every((event) => event.message.includes('(quotaBytes)')));
  await reaches(t, scene, 'quotaBytes', ['download', scene.url('one'), scene.at('more')], token);
  await othersAreServed(t, scene);
});

test.serial('kill -9 does not give a quota back', async (t) => {
  const scene = await limitedScene(t, {});
  const token = await scene.addToken('guest', '--quota', '3M');
  await writeRandomFile(scene.at('file'), 2 * MiB);
  const env = { FERRY_TOKEN: token };
  await scene.ferry(['upload', scene.at('file'), scene.url('one')], 0, { env });
  const list = async (): Promise<string> => {
    const args = ['token', 'list', '--json', '--state', scene.state];
    const { child, exit } = startProgram('ferryd', args, ['ignore', 'pipe', 'ignore'], {});
    let text = '';
    child.stdout?.setEncoding('utf8').on('data', (more: string) => (text += more));
    await exit;
    return text;
  };
  await until('the usage is written', async () =>
    (await list()).includes(`"usedBytes":${2 * MiB}`),
  );
  await scene.daemon.kill9();
  await scene.restart();
  await reaches(t, scene, 'quotaBytes', ['upload', scene.at('file'), scene.url('two')], token);
});

test.serial('a rate holds for all connections of the token together, both ways', async (t) => {
  const scene = await limitedScene(t, {});
  const token = await scene.addToken('slow', '--rate', '1M');
  await writeRandomFile(scene.at('file'), large);
  const env = { FERRY_TOKEN: token };
  const timed = async (...commands: string[][]): Promise<number> => {
    const startedAtMs = performance.now();
    await Promise.all(commands.map((args) => scene.ferry(args, 0, { env })));
    return performance.now() - startedAtMs;
  };
  // 4 MiB at 1 MiB/s, less what the first moment may have left unused.
  const up = (name: string): string[] => ['upload', scene.at('file'), scene.url(name)];
  t.true((await timed(up('a'), up('b'))) > 3_500, 'up');
  const down = (name: string): string[] => ['download', scene.url(name), scene.at(name)];
  t.true((await timed(down('a'), down('b'))) > 3_500, 'down');
  for (const name of ['a', 'b'])
    t.deepEqual(await differences(scene.at('file'), scene.at(name)), []);
});

test.serial('pathDepth and pathBytes', async (t) => {
  const scene = await limitedScene(t, { pathDepth: 2, pathBytes: 20 });
  await writeRandomFile(scene.at('file'), large);
  await writeFile(scene.at('small'), 'small');
  for (const file of ['file', 'small']) {
    await reaches(t, scene, 'pathDepth', ['upload', scene.at(file), scene.url('a/b/c')]);
    await reaches(t, scene, 'pathBytes', [
      'upload',
      scene.at(file),
      scene.url('123456789012345678901'),
    ]);
    await scene.ferry(['upload', scene.at(file), scene.url(`a/${file}`)]);
  }
});

test.serial(
  'a limit that does not exist, or a value that it may not have: exit 2 and what is allowed',
  async (t) => {
    for (const [limit, told] of [
      ['conections=3', /Did you mean connections/],
      ['connections=0', /from 1 to/],
      ['pathDepth=65', /from 1 to 64/],
      ['freeBytes=some', /k, M, G/],
    ] as const) {
      const { child, exit } = startProgram(
        'ferryd',
        ['--limit', limit],
        ['ignore', 'ignore', 'pipe'],
        {},
      );
      let text = '';
      child.stderr?.setEncoding('utf8').on('data', (more: string) => (text += more));
      t.is((await exit).code, 2, limit);
      t.regex(text, told);
    }
  },
);

test.serial(
  'progressMs: who sends a byte a second is closed, who sends slowly is not',
  async (t) => {
    const scene = await limitedScene(t, { progressMs: 3_000 }, { leavesPartials: true });
    const content = contentOf(2 * 65_536);
    const source = sourceOf(content);
    const slow = async (path: string, bytes: number, everyMs: number): Promise<RawPeer> => {
      const peer = await rawPeer(t, scene, testToken, false);
      peer.say({ request: 1, ...offerOf(source, { path }) });
      await peer.next('want');
      const all = Buffer.concat([
        chunkFrame(1, 0, content.subarray(0, 65_536)),
        chunkFrame(1, 1, content.subarray(65_536)),
      ]);
      let at = 0;
      const timer = setInterval(() => {
        if (peer.stream.destroyed || at >= all.length) clearInterval(timer);
        else peer.stream.write(all.subarray(at, at + bytes));
        at += bytes;
      }, everyMs);
      t.teardown(() => clearInterval(timer));
      return peer;
    };
    // At 20 KB a second a chunk takes longer than progressMs.
    const legal = await slow('legal', 4_000, 200);
    const trickler = await slow('trickler', 1, 1_000);
    await trickler.ended;
    for (let consumed = 0; consumed < content.length; ) {
      ({ consumed } = await legal.next('credit'));
    }
    t.false(legal.stream.destroyed);
    await othersAreServed(t, scene);
  },
);

test.serial('fifty readers that stop cost the daemon little, and others nothing', async (t) => {
  const scene = await limitedScene(t, { connectionsPerToken: 200 });
  await writeSparse(scene.there('large'), 64 * MiB);
  const ranges = [{ start: 0, end: (64 * MiB) / 65_536 }];
  const want = { type: 'want', request: 1, round: 1, epoch: 0, last: true, ranges } as const;
  for (let i = 0; i < 50; i += 1) {
    const peer = await rawPeer(t, scene);
    peer.say({ type: 'download', request: 1, path: 'large', sha256: false });
    await peer.next('offer');
    peer.say({ ...want, transfer: new Uint8Array(16) });
    await peer.next('chunk');
    peer.stream.pause();
  }
  await othersAreServed(t, scene);
  await scene.ferry(['download', scene.url('large'), scene.at('got')]);
  const peakBytes = peakOf(scene.daemon.pid);
  t.log(`peak of the daemon: ${Math.round(peakBytes / 1e6)} MB`);
  t.true(peakBytes < 150_000_000, `${peakBytes}`);
});

test.serial(
  'sixty-four uploads of 1 GB at once stay within 256 MiB, and nothing is reserved',
  async (t) => {
    const scene = await limitedScene(
      t,
      {},
      { nodeArguments: ['--max-old-space-size=64'], leavesPartials: true },
    );
    const chunks = 32;
    const content = contentOf(65_536);
    const source = sourceOf(content);
    const data = Buffer.concat(Array.from({ length: chunks }, (_, i) => chunkFrame(1, i, content)));
    const peers: RawPeer[] = [];
    for (let i = 0; i < 64; i += 1) peers.push(await rawPeer(t, scene));
    for (const [i, peer] of peers.entries()) {
      peer.say({
        request: 1,
        ...offerOf(source, { path: `${i}`, offer: { size: 1_000_000_000 } }),
      });
    }
    for (const peer of peers) await peer.next('want');
    for (const peer of peers) peer.say(data);
    for (const peer of peers) {
      for (let consumed = 0; consumed < chunks * 65_536; ) {
        ({ consumed } = await peer.next('credit'));
      }
    }
    const peakBytes = peakOf(scene.daemon.pid);
    t.log(`peak of the daemon: ${Math.round(peakBytes / 1e6)} MB`);
    t.true(peakBytes < 256 * MiB, `${peakBytes}`);
    const staging = await readdir(scene.there('.chunkferry'));
    for (const name of staging.filter((one) => one.endsWith('.data'))) {
      const { blocks } = await stat(scene.there('.chunkferry', name));
      t.true(blocks * 512 <= 2 * chunks * 65_536, 'only what has come takes space');
    }
    await othersAreServed(t, scene);
  },
);

test.serial(
  'idle connections at a low descriptor limit do not hurt transfers, nor keep clients out',
  async (t) => {
    if (!isLinux) return;
    const scene = await limitedScene(t, {}, { through: ['prlimit', '--nofile=1024'] });
    const slow = await scene.addToken('slow', '--rate', '2M');
    await writeRandomFile(scene.at('file'), 8 * MiB);
    const up = ['upload', scene.at('file'), scene.url('up')];
    const uploading = scene.ferry(up, 0, { env: { FERRY_TOKEN: slow } });
    const idle: net.Socket[] = [];
    t.teardown(() => idle.forEach((socket) => void socket.destroy()));
    let closed = 0;
    for (let i = 0; i < 1_200; i += 1) {
      const localAddress = `127.0.0.${2 + (i % 8)}`;
      const socket = net.connect({ host: '127.0.0.1', port: scene.daemon.port, localAddress });
      socket.on('error', () => undefined).on('close', () => (closed += 1));
      idle.push(socket.resume());
      if (i % 100 === 99) await new Promise((resolve) => setTimeout(resolve, 10));
    }
    await othersAreServed(t, scene);
    await until('the oldest give way', () => closed > 0);
    await uploading;
    t.deepEqual(await differences(scene.at('file'), scene.there('up')), []);
  },
);

test.serial('two transfers at once are enough for a tree, up and down', async (t) => {
  const scene = await limitedScene(t, { transfersPerToken: 2 });
  for (let i = 0; i < 30; i += 1) {
    await mkdir(scene.at('tree', `folder${i}`), { recursive: true });
    for (let j = 0; j < 100; j += 1)
      await writeFile(scene.at('tree', `folder${i}`, `${j}`), `${i}`);
  }
  for (let i = 0; i < 6; i += 1) await writeRandomFile(scene.at('tree', `large${i}`), 3 * MiB);
  await scene.ferry(['upload', scene.at('tree'), scene.url('')], 0);
  await scene.ferry(['download', scene.url('tree'), scene.at('back')], 0);
  t.deepEqual(await differences(scene.at('tree'), scene.at('back', 'tree')), []);
});

test.serial('where too few files may be opened, ferryd says so, and does not start', async (t) => {
  if (!isLinux) return;
  for (const files of [24, 64, leastFiles - 1]) {
    const through = ['prlimit', `--nofile=${files}:${files}`];
    const { code, stderr } = await runFerryd(['token', 'list'], { through });
    t.is(code, 8);
    t.regex(stderr, new RegExp(`^ferryd: This process may open ${files} files, .*ulimit.*\n$`));
  }
});

test.serial('where too little memory is allowed, ferryd says so, and does not start', async (t) => {
  if (!isLinux) return;
  // Node itself starts with it, and has none for what WebAssembly asks for.
  const through = ['prlimit', `--as=${4_000_000 * 1024}`];
  const { code, stderr } = await runFerryd(['token', 'list'], { through });
  t.is(code, 1);
  t.regex(stderr, /^ferryd: This process may use too little memory .*ulimit -v.*\n$/);
});

test.serial('with the fewest files that do, trees and large files go both ways', async (t) => {
  if (!isLinux) return;
  const through = ['prlimit', `--nofile=${leastFiles}:${leastFiles}`];
  const scene = await limitedScene(t, {}, { through });
  await mkdir(scene.at('tree'));
  for (let i = 0; i < 200; i += 1) await writeRandomFile(scene.at('tree', `small${i}`), 100 + i);
  for (let i = 0; i < 8; i += 1) await writeRandomFile(scene.at('tree', `large${i}`), 3 * MiB);
  await scene.ferry(['upload', scene.at('tree'), scene.url('')], 0);
  await scene.ferry(['download', scene.url('tree'), scene.at('back')], 0);
  t.deepEqual(await differences(scene.at('tree'), scene.there('tree')), []);
  t.deepEqual(await differences(scene.at('tree'), scene.at('back', 'tree')), []);
});

/** Small files in one folder and in folders of their own, between large ones: more than may be open. */
async function writeMixedTree({ folder }: Scene): Promise<string> {
  const tree = folder.at('tree');
  await mkdir(tree);
  for (let i = 0; i < 8; i += 1) {
    await writeRandomFile(folder.at('tree', `${i < 4 ? 'a' : 'z'}-large${i}`), 3 * MiB);
  }
  for (let i = 0; i < 600; i += 1) {
    await writeRandomFile(folder.at('tree', `small${i}`), 100 + i);
  }
  for (let i = 0; i < 200; i += 1) {
    await mkdir(folder.at('tree', `the${i}`));
    await writeRandomFile(folder.at('tree', `the${i}`, 'only'), 10);
  }
  return tree;
}

// In memory nothing waits for the disk.
for (const files of [leastFiles, 256]) {
  test.serial(
    `small files that wait leave the daemon room for large ones, ${files} files`,
    async (t) => {
      if (!isLinux) return;
      const through = ['prlimit', `--nofile=${files}:${files}`];
      const scene = await limitedScene(t, {}, { through, where: tmpdir() });
      const tree = await writeMixedTree(scene);
      await scene.ferry(['upload', tree, scene.url('')], 0);
      t.deepEqual(await differences(tree, scene.there('tree')), []);
    },
  );
}

for (const files of [100, 200]) {
  test.serial(
    `small files that wait leave a client room for large ones, ${files} files`,
    async (t) => {
      if (!isLinux) return;
      const through = ['prlimit', `--nofile=${files}:${files}`];
      const scene = await limitedScene(t, {}, { where: tmpdir() });
      const tree = await writeMixedTree(scene);
      await rename(tree, scene.there('tree'));
      await scene.ferry(['download', scene.url('tree'), scene.at('back')], 0, { through });
      t.deepEqual(await differences(scene.there('tree'), scene.at('back', 'tree')), []);
    },
  );
}

(isRoot && isLinux ? test.serial : test.serial.skip)(
  'freeBytes: some of the disk stays free; with space again the same command carries on',
  async (t) => {
    const disk = await tempFolder('/dev/shm');
    t.teardown(() => disk.remove());
    await run('mount', ['-t', 'tmpfs', '-o', 'size=40m', 'tmpfs', disk.path]);
    t.teardown(() => run('umount', ['-l', disk.path]));
    // Of a small disk a tenth stays free, 4 MiB.
    const scene = await limitedScene(t, {}, { where: disk.path });
    await writeFile(scene.there('ballast'), randomBytes('ballast', 20 * MiB));
    const source = await tempFolder('/dev/shm');
    t.teardown(() => source.remove());
    await writeRandomFile(source.at('file'), 24 * MiB);
    const up = ['upload', source.at('file'), scene.url('file')];
    await reaches(t, scene, 'freeBytes', up);
    const { bavail, bsize } = await statfs(disk.path);
    const freeBytes = bavail * bsize;
    t.true(freeBytes > 3 * MiB && freeBytes < 7 * MiB, `${freeBytes} bytes are free`);
    await rm(scene.there('ballast'));
    const { summary } = await scene.ferry(up);
    t.true((summary?.bytesReused ?? 0) > 0, 'it was carried on');
    t.deepEqual(await differences(source.at('file'), scene.there('file')), []);
  },
);

test.serial('listingEntries: no page of a listing has more, and all come', async (t) => {
  const scene = await limitedScene(t, { listingEntries: 10 });
  for (let i = 0; i < 25; i += 1) await writeFile(scene.there(`${i}`), '');
  const peer = await rawPeer(t, scene);
  peer.say({ type: 'list', request: 1, path: '', recursive: false, contentTypes: false });
  const pages: number[] = [];
  for (let isLast = false; !isLast; ) {
    const { last, entries } = await peer.next('entries');
    pages.push(entries.length);
    isLast = last;
  }
  t.true(pages.every((count) => count <= 10));
  t.is(
    pages.reduce((sum, count) => sum + count, 0),
    25,
  );
});
