/** What networks do to a transfer: bits that turn over, replies that never arrive. */
import { mkdir, readdir, stat, utimes, writeFile } from 'node:fs/promises';
import test, { type ExecutionContext } from 'ava';
import { differences, MiB, randomBytes, writeRandomFile } from './helpers/files.ts';
import { FrameProxy, frameTypes, type Verdict, type WireFrame } from './helpers/frame-proxy.ts';
import { type Direction, Proxy } from './helpers/proxy.ts';
import { type Scene, setScene } from './helpers/scene.ts';
import { randomOf, seed } from './helpers/seed.ts';
import { quickFolder } from './helpers/wait.ts';

const chunkBytes = 65_536;
const directions = ['up', 'down'] satisfies Direction[];

async function frameProxy(
  t: ExecutionContext,
  scene: Scene,
  judge: (frame: WireFrame) => Verdict,
): Promise<FrameProxy> {
  const proxy = await FrameProxy.start(scene.daemon.port, judge);
  t.teardown(() => proxy.close());
  return proxy;
}

/** Turns over one bit in the payload of about every n-th chunk. */
class Flipper {
  flips = 0;
  readonly #every: number;
  readonly #random = randomOf('flips');
  #chunks = 0;

  constructor(every: number) {
    this.#every = every;
  }

  readonly judge = ({ type, payload }: WireFrame): Verdict => {
    if (type !== frameTypes.chunk) return 'pass';
    this.#chunks += 1;
    if (this.#chunks % this.#every !== 0) return 'pass';
    const at = Math.floor(this.#random() * payload.length);
    payload.writeUInt8(payload.readUInt8(at) ^ (1 << Math.floor(this.#random() * 8)), at);
    this.flips += 1;
    return 'pass';
  };
}

for (const direction of directions) {
  test(`promise 4: a bit flipped every few MB of content is repaired and counted, ${direction}`, async (t) => {
    t.log(`FERRY_TEST_SEED=${seed}`);
    const scene = await setScene(t, { where: quickFolder });
    const flipper = new Flipper(47);
    const proxy = await frameProxy(t, scene, flipper.judge);
    const sizeBytes = 32 * MiB + 77;
    const isUpload = direction === 'up';
    const [source, target] = isUpload
      ? [scene.at('source'), scene.there('file')]
      : [scene.there('file'), scene.at('target')];
    await writeRandomFile(source, sizeBytes);
    const { summary } = await scene.ferry(
      isUpload ? ['upload', source, proxy.url('file')] : ['download', proxy.url('file'), target],
    );
    t.deepEqual(await differences(source, target), []);
    t.true(flipper.flips >= 10);
    t.is(summary?.chunksRepeated, flipper.flips);
    t.is(summary?.bytesSent, sizeBytes + flipper.flips * chunkBytes);
    t.is(proxy.connections, 1, 'no connection is lost for it');
  });

  test(`promise 4: bits flipped in small files are repaired and counted, ${direction}`, async (t) => {
    const scene = await setScene(t, { where: quickFolder });
    const flipper = new Flipper(9);
    const proxy = await frameProxy(t, scene, flipper.judge);
    const isUpload = direction === 'up';
    const [source, target] = isUpload
      ? [scene.at('tree'), scene.there('tree')]
      : [scene.there('tree'), scene.at('tree')];
    await mkdir(source);
    for (let i = 0; i < 300; i += 1) {
      await writeFile(`${source}/${i}`, randomBytes(i, 1 + ((i * 37) % 3000)));
    }
    const { summary } = await scene.ferry(
      isUpload ? ['upload', source, proxy.url('')] : ['download', proxy.url('tree'), scene.at('')],
    );
    t.deepEqual(await differences(source, target), []);
    t.true(flipper.flips >= 30);
    t.is(summary?.chunksRepeated, flipper.flips);
  });

  test(`promise 4: bits flipped anywhere on the wire, ${direction}`, async (t) => {
    // Each flip among the answers costs a connection and a second; a busy machine takes longer.
    t.timeout(170_000);
    const scene = await setScene(t, { where: quickFolder });
    const proxy = await Proxy.start(scene.daemon.port);
    t.teardown(() => proxy.close());
    const sizeBytes = 24 * MiB;
    const isUpload = direction === 'up';
    const [source, target] = isUpload
      ? [scene.at('source'), scene.there('file')]
      : [scene.there('file'), scene.at('target')];
    await writeRandomFile(source, sizeBytes);
    // The first falls on a frame header in the middle, later ones on content and answers.
    const other: Direction = isUpload ? 'down' : 'up';
    proxy.faults.flipEveryBytes = { [direction]: 3_000_017, [other]: 1_999 };
    const { summary } = await scene.ferry(
      isUpload ? ['upload', source, proxy.url('file')] : ['download', proxy.url('file'), target],
    );
    t.deepEqual(await differences(source, target), []);
    t.true((summary?.chunksRepeated ?? 0) > 0);
  });
}

// ---- lost replies --------------------------------------------------------------------------------

/** Cuts the connection in place of the first reply of this type: what was asked for is done. */
class ReplyCut {
  readonly #type: number;
  seen = 0;

  constructor(type: number) {
    this.#type = type;
  }

  readonly judge = ({ type, direction }: WireFrame): Verdict => {
    if (direction !== 'down' || type !== this.#type) return 'pass';
    this.seen += 1;
    return this.seen === 1 ? 'cut' : 'pass';
  };
}

async function cutReply(
  t: ExecutionContext,
  type: keyof typeof frameTypes,
): Promise<{ scene: Scene; proxy: FrameProxy; check: () => void }> {
  const scene = await setScene(t, { where: quickFolder });
  const cut = new ReplyCut(frameTypes[type]);
  const proxy = await frameProxy(t, scene, cut.judge);
  const check = (): void => {
    t.true(cut.seen >= 2, 'the reply was cut once, and said again');
    t.is(proxy.connections, 2);
  };
  return { scene, proxy, check };
}

test('a reply lost after a commit: the upload ends well, and nothing is sent twice', async (t) => {
  const { scene, proxy, check } = await cutReply(t, 'complete');
  await writeRandomFile(scene.at('source'), 3 * MiB + 5);
  const { summary } = await scene.ferry(['upload', scene.at('source'), proxy.url('file')]);
  check();
  t.deepEqual(await differences(scene.at('source'), scene.there('file')), []);
  t.is(summary?.bytesSent, 3 * MiB + 5);
  t.is(summary?.files, 1);
});

for (const overwrite of ['always', 'never']) {
  test(`a reply lost after a commit with --overwrite ${overwrite}: the file counts as stored`, async (t) => {
    const { scene, proxy, check } = await cutReply(t, 'complete');
    await writeRandomFile(scene.at('source'), MiB);
    const { events } = await scene.ferry([
      'upload',
      '--overwrite',
      overwrite,
      scene.at('source'),
      proxy.url('file'),
    ]);
    check();
    t.deepEqual(outcomes(events), ['stored']);
  });

  test(`a reply lost after a page with --overwrite ${overwrite}: every file counts once`, async (t) => {
    const { scene, proxy, check } = await cutReply(t, 'results');
    await mkdir(scene.at('tree'));
    for (let i = 0; i < 40; i += 1) await writeFile(scene.at('tree', `${i}`), randomBytes(i, 500));
    const { summary, events } = await scene.ferry([
      'upload',
      '--overwrite',
      overwrite,
      scene.at('tree'),
      proxy.url(''),
    ]);
    t.deepEqual(await differences(scene.at('tree'), scene.there('tree')), []);
    check();
    t.is(summary?.files, 40);
    t.is(summary?.failed, 0);
    t.false(outcomes(events).includes('skipped'));
  });
}

function outcomes(events: readonly { readonly type: string }[]): unknown[] {
  return events
    .filter(({ type }) => type === 'file')
    .map((event) => ('outcome' in event ? event.outcome : undefined));
}

/** Changes whose second doing would fail, and what shows that they were done. */
const changes = {
  mkdir: {
    args: (url: (path: string) => string) => ['mkdir', url('made')],
    check: async (t: ExecutionContext, scene: Scene) => {
      t.true((await stat(scene.there('made'))).isDirectory());
    },
  },
  rm: {
    args: (url: (path: string) => string) => ['rm', url('a')],
    check: async (t: ExecutionContext, scene: Scene) => {
      t.deepEqual(await names(scene), ['full']);
    },
  },
  'rm -r': {
    args: (url: (path: string) => string) => ['rm', '-r', url('full')],
    check: async (t: ExecutionContext, scene: Scene) => {
      t.deepEqual(await names(scene), ['a']);
    },
  },
  mv: {
    args: (url: (path: string) => string) => ['mv', url('a'), url('b')],
    check: async (t: ExecutionContext, scene: Scene) => {
      t.deepEqual(await names(scene), ['b', 'full']);
      t.is((await stat(scene.there('b'))).size, 5);
    },
  },
} as const;

async function names(scene: Scene): Promise<string[]> {
  return (await readdir(scene.served)).filter((name) => name !== '.chunkferry').sort();
}

async function furnish(scene: Scene): Promise<void> {
  await writeFile(scene.there('a'), 'a was');
  await mkdir(scene.there('full'));
  await writeFile(scene.there('full', 'inner'), 'full');
}

for (const [name, { args, check }] of Object.entries(changes)) {
  test(`a reply lost after ${name}: it was done, once, and ends well`, async (t) => {
    const { scene, proxy, check: checkCut } = await cutReply(t, 'done');
    await furnish(scene);
    await scene.ferry(args((path) => proxy.url(path)));
    checkCut();
    await check(t, scene);
  });

  test(`a reply to ${name} lost with the daemon: the outcome is called unknown`, async (t) => {
    const scene = await setScene(t, { where: quickFolder });
    await furnish(scene);
    let killed: Promise<unknown> | undefined;
    const proxy = await frameProxy(t, scene, ({ type, direction }) => {
      if (direction !== 'down' || type !== frameTypes.done || killed !== undefined) return 'pass';
      killed = scene.daemon.kill9().then(() => scene.restart());
      return 'cut';
    });
    const { events } = await scene.ferry(
      args((path) => proxy.url(path)),
      5,
    );
    await killed;
    const failure = events.find(({ type }) => type === 'error');
    t.like(failure, { failure: 'outcome-unknown' });
    await check(t, scene);
  });
}

test('a daemon that dies and comes back during an upload: the same client carries on', async (t) => {
  const scene = await setScene(t, { where: quickFolder });
  const proxy = await Proxy.start(scene.daemon.port);
  t.teardown(() => proxy.close());
  const source = scene.at('source');
  const sizeBytes = 48 * MiB + 3;
  await writeRandomFile(source, sizeBytes);
  await utimes(source, 1_500_000_000, 1_500_000_000);
  let killed: Promise<unknown> | undefined;
  const { summary, events } = await scene.ferry(
    ['upload', '--bwlimit', '40M', source, proxy.url('file')],
    0,
    {
      onEvent: (event) => {
        if (event.type !== 'progress' || event.bytesSent < 20 * MiB) return;
        killed ??= scene.daemon.kill9().then(() => scene.restart());
      },
    },
  );
  await killed;
  t.deepEqual(await differences(source, scene.there('file')), []);
  t.true(events.some(({ type }) => type === 'retry'));
  t.true((summary?.bytesSent ?? 0) <= sizeBytes + 24 * MiB);
});
