import { setImmediate as nextTurn } from 'node:timers/promises';
import test, { type ExecutionContext } from 'ava';
import fc from 'fast-check';
import { Shares } from '../../daemon/shares.ts';
import type { Entry } from '../../protocol/entry.ts';
import { FerryError } from '../../protocol/errors.ts';
import {
  type ControlFrame,
  type ControlType,
  encodeFrame,
  type FrameOf,
} from '../../protocol/frames.ts';
import { headerBytes } from '../../protocol/header.ts';
import { limits } from '../../protocol/limits.ts';
import { chunkChecksums, Ledger } from '../../protocol/segments.ts';
import type { Connection } from '../../transfer/connection.ts';
import { MemoryStorage } from '../../transfer/memory-storage.ts';
import { join, newId, newSession, rawClient, TestDaemon } from '../transfer/helpers/ends.ts';
import {
  answerOf,
  contentOf,
  load,
  smallFile,
  sourceOf,
  store,
  upload,
} from '../transfer/helpers/files.ts';
import { randomFrom } from '../transfer/helpers/link.ts';
import { failureOf, turns, until } from '../transfer/helpers/outcome.ts';
import { uploadPage } from '../transfer/helpers/pages.ts';
import { WrappedStorage } from '../transfer/helpers/wrapped-storage.ts';

const ask = <T extends ControlType>(
  client: Connection,
  question: ControlFrame,
  type: T,
): Promise<FrameOf<T>> => answerOf(client.open(question), type);

const mkdir = (path: string, operation = newId(), parents = false): ControlFrame => ({
  type: 'mkdir',
  request: 0,
  operation,
  path,
  parents,
});
const remove = (path: string, operation = newId(), recursive = false): ControlFrame => ({
  type: 'remove',
  request: 0,
  operation,
  path,
  recursive,
});
const rename = (from: string, to: string, operation = newId()): ControlFrame => ({
  type: 'rename',
  request: 0,
  operation,
  from,
  to,
});

async function allOf(client: Connection, question: ControlFrame, type: 'entries' | 'sums') {
  const frames: (FrameOf<'entries'> | FrameOf<'sums'>)[] = [];
  const request = client.open(question);
  await new Promise<void>((resolve, reject) => {
    request.listen({
      onFrame(frame, bulkBytes) {
        request.carrier.consumed(bulkBytes);
        if (frame.type !== type || (frame.type !== 'entries' && frame.type !== 'sums')) return;
        frames.push(frame);
        if (frame.last) resolve();
      },
      onFailed: reject,
    });
  });
  return frames;
}

async function list(client: Connection, path: string, recursive = true): Promise<Entry[]> {
  const question = { type: 'list', request: 0, path, recursive, contentTypes: false } as const;
  const frames = await allOf(client, question, 'entries');
  return frames.flatMap((frame) => (frame.type === 'entries' ? frame.entries : []));
}

function connected(storage: MemoryStorage | WrappedStorage = new MemoryStorage()) {
  const server = new TestDaemon(storage);
  return { server, storage, client: join(server).client };
}

test('stat tells what a name is, without its path', async (t) => {
  const { client, storage } = connected();
  await storage.putSmall('', [smallFile('d/f', 'hello')]);
  const { entry } = await ask(client, { type: 'stat', request: 0, path: 'd/f' }, 'entry');
  t.deepEqual([entry.path, entry.kind, entry.size], ['', 'file', 5]);
  client.close();
});

test('list gives pages that fit frames, whatever the names', async (t) => {
  const { client, storage } = connected();
  const long = '€'.repeat(80);
  const files = Array.from({ length: 2_500 }, (_, i) =>
    smallFile(`${long}/${long}/${long.slice(0, 75)}${i}`),
  );
  await storage.putSmall('', files);
  const entries = await list(client, '');
  t.is(entries.filter(({ kind }) => kind === 'file').length, 2_500);
  t.is(new Set(entries.map(({ path }) => path)).size, entries.length);
  t.deepEqual(await list(client, long, false).then(([entry]) => entry?.path), long);
  client.close();
});

test('a listing that is cancelled stops, and the connection serves on', async (t) => {
  const { client, storage, server } = connected();
  await storage.putSmall(
    '',
    Array.from({ length: 5_000 }, (_, i) => smallFile(`f${i}`)),
  );
  const request = client.open({
    type: 'list',
    request: 0,
    path: '',
    recursive: true,
    contentTypes: false,
  });
  await answerOf(request, 'entries');
  request.cancel();
  t.is(
    (await ask(client, { type: 'stat', request: 0, path: '' }, 'entry')).entry.kind,
    'directory',
  );
  await server.service.settled();
  client.close();
});

test('a listing nobody reads stops at the window, and goes on when there is credit', async (t) => {
  const storage = new MemoryStorage();
  const files = Array.from({ length: 4_000 }, (_, i) => smallFile(`some/longer/name/${i}`));
  await storage.putSmall('', files);
  const { peer, connection } = rawClient(new TestDaemon(storage));
  peer.greet({ inFlightBytes: 100_000 });
  peer.say({ type: 'list', request: 1, path: '', recursive: true, contentTypes: false });
  await until(() => peer.heard.some(({ type }) => type === 'entries'));
  await turns(50);
  t.true(peer.bytes.length < 101_000);
  let [consumed, names] = [0, 0];
  for (let last = false; !last; ) {
    const frame = await peer.next('entries');
    last = frame.last;
    names += frame.entries.length;
    consumed += encodeFrame(frame).length - headerBytes;
    peer.say({ type: 'credit', request: 0, consumed });
  }
  t.is(names, files.length + 3);
  connection.close();
});

test('digests of small files, a page at a time, and nothing for what is none', async (t) => {
  const { client, storage } = connected();
  const sizes = [0, 1, 9_000, limits.fileChunkBytes, limits.fileChunkBytes + 1];
  for (const size of sizes) await store(storage, `folder/${size}`, contentOf(size));
  const paths = ['missing', ...sizes.map(String), '../folder/1', ''];
  const question = { type: 'verify', request: 0, base: 'folder', paths } as const;
  const { digests } = await answerOf(client.open(question), 'digests');
  const digestOfSize = (size: number): bigint | undefined => {
    if (size > limits.fileChunkBytes) return undefined;
    const ledger = new Ledger();
    for (const [i, sum] of [...chunkChecksums(contentOf(size), limits.fileChunkBytes)].entries()) {
      ledger.add(i, sum);
    }
    return ledger.digest(size, limits.fileChunkBytes);
  };
  t.deepEqual(digests, [undefined, ...sizes.map(digestOfSize), undefined, undefined]);
  client.close();
});

test('checksums of chunks and segments, in pages, within what there is', async (t) => {
  const { client, storage } = connected();
  const content = contentOf(200 * 65_536 + 1);
  await store(storage, 'file', content);
  const sums = [...chunkChecksums(content, 65_536)];
  const asked = async (
    level: 'chunk' | 'segment',
    first: number,
    count: number,
  ): Promise<bigint[]> => {
    const question = { type: 'checksums', request: 0, path: 'file', level, first, count } as const;
    const frames = await allOf(client, question, 'sums');
    let next = first;
    return frames.flatMap((frame) => {
      if (frame.type !== 'sums') return [];
      t.is(frame.first, next);
      next += frame.checksums.length;
      return [...frame.checksums];
    });
  };
  t.deepEqual(await asked('chunk', 0, Number.MAX_SAFE_INTEGER), sums);
  t.deepEqual(await asked('chunk', 150, 20), sums.slice(150, 170));
  t.deepEqual(await asked('chunk', 190, 20), sums.slice(190));
  t.deepEqual(await asked('chunk', 0, 0), []);
  t.deepEqual(await asked('chunk', 5_000, 5), []);
  t.deepEqual(await asked('chunk', Number.MAX_SAFE_INTEGER, 5), []);
  t.is((await asked('segment', 0, Number.MAX_SAFE_INTEGER)).length, 2);
  client.close();
});

test('mkdir, rename and remove do what they say, and say what is in the way', async (t) => {
  const { client, storage } = connected();
  await ask(client, mkdir('a'), 'done');
  await ask(client, mkdir('b/c', newId(), true), 'done');
  await storage.putSmall('', [smallFile('a/f', 'x')]);
  await ask(client, rename('a/f', 'b/g'), 'done');
  t.deepEqual((await list(client, '')).map(({ path }) => path).sort(), ['a', 'b', 'b/c', 'b/g']);
  for (const [question, failure] of [
    [mkdir('a'), 'exists'],
    [mkdir('x/y'), 'not-found'],
    [mkdir('../x'), 'bad-path'],
    [remove('b'), 'not-empty'],
    [remove('nothing'), 'not-found'],
    [remove(''), 'permission'],
    [rename('b/g', 'a'), 'exists'],
    [rename('nothing', 'z'), 'not-found'],
    [rename('b', 'b/c/d'), 'bad-path'],
  ] as const) {
    t.is(await failureOf(ask(client, question, 'done')), failure);
  }
  await ask(client, remove('b', newId(), true), 'done');
  t.deepEqual(
    (await list(client, '')).map(({ path }) => path),
    ['a'],
  );
  client.close();
});

test('a read-only share refuses every change, and still serves', async (t) => {
  const storage = new MemoryStorage({ readOnly: true });
  const { client } = connected(storage);
  for (const question of [mkdir('a'), remove('a'), rename('a', 'b')]) {
    t.is(await failureOf(ask(client, question, 'done')), 'permission');
  }
  t.is(await failureOf(upload(client, sourceOf(contentOf(5)))), 'permission');
  t.is(await failureOf(uploadPage(client, [smallFile('a', 'x')], { eager: true })), 'permission');
  t.deepEqual(await list(client, ''), []);
  client.close();
});

test('errors tell no stack and no path of the machine, unexpected ones not even their text', async (t) => {
  const storage = new WrappedStorage();
  storage.before = () => {
    const cause = new Error('ENOENT: /srv/secret/share');
    throw new TypeError('Cannot read /home/secret/file', { cause });
  };
  const { client, server } = connected(storage);
  for (const question of [mkdir('a'), remove('', newId(), true), rename('a', 'b')]) {
    const error = await t.throwsAsync<FerryError>(ask(client, question, 'done'));
    t.is(error?.failure, 'internal');
    t.notRegex(error?.message ?? '', /secret|\/home|\.ts|\.js| at /);
  }
  t.true(
    server.log.some((line) => line.includes('/home/secret')),
    'the log has it',
  );
  t.is(
    (await ask(client, { type: 'stat', request: 0, path: '' }, 'entry')).entry.kind,
    'directory',
  );
  client.close();
});

test('many questions at once are each answered', async (t) => {
  const { client, storage } = connected();
  await storage.putSmall(
    '',
    Array.from({ length: 60 }, (_, i) => smallFile(`f${i}`, 'x'.repeat(i))),
  );
  await client.ready;
  const answers = await Promise.all(
    Array.from({ length: 60 }, (_, i) =>
      ask(client, { type: 'stat', request: 0, path: `f${i}` }, 'entry'),
    ),
  );
  t.deepEqual(
    answers.map(({ entry }) => entry.size),
    [...Array(60).keys()],
  );
  client.close();
});

// ---- lost replies ------------------------------------------------------------------------------------------

/** Cuts the link between the change and its answer, and asks again under the same operation id. */
async function replayed(
  t: ExecutionContext,
  storage: WrappedStorage,
  operation: string,
  run: (client: Connection) => Promise<unknown>,
): Promise<void> {
  const daemon = new TestDaemon(storage);
  const session = newSession();
  const first = join(daemon, { session });
  let changes = 0;
  storage.after = (name) => {
    if (name !== operation) return;
    changes += 1;
    if (changes === 1) first.link.cut();
  };
  const lost = await failureOf(run(first.client));
  t.is(lost, 'connection-lost', `${operation}: the answer was cut off`);
  t.is(changes, 1);
  await daemon.service.settled();
  const second = join(daemon, { session });
  t.is(await failureOf(run(second.client)), undefined, `${operation}: the answer is told again`);
  t.is(changes, 1, `${operation}: nothing was done twice`);
  second.client.close();
}

test('a change whose answer was cut off is answered on the next connection, and not done again', async (t) => {
  const id = new Uint8Array(16).fill(7);
  const fresh = async (): Promise<WrappedStorage> => {
    const storage = new WrappedStorage();
    await storage.inner.putSmall('', [smallFile('old', 'x')]);
    return storage;
  };
  await replayed(t, await fresh(), 'mkdir', (client) => ask(client, mkdir('new', id), 'done'));
  await replayed(t, await fresh(), 'remove', (client) => ask(client, remove('old', id), 'done'));
  await replayed(t, await fresh(), 'rename', (client) =>
    ask(client, rename('old', 'new', id), 'done'),
  );
  const source = sourceOf(contentOf(70_000));
  const options = { operation: id, policy: { overwrite: 'never' } } as const;
  await replayed(t, await fresh(), 'commit', async (client) => {
    const { outcome, digest } = await upload(client, source, options);
    t.is(outcome, 'stored', 'its own file is no reason to skip');
    t.not(digest, undefined);
  });
  await replayed(t, await fresh(), 'putSmall', async (client) => {
    const { failures } = await uploadPage(client, [smallFile('page', 'p')], options);
    t.deepEqual(failures, []);
  });
});

test('asked for again while it is still being done, it is waited for', async (t) => {
  const storage = new WrappedStorage();
  let release = (): void => undefined;
  const gate = new Promise<void>((resolve) => {
    release = resolve;
  });
  let begun = 0;
  storage.before = async () => {
    begun += 1;
    await gate;
  };
  const daemon = new TestDaemon(storage);
  const session = newSession();
  const operation = newId();
  const first = join(daemon, { session });
  const lost = failureOf(ask(first.client, mkdir('new', operation), 'done'));
  await until(() => begun === 1);
  first.link.cut();
  t.is(await lost, 'connection-lost');
  const second = join(daemon, { session });
  const answer = ask(second.client, mkdir('new', operation), 'done');
  await turns();
  release();
  t.is((await answer).type, 'done');
  t.is(begun, 1);
  second.client.close();
});

test('an upload that is being committed is waited for by its repetition', async (t) => {
  const storage = new WrappedStorage();
  let release = (): void => undefined;
  const gate = new Promise<void>((resolve) => {
    release = resolve;
  });
  let commits = 0;
  storage.before = async (name) => {
    if (name !== 'commit') return;
    commits += 1;
    await gate;
  };
  const daemon = new TestDaemon(storage);
  const session = newSession();
  const options = { operation: newId() };
  const source = sourceOf(contentOf(10_000));
  const first = join(daemon, { session });
  const lost = failureOf(upload(first.client, source, options));
  await until(() => commits === 1);
  first.link.cut();
  t.is(await lost, 'connection-lost');
  const second = join(daemon, { session });
  const answer = upload(second.client, source, options);
  await turns();
  t.is(await load(storage, 'file'), undefined);
  release();
  t.is((await answer).outcome, 'stored');
  t.is(commits, 1);
  second.client.close();
});

// ---- several clients -------------------------------------------------------------------------------------------

test('a second offer of the same session takes over; another session is told busy', async (t) => {
  const daemon = new TestDaemon();
  const session = newSession();
  const content = contentOf(3 * 1024 * 1024);
  const slow = { toDaemon: { stallAt: 1_000_000 } };
  const half = join(daemon, { session, ...slow });
  const first = failureOf(upload(half.client, sourceOf(content)));
  await until(() => half.link.toDaemon.deliveredBytes === 1_000_000);
  const stranger = join(daemon);
  t.is(await failureOf(upload(stranger.client, sourceOf(content))), 'busy');
  const again = join(daemon, { session });
  const { outcome } = await upload(again.client, sourceOf(content));
  t.is(outcome, 'stored');
  t.is(await first, 'fenced');
  t.is(Buffer.compare((await load(daemon.storage, 'file')) as Uint8Array, content), 0);
  for (const { client } of [half, stranger, again]) client.close();
});

test('an upload by two sessions at once stores one whole version, never a mix', async (t) => {
  for (let round = 0; round < 20; round += 1) {
    const daemon = new TestDaemon();
    const contents = [contentOf(300_000, 2 * round), contentOf(300_000, 2 * round + 1)];
    const faults = { packets: 'random', packetBytes: 20_000 } as const;
    const clients = contents.map(
      (_, i) => join(daemon, { seed: round * 2 + i, toDaemon: faults }).client,
    );
    await Promise.all(clients.map(({ ready }) => ready));
    const outcomes = await Promise.all(
      contents.map((content, i) => failureOf(upload(clients[i] as Connection, sourceOf(content)))),
    );
    t.true(outcomes.includes(undefined), 'one of them wins');
    for (const outcome of outcomes) t.true(outcome === undefined || outcome === 'busy', outcome);
    const there = (await load(daemon.storage, 'file')) as Uint8Array;
    t.true(contents.some((content) => Buffer.compare(content, there) === 0));
    for (const client of clients) client.close();
  }
});

test('a download while its file is replaced gives the old content, whole', async (t) => {
  const { download } = await import('../transfer/helpers/files.ts');
  const daemon = new TestDaemon();
  const old = contentOf(2_000_000, 1);
  await store(daemon.storage, 'file', old);
  const { client } = join(daemon, {
    toClient: { packets: 'random', packetBytes: 30_000, bufferBytes: 30_000 },
  });
  const here = new MemoryStorage();
  const downloading = failureOf(download(client, here));
  await turns(30);
  await store(daemon.storage, 'file', contentOf(2_000_000, 2));
  const failure = await downloading;
  const got = await load(here, 'file');
  // It is the old one, or it is noticed: never a mix.
  if (failure === undefined) t.is(Buffer.compare(got as Uint8Array, old), 0);
  else t.deepEqual([failure, got], ['source-changed', undefined]);
  client.close();
});

type Step =
  | {
      readonly kind: 'put' | 'remove' | 'mkdir' | 'get';
      readonly name: string;
      readonly seed: number;
    }
  | { readonly kind: 'rename'; readonly name: string; readonly to: string; readonly seed: number };

const names = ['a', 'b', 'd/a', 'd/b', 'd'];

const anyStep: fc.Arbitrary<Step> = fc.oneof(
  fc.record({
    kind: fc.constantFrom('put', 'remove', 'mkdir', 'get'),
    name: fc.constantFrom(...names),
    seed: fc.nat({ max: 1000 }),
  }),
  fc.record({
    kind: fc.constant('rename' as const),
    name: fc.constantFrom(...names),
    to: fc.constantFrom(...names),
    seed: fc.nat({ max: 1000 }),
  }),
);

/** One client that goes on over broken links; every operation ends in a failure or in success. */
class StubbornClient {
  readonly #daemon: TestDaemon;
  readonly #session = newSession();
  readonly #random: () => number;
  #client: Connection | undefined;

  constructor(daemon: TestDaemon, seed: number) {
    this.#daemon = daemon;
    this.#random = randomFrom(seed);
  }

  async #connect(): Promise<Connection> {
    if (this.#client?.isOpen === true) return this.#client;
    const cutAt = 500 + Math.floor(this.#random() * 6_000);
    const way = this.#random() < 0.5 ? 'toDaemon' : 'toClient';
    this.#client = join(this.#daemon, { session: this.#session, [way]: { cutAt } }).client;
    await this.#client.ready.catch(() => undefined);
    return this.#client;
  }

  async run(work: (client: Connection) => Promise<unknown>): Promise<string> {
    for (;;) {
      const failure = await failureOf((async () => work(await this.#connect()))());
      if (failure !== 'connection-lost') return failure ?? 'ok';
      this.#client?.close();
      this.#client = undefined;
      await nextTurn();
    }
  }

  close(): void {
    this.#client?.close();
  }
}

function change(step: Step, operation: Uint8Array): (client: Connection) => Promise<unknown> {
  switch (step.kind) {
    case 'put': {
      const source = sourceOf(contentOf(step.seed, step.seed), {
        mtimeNs: BigInt(step.seed) * 10n ** 9n,
      });
      return (client) => upload(client, source, { path: step.name, operation });
    }
    case 'remove':
      return (client) => ask(client, remove(step.name, operation, true), 'done');
    case 'mkdir':
      return (client) => ask(client, mkdir(step.name, operation), 'done');
    case 'rename':
      return (client) => ask(client, rename(step.name, step.to, operation), 'done');
    case 'get':
      return (client) => ask(client, { type: 'stat', request: 0, path: step.name }, 'entry');
  }
}

/** The same step, done directly. */
async function modelled(model: MemoryStorage, step: Step): Promise<string> {
  const work = async (): Promise<unknown> => {
    switch (step.kind) {
      case 'put': {
        const existing = await model.stat(step.name).catch(() => undefined);
        if (existing?.kind === 'directory') throw new FerryError('wrong-kind', '');
        return await store(
          model,
          step.name,
          contentOf(step.seed, step.seed),
          BigInt(step.seed) * 10n ** 9n,
        );
      }
      case 'remove':
        return await model.remove(step.name, true);
      case 'mkdir':
        return await model.mkdir(step.name, false);
      case 'rename':
        return await model.rename(step.name, step.to);
      case 'get':
        return await model.stat(step.name);
    }
  };
  return (await failureOf(work())) ?? 'ok';
}

async function snapshot(storage: MemoryStorage): Promise<string[]> {
  const found: string[] = [];
  for await (const batch of storage.list('', { recursive: true, contentTypes: false })) {
    for (const { path, kind, size } of batch) found.push(`${path} ${kind} ${size}`);
  }
  return found.sort();
}

test('a client whose connections break all the time sees each operation done exactly once', async (t) => {
  await fc.assert(
    fc.asyncProperty(fc.array(anyStep, { maxLength: 25 }), fc.nat(), async (steps, seed) => {
      const [storage, model] = [new MemoryStorage(), new MemoryStorage()];
      const daemon = new TestDaemon(storage);
      const client = new StubbornClient(daemon, seed);
      for (const step of steps) {
        const expected = await modelled(model, step);
        t.is(await client.run(change(step, newId())), expected, JSON.stringify(step));
      }
      t.deepEqual(await snapshot(storage), await snapshot(model));
      client.close();
    }),
    { numRuns: 25 },
  );
});

test('two clients with their own folders, whose connections break, do not disturb each other', async (t) => {
  await fc.assert(
    fc.asyncProperty(
      fc.tuple(fc.array(anyStep, { maxLength: 15 }), fc.array(anyStep, { maxLength: 15 })),
      fc.nat(),
      async (histories, seed) => {
        const storages = [new MemoryStorage(), new MemoryStorage()] as const;
        const shares = new Shares(
          new Map([
            ['s0', storages[0]],
            ['s1', storages[1]],
          ]),
        );
        const daemon = new TestDaemon(storages[0], { shares });
        const models = [new MemoryStorage(), new MemoryStorage()];
        await Promise.all(
          histories.map(async (steps, i) => {
            const client = new StubbornClient(daemon, seed + i);
            const inShare = (name: string): string => `s${i}/${name}`;
            for (const step of steps) {
              const moved = {
                ...step,
                name: inShare(step.name),
                ...(step.kind === 'rename' ? { to: inShare(step.to) } : {}),
              };
              const outcome = await client.run(change(moved, newId()));
              t.is(outcome, await modelled(models[i] as MemoryStorage, step), JSON.stringify(step));
            }
            client.close();
          }),
        );
        for (const [i, storage] of storages.entries()) {
          t.deepEqual(await snapshot(storage), await snapshot(models[i] as MemoryStorage));
        }
      },
    ),
    { numRuns: 15 },
  );
});

test('a frame that opens no request in a daemon, and limits of one page', async (t) => {
  const { peer } = rawClient(new TestDaemon());
  peer.greet();
  const paths = Array.from({ length: limits.pageFiles }, (_, i) => `missing${i}`);
  peer.say({ type: 'fetch', request: 1, base: '', paths });
  const { entries } = await peer.next('offers');
  t.true(entries.every(({ kind }) => kind === 'unreadable'));
  peer.say({ type: 'verify', request: 2, base: '', paths });
  const { digests } = await peer.next('digests');
  t.deepEqual(
    digests,
    paths.map(() => undefined),
  );
  peer.stream.destroy();
});
