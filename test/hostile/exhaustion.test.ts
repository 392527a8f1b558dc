/** THREATS, exhaustion: peers with a valid token that ask for much, and take or give little. */
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { mkdir, open, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import test, { type ExecutionContext } from 'ava';
import { forgetPeak, peakOf, residentOf } from '../system/helpers/memory.ts';
import { until } from '../system/helpers/wait.ts';
import * as bodies from './helpers/bodies.ts';
import { failures, isRefused } from './helpers/cases.ts';
import { Ground } from './helpers/ground.ts';
import type { Peer } from './helpers/peer.ts';
import { cat, critical, fields, frame, headerBytes, text, u8, u32, u64 } from './helpers/wire.ts';

const MiB = 1024 * 1024;
const requests = 64;
const readers = 50;
/** Two chunks of each reader are 6.3 MiB; the rest is what a collector leaves behind. */
const stalledBytesMost = 32 * MiB;

let ground: Ground;
test.before(async () => {
  // A small heap is collected early: what stays is held, not forgotten garbage.
  ground = await Ground.start({
    nodeArguments: ['--max-old-space-size=64', '--max-semi-space-size=2'],
  });
  const file = await open(ground.served('large'), 'w');
  await file.truncate(64 * MiB);
  await file.close();
});
test.after.always(() => ground.end());

test.serial('a thousand offers of the greatest size reserve and leave nothing', async (t) => {
  const wave = async (names: string): Promise<void> => {
    const peer = await ground.peer();
    const size = 2 ** 43;
    const offers = Array.from({ length: requests }, (_, i) =>
      frame('offer', i + 1, bodies.offer({ path: `${names}-${i}`, size })),
    );
    peer.write(...offers);
    for (let i = 1; i <= requests; i += 1) await peer.next(['want', 'error'], i);
    const staged = await readdir(ground.served('.chunkferry'));
    const stats = staged.map((name) =>
      stat(ground.served('.chunkferry', name)).catch(() => undefined),
    );
    const blocks = (await Promise.all(stats)).reduce((sum, found) => sum + (found?.blocks ?? 0), 0);
    t.true(blocks * 512 < MiB, 'no space is reserved');
    await peer.leave('reset');
  };
  await ground.stands(t, async () => {
    for (let i = 0; i < 16; i += 1) await wave(`empty-${i}`);
  });
  await until('staging is empty again', async () => {
    const staged = await readdir(ground.served('.chunkferry'));
    return staged.every((name) => name === 'lock');
  });
});

/** Asks for a large file; gives who asked when it has been offered. */
async function askLarge(): Promise<Peer> {
  const peer = await ground.peer();
  peer.write(frame('download', 1, bodies.download('large')));
  await peer.next('offer', 1);
  return peer;
}

/** From now on the peer looks at nothing that it hears; gives a wait for so many bytes of it. */
function countOnly({ socket }: Peer): (bytes: number) => Promise<void> {
  let heardBytes = 0;
  socket.removeAllListeners('data');
  socket.on('data', ({ length }: Buffer) => {
    heardBytes += length;
  });
  return async (bytes) => {
    while (heardBytes < bytes) await once(socket, 'data');
  };
}

const want = frame('want', 1, bodies.want(1, [[0, 1024]]));

/** What the daemon holds for readers that stand still beside it. */
async function heldSince(startBytes: number): Promise<void> {
  if (!existsSync('/proc/self/status')) return;
  await until(
    'readers that stand still hold little',
    () => residentOf(ground.daemon.pid) - startBytes < stalledBytesMost,
  );
}

test.serial('what was cancelled is read no further, however large the file is', async (t) => {
  // At its end the oracle waits until the daemon has closed all files, for less than reading on would take.
  await ground.stands(t, async () => {
    const file = await open(ground.served('endless'), 'w');
    await file.truncate(2 ** 40);
    await file.close();
    const peer = await ground.peer();
    for (let i = 0; i < 16 * requests; i += 1) {
      const asked = peer.open('checksums', bodies.checksums('endless'));
      peer.say('cancel', asked);
      await peer.next(['cancelled', 'error'], asked);
    }
    t.true(await peer.isServed());
    await rm(ground.served('endless'));
  });
});

test.serial('readers that read nothing of a download hold two chunks each', async (t) => {
  await ground.stands(t, async () => {
    const startBytes = residentOf(ground.daemon.pid);
    for (let i = 0; i < readers; i += 1) {
      const peer = await askLarge();
      peer.socket.pause();
      peer.write(want);
    }
    // Who reads is served meanwhile; by then the others have what they will get.
    t.true(await (await ground.peer()).isServed());
    await heldSince(startBytes);
  });
});

test.serial('readers that stop reading during a download shrink', async (t) => {
  await ground.stands(t, async () => {
    const startBytes = residentOf(ground.daemon.pid);
    for (let i = 0; i < readers; i += 1) {
      const peer = await askLarge();
      const heard = countOnly(peer);
      peer.write(want);
      await heard(1.5 * MiB);
      // What is confirmed makes the daemon send in large pieces.
      peer.write(frame('credit', 0, u64(MiB)));
      await heard(2.25 * MiB);
      peer.socket.pause();
    }
    t.true(await (await ground.peer()).isServed());
    await heldSince(startBytes);
  });
});

test.serial('who asks without end and never reads the answers is cut off', async (t) => {
  await ground.stands(t, async () => {
    const peer = await ground.peer();
    peer.socket.pause();
    const pings = cat(...Array.from({ length: 2_000 }, () => frame('ping', 0, u64(1))));
    // Far more than the kernel holds and the daemon may.
    for (let i = 0; i < 2_000 && !peer.isOver && !peer.socket.destroyed; i += 1) {
      if (!peer.socket.write(pings)) {
        await Promise.race([once(peer.socket, 'drain').catch(() => undefined), peer.ended]);
      }
    }
    t.true(peer.isOver || peer.socket.destroyed, 'the daemon ends it');
  });
});

/** Growth by what is read for peers that take nothing: the oracle's O4. */
const unreadBytesMost = 64 * MiB;
const crowd = 8;

/** Names as long as they may be, each of a file of 8 KiB: 256 of them are a page of 2 MiB. */
async function makeLongNames(count: number): Promise<string[]> {
  const names = Array.from({ length: count }, (_, i) => `${i}`.padEnd(255, 'x'));
  await mkdir(ground.served('long'), { recursive: true });
  for (const name of names) await writeFile(ground.served('long', name), Buffer.alloc(8 * 1024));
  return names;
}

/** What the daemon holds at most while peers ask and read nothing. */
async function unread(t: ExecutionContext, ask: (peer: Peer) => void): Promise<void> {
  const startBytes = residentOf(ground.daemon.pid);
  if (existsSync('/proc/self/status')) await forgetPeak(ground.daemon.pid);
  for (let i = 0; i < crowd; i += 1) {
    const peer = await ground.peer();
    peer.socket.pause();
    ask(peer);
  }
  // By the time that the last one's questions are looked at, those of the others are.
  for (let i = 0; i < crowd; i += 1) t.true(await (await ground.peer()).isServed());
  if (!existsSync('/proc/self/status')) return;
  const grownBytes = peakOf(ground.daemon.pid) - startBytes;
  t.log(`grown by ${Math.round(grownBytes / MiB)} MiB`);
  t.true(grownBytes < unreadBytesMost, `${grownBytes}`);
}

test.serial(
  'pageBytes: listings that nobody reads are not read from the disk either',
  async (t) => {
    await makeLongNames(2_048);
    await ground.stands(t, () =>
      unread(t, (peer) => {
        for (let j = 1; j <= requests; j += 1) peer.write(frame('list', j, bodies.listing('long')));
      }),
    );
  },
);

test.serial('pageBytes: pages of small files that nobody reads wait for room', async (t) => {
  const names = await makeLongNames(240);
  await ground.stands(t, () =>
    unread(t, (peer) => {
      for (let j = 1; j <= 8; j += 1) peer.write(frame('fetch', j, bodies.fetch('long', names)));
    }),
  );
  await rm(ground.served('long'), { recursive: true });
});

const longChunk = 4 * MiB;

test.serial('the header of a chunk longer than those of files brings no memory', async (t) => {
  await ground.stands(
    t,
    async () => {
      for (const name of ['none was offered', 'a file was offered']) {
        const peer = await ground.peer();
        if (name !== 'none was offered') {
          peer.open('offer', bodies.offer({ path: 'short', size: longChunk }));
          await peer.next('want', 1);
        }
        peer.write(bodies.chunk(1, 0, Buffer.alloc(longChunk)).subarray(0, headerBytes));
        await isRefused(t, peer, failures.protocol, name);
      }
    },
    { touches: ['.chunkferry'] },
  );
});

test.serial(
  'pageBytes: chunks longer than those of files come only where there is room',
  async (t) => {
    await ground.stands(
      t,
      async () => {
        const startBytes = residentOf(ground.daemon.pid);
        const content = Buffer.alloc(longChunk, 1);
        const chunk = bodies.chunk(1, 0, content);
        const end = bodies.end(1, longChunk, bodies.digest(content, longChunk));
        const peers = await Promise.all(Array.from({ length: 30 }, () => ground.peer()));
        const offer = { size: longChunk, chunkBytes: longChunk };
        for (const [i, peer] of peers.entries()) {
          peer.open('offer', bodies.offer({ path: `long-${i}`, ...offer }));
        }
        const heard = await Promise.all(peers.map((peer) => peer.next(['want', 'error'], 1)));
        const begun = peers.filter((_, i) => heard[i]?.name === 'want');
        t.is(begun.length, 6, 'a token has three quarters of the room');
        const refused = heard.filter(({ name }) => name === 'error').map(bodies.readError);
        t.true(refused.every(({ code }) => code === failures.limit));
        t.true(refused.every(({ message }) => message.endsWith('(pageBytes).')));
        // All but the end of the chunk.
        for (const peer of begun) peer.write(chunk.subarray(0, longChunk));
        for (const peer of peers) if (!begun.includes(peer)) t.true(await peer.isServed());
        if (existsSync('/proc/self/status')) {
          t.true(residentOf(ground.daemon.pid) - startBytes < unreadBytesMost);
        }
        const [peer] = begun as [Peer];
        peer.write(chunk.subarray(longChunk), frame('end', 1, end));
        await peer.next('complete', 1);
        const other = peers.find((one) => !begun.includes(one)) as Peer;
        other.write(frame('offer', 2, bodies.offer({ path: 'long-again', ...offer })));
        await other.next('want', 2);
        const name = `long-${peers.indexOf(peer)}`;
        t.true(content.equals(await readFile(ground.served(name))));
      },
      { touches: 'everything but warm' },
    );
  },
);

test.serial('hashing in many measurements at once takes memory once', async (t) => {
  await ground.stands(t, async () => {
    const startBytes = residentOf(ground.daemon.pid);
    const peer = await ground.peer({ features: ['bench'] });
    const hash = fields([
      [1 | critical, u8(2)],
      [2 | critical, u8(0)],
      [3, text('')],
      [4, u32(longChunk)],
      [10 | critical, u8(1)],
    ]);
    for (let i = 0; i < requests; i += 1) peer.write(frame(0x40, i + 1, hash));
    for (let i = 1; i <= requests; i += 1) await peer.next('working', i);
    if (existsSync('/proc/self/status')) {
      t.true(residentOf(ground.daemon.pid) - startBytes < unreadBytesMost);
    }
  });
});

test.serial('openSegments: a file of which a little comes everywhere is refused', async (t) => {
  await ground.stands(
    t,
    async () => {
      const peer = await ground.peer();
      const size = 2 ** 33;
      const offer = bodies.offer({ path: 'scattered', size, chunkBytes: 1_024 });
      peer.write(frame('offer', 1, offer));
      await peer.next('want', 1);
      for (let segment = 0; segment < 1_200; segment += 1) {
        peer.write(bodies.chunk(1, 128 * segment, Buffer.alloc(1_024, 1)));
      }
      const { code, message } = bodies.readError(await peer.next('error', 1));
      t.is(code, failures.limit);
      t.regex(message, /\(openSegments\)/);
      t.true(await peer.isServed());
    },
    { touches: ['.chunkferry'] },
  );
});

test.serial('damagedChunks: so many damaged chunks are not remembered', async (t) => {
  await ground.stands(
    t,
    async () => {
      const peer = await ground.peer();
      const offer = bodies.offer({ path: 'damaged', size: 2 ** 30 });
      peer.write(frame('offer', 1, offer));
      await peer.next('want', 1);
      for (let i = 0; i < 1_100; i += 1) {
        peer.write(bodies.chunk(1, i, Buffer.alloc(1), { sum: 1n }));
      }
      const { code, message } = bodies.readError(await peer.next('error', 1));
      t.is(code, failures.integrity);
      t.regex(message, /\(damagedChunks\)/);
      t.true(await peer.isServed());
    },
    { touches: ['.chunkferry'] },
  );
});

test.serial(
  'pageBytes: pages that come without room wait, beside others they are asked for again, and none is lost',
  async (t) => {
    const names = Array.from({ length: 32 }, (_, i) => `part-${i}`);
    const content = Buffer.alloc(65_536, 1);
    const entries = names.map((path) => ({ path, size: content.length }));
    await ground.stands(
      t,
      async () => {
        const startBytes = residentOf(ground.daemon.pid);
        const peers = await Promise.all(Array.from({ length: 40 }, () => ground.peer()));
        // Each sends all of a page but its end: 80 MiB, of which a token may hold 24.
        for (const [i, peer] of peers.entries()) {
          peer.write(frame('offers', 1, bodies.offers(`eager-${i}`, entries, { eager: 1 })));
          // Every other one has something else under way, for which reading must go on.
          const beside = { path: `beside-${i}`, size: MiB };
          if (i % 2 === 1) peer.write(frame('offer', 2, bodies.offer(beside)));
          for (const j of names.keys()) peer.write(bodies.chunk(1, j, content));
        }
        for (const [i, peer] of peers.entries()) if (i % 2 === 1) t.true(await peer.isServed());
        if (existsSync('/proc/self/status')) {
          t.true(residentOf(ground.daemon.pid) - startBytes < unreadBytesMost);
        }
        // Those that had room are answered; the others when these are through.
        const refilled = [0, 0];
        for (const [i, peer] of peers.entries()) {
          const { name } = await peer.next(['answers', 'working'], 1);
          if (name === 'working') await peer.next('answers', 1);
          peer.say('end', 1, bodies.end(0, 0));
          for (;;) {
            const heard = await peer.next(['want', 'results'], 1);
            if (heard.name === 'results') {
              t.deepEqual(bodies.readResults(heard), []);
              break;
            }
            refilled[i % 2] = (refilled[i % 2] ?? 0) + 1;
            const { round, ranges } = bodies.readWant(heard);
            for (const [start, end] of ranges) {
              for (let j = Number(start); j < Number(end); j += 1) {
                peer.write(bodies.chunk(1, j, content));
              }
            }
            peer.say('end', 1, bodies.end(round, 0));
          }
        }
        t.is(refilled[0], 0, 'what waits is not sent twice');
        t.true((refilled[1] ?? 0) > 0, 'some came without room beside others');
        for (const i of peers.keys()) {
          for (const name of names) {
            t.true(content.equals(await readFile(ground.served(`eager-${i}`, name))));
          }
        }
      },
      { touches: 'everything but warm' },
    );
  },
);
