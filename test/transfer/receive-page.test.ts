import test, { type ExecutionContext } from 'ava';
import fc from 'fast-check';
import type { Entry } from '../../protocol/entry.ts';
import type { ControlFrame, FrameOf } from '../../protocol/frames.ts';
import { limits } from '../../protocol/limits.ts';
import { MemoryStorage } from '../../transfer/memory-storage.ts';
import { receivePage } from '../../transfer/receive-page.ts';
import { chunkFrame, join, type RawPeer, rawClient, TestDaemon } from './helpers/ends.ts';
import { Counts, contentOf, folder, load, mtimeNs, smallFile, store } from './helpers/files.ts';
import { failureOf, turns, until } from './helpers/outcome.ts';
import { downloadPage, offersOf, uploadPage } from './helpers/pages.ts';
import { WrappedStorage } from './helpers/wrapped-storage.ts';

const same = (actual: Uint8Array | undefined, expected: Uint8Array): boolean =>
  actual !== undefined && Buffer.compare(actual, expected) === 0;

const big = contentOf(limits.fileChunkBytes, 7);
const tooBig: Entry = { ...smallFile('big').entry, size: limits.fileChunkBytes + 1 };
const link: Entry = { ...smallFile('link').entry, kind: 'link' };

for (const eager of [false, true]) {
  test(`a mixed page goes up${eager ? ', eagerly' : ''}: each entry gets its own answer and result`, async (t) => {
    const daemon = new TestDaemon();
    const { storage } = daemon;
    await store(storage, 'base/same', contentOf(50, 1));
    await storage.mkdir('base/inTheWay', true);
    await storage.putSmall('base', [smallFile('file', 'x')]);
    const files = [
      smallFile('new', contentOf(10, 2)),
      smallFile('same', contentOf(50, 1)),
      smallFile('empty'),
      smallFile('deep/er/one', contentOf(1, 3)),
      smallFile('largest', big),
      smallFile('inTheWay', 'x'),
      smallFile('../outside', 'x'),
      smallFile('.chunkferry', 'x'),
      { entry: tooBig, content: new Uint8Array() },
      { entry: link, content: new Uint8Array() },
      folder('deep'),
      folder('file'),
      folder('made'),
    ];
    const { client } = join(daemon);
    const { answers, failures } = await uploadPage(client, files, { base: 'base', eager });
    t.deepEqual(answers, [
      'want',
      'unchanged',
      'want',
      'want',
      'want',
      'refused',
      'refused',
      'refused',
      'want',
      'refused',
      'want',
      'refused',
      'want',
    ]);
    t.deepEqual(
      failures.map(({ index }) => index).sort((a, b) => a - b),
      [5, 6, 7, 9, 11],
    );
    for (const name of ['new', 'empty', 'deep/er/one', 'largest']) {
      const file = files.find(({ entry }) => entry.path === name);
      t.true(same(await load(storage, `base/${name}`), file?.content as Uint8Array), name);
    }
    t.is((await storage.stat('base/deep')).mtimeNs, mtimeNs, 'set after its content was stored');
    t.is((await storage.stat('base/made')).kind, 'directory');
    t.is(await load(storage, 'base/big'), undefined, 'it moves by an offer of its own');
    t.is(await failureOf(storage.stat('outside')), 'not-found');
    client.close();
  });
}

test('a page comes down: files, empty ones, and `unreadable` for what can not be served', async (t) => {
  const daemon = new TestDaemon();
  await daemon.storage.putSmall('base', [
    smallFile('a', contentOf(10, 1)),
    smallFile('empty'),
    smallFile('largest', big),
    smallFile('deep/one', contentOf(77, 2)),
  ]);
  await store(daemon.storage, 'base/big', contentOf(100_000));
  const here = new MemoryStorage();
  const { client } = join(daemon);
  const paths = ['a', 'missing', 'empty', 'largest', 'deep/one', 'big', '../x'];
  const { answers, failures, entries, storedBytes } = await downloadPage(client, here, paths, {
    base: 'base',
  });
  t.deepEqual(
    entries.map(({ path }) => path),
    paths,
  );
  t.deepEqual(answers, ['want', 'refused', 'want', 'want', 'want', 'want', 'refused']);
  t.deepEqual(
    failures.map(({ index }) => index),
    [1, 6],
  );
  t.is(storedBytes, 87 + big.length);
  t.true(same(await load(here, 'a'), contentOf(10, 1)));
  t.true(same(await load(here, 'empty'), new Uint8Array()));
  t.true(same(await load(here, 'largest'), big));
  t.true(same(await load(here, 'deep/one'), contentOf(77, 2)));
  t.is(await load(here, 'big'), undefined);
  client.close();
});

test('files for which a page has no room are unreadable in it, not lost', async (t) => {
  const daemon = new TestDaemon();
  const files = Array.from({ length: 40 }, (_, i) => smallFile(`f${i}`, contentOf(65_536, i)));
  await daemon.storage.putSmall('', files);
  const here = new MemoryStorage();
  const { client } = join(daemon);
  const paths = files.map(({ entry }) => entry.path);
  const { answers, storedBytes } = await downloadPage(client, here, paths);
  const fit = limits.pageContentBytes / 65_536;
  t.deepEqual(
    answers,
    paths.map((_, i) => (i < fit ? 'want' : 'refused')),
  );
  t.is(storedBytes, limits.pageContentBytes);
  client.close();
});

test('any page over any link stores exactly what it says', async (t) => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.oneof(fc.nat({ max: 300 }), fc.constantFrom(0, 1, 65_535, 65_536)), {
        maxLength: 30,
      }),
      fc.boolean(),
      fc.nat(),
      async (sizes, eager, seed) => {
        const files = sizes.map((size, i) => smallFile(`d${i % 3}/f${i}`, contentOf(size, i)));
        const daemon = new TestDaemon();
        const faults = { packets: 'random', packetBytes: 20_000, bufferBytes: 30_000 } as const;
        const { client, link: joined } = join(daemon, { seed, toDaemon: faults, toClient: faults });
        await client.ready;
        const { failures } = await uploadPage(client, files, { eager });
        t.deepEqual(failures, []);
        const here = new MemoryStorage();
        await downloadPage(
          client,
          here,
          files.map(({ entry }) => entry.path),
        );
        for (const { entry, content } of files) {
          if (!same(await load(here, entry.path), content)) throw new Error(joined.describe);
        }
        client.close();
      },
    ),
    { numRuns: 25 },
  );
});

test('several pages at once do not disturb each other', async (t) => {
  const daemon = new TestDaemon();
  const { client } = join(daemon, { toDaemon: { packets: 'random', packetBytes: 50_000 } });
  await client.ready;
  const pages = Array.from({ length: limits.pages }, (_, p) =>
    Array.from({ length: 20 }, (_unused, i) =>
      smallFile(`p${p}/f${i}`, contentOf(3000 + i, p * 100 + i)),
    ),
  );
  await Promise.all(pages.map((files, p) => uploadPage(client, files, { eager: p % 2 === 0 })));
  for (const { entry, content } of pages.flat()) {
    t.true(same(await load(daemon.storage, entry.path), content));
  }
  client.close();
});

// ---- against a sender that is spoken by hand ------------------------------------------------------------

const files = [
  smallFile('a', contentOf(100, 1)),
  smallFile('b', contentOf(200, 2)),
  smallFile('empty'),
];

async function handSender(daemon = new TestDaemon(), sent = files, eager = false, policy = {}) {
  const { peer, connection } = rawClient(daemon);
  peer.greet();
  const entries = sent.map(({ entry }) => entry);
  peer.say({ ...offersOf(entries, { eager, policy }), request: 1 });
  return { peer, connection, daemon };
}

const end = (round: number): ControlFrame => ({ type: 'end', request: 1, round, size: 0 });
const contentAt = (place: number): Uint8Array => files[place]?.content as Uint8Array;

async function placesWanted(peer: RawPeer): Promise<[number, number[]]> {
  const { round, ranges } = await peer.next('want');
  return [round, ranges.map(({ start }) => start)];
}

test('a damaged chunk is asked for again, alone', async (t) => {
  const { peer, daemon, connection } = await handSender();
  await peer.next('answers');
  peer.say(
    chunkFrame(1, 0, contentAt(0)),
    chunkFrame(1, 1, contentAt(1), { damage: true }),
    end(0),
  );
  t.deepEqual(await placesWanted(peer), [1, [1]]);
  peer.say(chunkFrame(1, 1, contentAt(1)), end(1));
  t.deepEqual((await peer.next('results')).failures, []);
  t.true(same(await load(daemon.storage, 'b'), contentAt(1)));
  connection.close();
});

test('a chunk that arrives damaged each time fails as integrity, the others are stored', async (t) => {
  const { peer, daemon, connection } = await handSender();
  await peer.next('answers');
  peer.say(
    chunkFrame(1, 0, contentAt(0)),
    chunkFrame(1, 1, contentAt(1), { damage: true }),
    end(0),
  );
  for (let round = 1; round <= limits.chunkRepeats; round += 1) {
    t.deepEqual(await placesWanted(peer), [round, [1]]);
    peer.say(chunkFrame(1, 1, contentAt(1), { damage: true }), end(round));
  }
  const { failures } = await peer.next('results');
  t.deepEqual(
    failures.map(({ index, failure }) => [index, failure]),
    [[1, 'integrity']],
  );
  t.is(await load(daemon.storage, 'b'), undefined);
  t.true(same(await load(daemon.storage, 'a'), contentAt(0)));
  connection.close();
});

test('a chunk that is withheld fails as source-changed, the others are stored', async (t) => {
  const { peer, daemon, connection } = await handSender();
  await peer.next('answers');
  peer.say(chunkFrame(1, 1, contentAt(1)), end(0));
  const { failures } = await peer.next('results');
  t.deepEqual(
    failures.map(({ index, failure }) => [index, failure]),
    [[0, 'source-changed']],
  );
  t.true(same(await load(daemon.storage, 'b'), contentAt(1)));
  t.true(same(await load(daemon.storage, 'empty'), new Uint8Array()));
  connection.close();
});

test('a chunk that is not wanted is dropped, damaged or not', async (t) => {
  const daemon = new TestDaemon();
  await daemon.storage.putSmall('', [smallFile('a', 'other', mtimeNs - 9n), smallFile('b', 'old')]);
  const { peer, connection } = await handSender(daemon, files, true, { overwrite: 'never' });
  peer.say(chunkFrame(1, 0, contentAt(0), { damage: true }), chunkFrame(1, 1, contentAt(1)));
  t.deepEqual((await peer.next('answers')).answers, ['skipped', 'skipped', 'want']);
  peer.say(end(0));
  t.deepEqual((await peer.next('results')).failures, []);
  t.true(same(await load(daemon.storage, 'a'), new TextEncoder().encode('other')));
  t.true(same(await load(daemon.storage, 'b'), new TextEncoder().encode('old')));
  connection.close();
});

test('of two chunks for one place the first intact one counts', async (t) => {
  const { peer, daemon, connection } = await handSender();
  await peer.next('answers');
  const evil = new Uint8Array(100).fill(9);
  peer.say(
    chunkFrame(1, 0, contentAt(0)),
    chunkFrame(1, 0, evil),
    chunkFrame(1, 1, contentAt(1)),
    end(0),
  );
  await peer.next('results');
  t.true(same(await load(daemon.storage, 'a'), contentAt(0)));
  connection.close();
});

async function breaks(t: ExecutionContext, peer: RawPeer, daemon: TestDaemon): Promise<void> {
  const errors = (): FrameOf<'error'>[] =>
    peer.heard.filter((frame): frame is FrameOf<'error'> => frame.type === 'error');
  await until(() => errors().length > 0, 'an error');
  t.deepEqual(
    errors().map(({ failure, request }) => [failure, request]),
    [['protocol', 0]],
  );
  await turns();
  t.is(await load(daemon.storage, 'a'), undefined);
}

test('a chunk that does not fit its place ends the connection', async (t) => {
  const wrong: Uint8Array[] = [
    chunkFrame(1, 0, new Uint8Array(99)),
    chunkFrame(1, 0, new Uint8Array(101)),
    chunkFrame(1, 2, new Uint8Array(1)),
    chunkFrame(1, 3, new Uint8Array(1)),
    chunkFrame(1, 4, new Uint8Array(1)),
    chunkFrame(1, 256, new Uint8Array(1)),
    chunkFrame(1, Number.MAX_SAFE_INTEGER, new Uint8Array(1)),
  ];
  for (const frame of wrong) {
    const sent = [...files, folder('folder'), { entry: tooBig, content: new Uint8Array() }];
    const { peer, daemon } = await handSender(new TestDaemon(), sent);
    await peer.next('answers');
    peer.say(frame);
    await breaks(t, peer, daemon);
  }
});

test('a page with more content than is allowed ends the connection before any of it came', async (t) => {
  const many = Array.from({ length: 33 }, (_, i) => smallFile(`f${i}`, big));
  const { peer, daemon } = await handSender(new TestDaemon(), many, true);
  await breaks(t, peer, daemon);
});

test('an end before the answers, or of a round that was not asked for, ends the connection', async (t) => {
  const daemon = new TestDaemon();
  const { peer } = rawClient(daemon);
  peer.greet();
  // Together, or the answers could be there first.
  peer.say({ ...offersOf(files.map(({ entry }) => entry)), request: 1 }, end(0));
  await breaks(t, peer, daemon);
  const late = await handSender();
  await late.peer.next('answers');
  late.peer.say(end(1));
  await breaks(t, late.peer, late.daemon);
});

test('a page that is cut off stores nothing', async (t) => {
  const { peer, daemon, connection } = await handSender();
  await peer.next('answers');
  peer.say(chunkFrame(1, 0, contentAt(0)), chunkFrame(1, 1, contentAt(1)));
  await turns(3);
  peer.stream.destroy();
  await connection.closed;
  await daemon.service.settled();
  t.is(await load(daemon.storage, 'a'), undefined);
});

test('room is asked for as much memory as a page takes, before any of it is kept', async (t) => {
  const pageOf = (count: number, content: Uint8Array) =>
    Array.from({ length: count }, (_, i) => smallFile(`f${i}`, content));
  for (const [sent, bytes] of [
    [pageOf(3, contentOf(10)), 30],
    [pageOf(1, big), limits.fileChunkBytes],
    [pageOf(2, big), limits.pageContentBytes],
  ] as const) {
    const asked: number[] = [];
    const room = (count: number, onRoom: () => void): { leave: () => void } => {
      asked.push(count);
      onRoom();
      return { leave: () => undefined };
    };
    const storage = new MemoryStorage();
    const { client } = join(new TestDaemon(), {
      daemonOptions: {
        onRequest: (request, frame) =>
          void receivePage(request, frame as FrameOf<'offers'>, storage, '', { room }),
      },
    });
    const { failures } = await uploadPage(client, sent, { eager: true });
    t.deepEqual(failures, []);
    t.deepEqual(asked, [bytes]);
    client.close();
  }
});

// ---- operation ids ---------------------------------------------------------------------------------------

test('a page asked for again under its operation id is not done twice, and gives the same answers', async (t) => {
  const storage = new WrappedStorage();
  const daemon = new TestDaemon(storage);
  let puts = 0;
  storage.before = (operation) => void (puts += operation === 'putSmall' ? 1 : 0);
  const options = {
    operation: new Uint8Array(16).fill(3),
    policy: { overwrite: 'never' },
  } as const;
  const sent = [...files, folder('made')];
  const first = join(daemon);
  const once = await uploadPage(first.client, sent, options);
  t.deepEqual(once.answers, ['want', 'want', 'want', 'want']);
  first.client.close();
  // As if the results had been lost: another connection asks again.
  const second = join(daemon);
  const counts = new Counts();
  const again = await uploadPage(second.client, sent, options, counts);
  t.deepEqual(again, {
    answers: ['unchanged', 'unchanged', 'unchanged', 'unchanged'],
    failures: [],
  });
  t.is(counts.bytes, 0);
  // Without the id the policy would have skipped what is there by now.
  const other = await uploadPage(second.client, sent, { policy: { overwrite: 'never' } });
  t.deepEqual(other.answers.slice(0, 3), ['skipped', 'skipped', 'skipped']);
  second.client.close();
});

test('a page whose results were cut off is repeated on the next connection', async (t) => {
  const probe = join(new TestDaemon());
  await uploadPage(probe.client, files);
  const length = probe.link.toClient.deliveredBytes;
  probe.client.close();
  for (let cutAt = length - 40; cutAt < length; cutAt += 3) {
    const daemon = new TestDaemon();
    const options = {
      operation: new Uint8Array(16).fill(cutAt % 256),
      policy: { overwrite: 'never' },
    } as const;
    const first = join(daemon, { toClient: { cutAt } });
    t.is(await failureOf(uploadPage(first.client, files, options)), 'connection-lost');
    await daemon.service.settled();
    const second = join(daemon);
    const { answers, failures } = await uploadPage(second.client, files, options);
    t.deepEqual(failures, []);
    t.false(
      answers.includes('skipped'),
      'what the first attempt stored is not taken for somebody else’s',
    );
    for (const { entry, content } of files)
      t.true(same(await load(daemon.storage, entry.path), content));
    second.client.close();
  }
});
