/** THREATS: a valid session in pieces of every kind, and chunks that are not what was asked for. */
import { existsSync } from 'node:fs';
import { readdir, readFile } from 'node:fs/promises';
import test from 'ava';
import * as bodies from './helpers/bodies.ts';
import { failures, inTurns, isRefused } from './helpers/cases.ts';
import { chunks } from './helpers/dances.ts';
import { Ground } from './helpers/ground.ts';
import type { Peer } from './helpers/peer.ts';
import { Cursor, cat, type FrameName, frame } from './helpers/wire.ts';

let ground: Ground;
test.before(async () => {
  ground = await Ground.start({ plain: true });
});
test.after.always(() => ground.end());

const size = 20;
const content = Buffer.from(Array.from({ length: size }, (_, i) => i % 251));

/** Everything that a client says for an upload, as soon as it may be said. */
function session(path: string): Buffer {
  return cat(
    frame('offer', 1, bodies.offer({ path, size })),
    frame('working', 1, bodies.working()),
  );
}

const afterWant = cat(
  chunks(1, content),
  frame('end', 1, bodies.end(1, size, bodies.digest(content))),
);

/** Says an upload up to the byte `cut` of what follows the greeting. */
async function sayUntil(peer: Peer, path: string, cut: number): Promise<void> {
  const offer = session(path);
  peer.write(offer.subarray(0, cut));
  if (cut < offer.length) return;
  await peer.next('want', 1);
  peer.write(afterWant.subarray(0, cut - offer.length));
}

const total = session('cut').length + afterWant.length;

for (const how of ['end', 'reset'] as const) {
  test.serial(
    `a valid session cut at every byte, then ${how === 'end' ? 'FIN' : 'RST'}: nothing is committed`,
    async (t) => {
      const cuts = Array.from({ length: total }, (_, cut) => cut);
      await ground.stands(t, () =>
        inTurns(cuts, async (cut) => {
          const peer = await ground.peer();
          await sayUntil(peer, `cut-${how}-${cut}`, cut);
          await peer.leave(how);
        }),
      );
      const names = await readdir(ground.served());
      t.deepEqual(
        names.filter((name) => name.startsWith(`cut-${how}`)),
        [],
      );
    },
  );
}

test.serial('the greeting cut at every byte: gone, and nobody is told anything', async (t) => {
  await ground.stands(t, async () => {
    const whole = await ground.peer();
    const client = whole.transcript?.client ?? Buffer.alloc(0);
    const said = cat(client.subarray(0, 16), frame('hello', 0, client.subarray(16)));
    const cuts = Array.from({ length: said.length }, (_, i) => i);
    await inTurns(cuts, async (cut) => {
      const peer = await ground.stranger();
      peer.write(said.subarray(0, cut));
      await peer.leave();
      t.deepEqual(peer.failures, []);
    });
  });
});

/** The time that a session takes whose bytes come in writes of `length`. */
async function inPieces(peer: Peer, path: string, length: number): Promise<number> {
  const startedAtMs = performance.now();
  const write = async (bytes: Buffer): Promise<void> => {
    for (let at = 0; at < bytes.length; at += length) {
      peer.write(bytes.subarray(at, at + length));
      // Each byte is handed to the kernel by itself.
      await new Promise((resolve) => setImmediate(resolve));
    }
  };
  await write(session(path));
  await peer.next('want', 1);
  await write(afterWant);
  const cursor = new Cursor((await peer.next('complete', 1)).payload);
  if (cursor.u8() !== bodies.outcomes.stored) throw new Error('It was not stored.');
  return performance.now() - startedAtMs;
}

test.serial(
  'one byte a packet and all in one write give the same result, in linear time',
  async (t) => {
    await ground.stands(
      t,
      async () => {
        const bytewise = await inPieces(await ground.peer(), 'bytewise', 1);
        const whole = await inPieces(await ground.peer(), 'at-once', 1_000_000);
        t.log(
          `${total} bytes: one by one ${Math.round(bytewise)} ms, at once ${Math.round(whole)} ms`,
        );
        for (const name of ['bytewise', 'at-once']) {
          t.true(content.equals(await readFile(ground.served(name))), name);
        }
        // A frame of the greatest size byte by byte costs what its bytes cost, not their square.
        const peer = await ground.peer();
        const long = frame('want', 1, Buffer.alloc(65_536));
        const startedAtMs = performance.now();
        for (let at = 0; at < long.length; at += 8) {
          peer.write(long.subarray(at, at + 8));
          if (at % 1024 === 0) await new Promise((resolve) => setImmediate(resolve));
        }
        await isRefused(t, peer, failures.protocol, 'a long frame in small pieces');
        t.log(`64 KiB in writes of 8 bytes: ${Math.round(performance.now() - startedAtMs)} ms`);
      },
      { touches: ['bytewise', 'at-once'] },
    );
  },
);

// ---- chunks ----------------------------------------------------------------------------------------

const length = 100_000;
const file = Buffer.from(Array.from({ length }, (_, i) => i % 249));
const first = file.subarray(0, bodies.chunkBytes);
const second = file.subarray(bodies.chunkBytes);
const endOfFile = (round: number): Buffer =>
  frame('end', 1, bodies.end(round, length, bodies.digest(file)));

async function wanted(path: string): Promise<Peer> {
  const peer = await ground.peer();
  peer.write(frame('offer', 1, bodies.offer({ path, size: length })));
  await peer.next('want', 1);
  return peer;
}

test.serial(
  'a damaged chunk is asked for again, alone, at most three times, and never stored',
  async (t) => {
    await ground.stands(
      t,
      async () => {
        const peer = await wanted('mended');
        const damaged = bodies.chunk(1, 0, first, { sum: 1n });
        peer.write(damaged, bodies.chunk(1, 1, second));
        for (let round = 2; round <= 4; round += 1) {
          const { ranges } = bodies.readWant(await peer.next('want', 1));
          t.deepEqual(ranges, [[0n, 1n]]);
          if (round < 4) peer.write(damaged);
        }
        peer.write(bodies.chunk(1, 0, first), endOfFile(4));
        await peer.next('complete', 1);
        t.true(file.equals(await readFile(ground.served('mended'))));

        const hopeless = await wanted('hopeless');
        for (let i = 0; i < 4; i += 1) hopeless.write(bodies.chunk(1, 0, first, { sum: 1n }));
        const { code } = bodies.readError(await hopeless.next('error', 1));
        t.is(code, failures.integrity);
        t.true(await hopeless.isServed());
      },
      { touches: ['mended'] },
    );
  },
);

test.serial('duplicates are dropped, in any order', async (t) => {
  await ground.stands(
    t,
    async () => {
      const peer = await wanted('twice');
      const other = Buffer.from(first).fill(0);
      peer.write(bodies.chunk(1, 1, second), bodies.chunk(1, 0, first), bodies.chunk(1, 0, other));
      peer.write(bodies.chunk(1, 1, second), bodies.chunk(1, 0, other, { sum: 1n }), endOfFile(1));
      await peer.next('complete', 1);
      t.true(file.equals(await readFile(ground.served('twice'))));
    },
    { touches: ['twice'] },
  );
});

test.serial(
  'chunks past the end, short in the middle, a byte too long, missing; ends that lie',
  async (t) => {
    const wrong: Record<string, Buffer> = {
      'past the end': bodies.chunk(1, 2, Buffer.of(1)),
      'far past the end': bodies.chunk(1, 2 ** 40, first),
      'at the greatest index': bodies.chunk(1, 2n ** 53n - 1n, first),
      'short in the middle': bodies.chunk(1, 0, first.subarray(1)),
      'a byte more than announced': bodies.chunk(1, 1, cat(second, Buffer.of(1))),
      'a byte less at the end': bodies.chunk(1, 1, second.subarray(1)),
      'longer than a chunk': bodies.chunk(1, 0, cat(first, Buffer.of(1))),
      'not all of it': cat(bodies.chunk(1, 0, first), endOfFile(1)),
      'nothing of it': endOfFile(1),
      'another size at the end': cat(
        chunks(1, file),
        frame('end', 1, bodies.end(1, length + 1, 1n)),
      ),
      'no digest': cat(chunks(1, file), frame('end', 1, bodies.end(1, length))),
      'an end of a round to come': cat(chunks(1, file), endOfFile(2)),
      'sums that nobody asked for': frame('sums', 1, bodies.sums(0, 0, [1n])),
    };
    await ground.stands(t, async () => {
      await inTurns(Object.entries(wrong), async ([what, bytes]) => {
        const peer = await wanted(`wrong ${what}`);
        peer.write(bytes);
        await isRefused(t, peer, failures.protocol, what);
      });
      const peer = await wanted('another digest');
      peer.write(chunks(1, file), frame('end', 1, bodies.end(1, length, 1n)));
      t.is(bodies.readError(await peer.next('error', 1)).code, failures.integrity);
      t.false(existsSync(ground.served('another digest')));
    });
  },
);

test.serial('a stream goes on after its last chunk, or ends elsewhere', async (t) => {
  const short = bodies.chunk(1, 0, second);
  const wrong: Record<string, Buffer> = {
    'goes on': cat(short, bodies.chunk(1, 1, second)),
    'two ends': cat(bodies.chunk(1, 1, second), bodies.chunk(1, 2, second)),
    'ends early': cat(short, frame('end', 1, bodies.end(1, 1, 1n))),
    'ends late': cat(short, frame('end', 1, bodies.end(1, length, 1n))),
    'past 2^53': bodies.chunk(1, 2n ** 40n, first),
  };
  await ground.stands(t, () =>
    inTurns(Object.entries(wrong), async ([what, bytes]) => {
      const peer = await ground.peer();
      peer.write(frame('offer', 1, bodies.offer({ path: `stream ${what}`, rewindable: 0 })));
      await peer.next('want', 1);
      peer.write(bytes);
      await isRefused(t, peer, failures.protocol, what);
    }),
  );
});

test.serial('pages: chunks of the wrong place or size, too much content, too many', async (t) => {
  const entries = [
    { path: 'page-a', size: 5 },
    { path: 'page-b', size: 70_000 },
    { path: 'page-c', size: 0 },
    { path: 'page-d', kind: bodies.kinds.directory },
  ];
  const page = frame('offers', 1, bodies.offers('', entries, { eager: 1 }));
  const five = Buffer.alloc(5);
  const full = Array.from({ length: 33 }, (_, i) => ({ path: `full-${i}`, size: 65_536 }));
  const pages = Array.from({ length: 9 }, (_, i) =>
    frame('offers', i + 1, bodies.offers('', [{ path: `p-${i}`, size: 1 }])),
  );
  const wrong: Record<string, Buffer> = {
    'no such place': cat(page, bodies.chunk(1, 4, five)),
    'a place far away': cat(page, bodies.chunk(1, 2n ** 53n - 1n, five)),
    'a large file': cat(page, bodies.chunk(1, 1, five)),
    'an empty file': cat(page, bodies.chunk(1, 2, five)),
    'a folder': cat(page, bodies.chunk(1, 3, five)),
    'a byte more': cat(page, bodies.chunk(1, 0, Buffer.alloc(6))),
    'a byte less': cat(page, bodies.chunk(1, 0, Buffer.alloc(4))),
    'too much content': frame('offers', 1, bodies.offers('', full)),
    'nine pages': cat(...pages),
    '65 requests': cat(
      ...Array.from({ length: 65 }, (_, i) =>
        frame('offer', i + 1, bodies.offer({ path: `many-${i}`, size: 1 })),
      ),
    ),
  };
  await ground.stands(t, () =>
    inTurns(Object.entries(wrong), async ([what, bytes]) => {
      const peer = await ground.peer();
      peer.write(bytes);
      await isRefused(t, peer, failures.protocol, what);
    }),
  );
});

test.serial(
  'wants and comparisons past the end, too many holes, credit that was not due',
  async (t) => {
    const after = (name: FrameName, body: Buffer): Buffer => frame(name, 1, body);
    const ranges = Array.from({ length: 2048 }, (_, i): bodies.Range => [4 * i, 4 * i + 1]);
    const wrong: Record<string, Buffer> = {
      'a chunk past the end': after('want', bodies.want(1, [[32, 33]])),
      'a segment past the end': after('compare', bodies.compare(0, [[0, 2]])),
      'chunk checksums past the end': after('compare', bodies.compare(1, [[0, 33]])),
      'overlapping ranges': after(
        'want',
        bodies.want(1, [
          [0, 2],
          [1, 3],
        ]),
      ),
      'an empty range': after('want', bodies.want(1, [[1, 1]])),
      'a range backwards': after('want', bodies.want(1, [[2, 1]])),
      'too many ranges': after('want', bodies.want(1, [...ranges, [9000, 9001]])),
      'credit for nothing': frame('credit', 0, Buffer.from('ffff000000000000', 'hex')),
      'a comparison without end': cat(
        ...Array.from({ length: 33 }, () =>
          after(
            'compare',
            bodies.compare(
              0,
              Array.from({ length: 2048 }, () => [0, 1] as const).map(
                (_, i) => [i, i + 1] as const,
              ),
            ),
          ),
        ),
      ),
    };
    await ground.stands(t, () =>
      inTurns(Object.entries(wrong), async ([what, bytes]) => {
        const peer = await ground.peer();
        peer.write(frame('download', 1, bodies.download('warm')));
        await peer.next('offer', 1);
        peer.write(bytes);
        await isRefused(t, peer, failures.protocol, what);
      }),
    );
  },
);

test.serial('another session cannot join, whatever it names', async (t) => {
  await ground.stands(t, async () => {
    const peer = await wanted('held');
    const stranger = await ground.peer();
    const request = stranger.open('join', bodies.join(bodies.newId(), 1));
    t.is(bodies.readError(await stranger.next('error', request)).code, failures.unknownTransfer);
    await peer.leave('reset');
  });
});
