/**
 * THREATS, network: who goes on talking when the connection is over. Nothing of it is heard, and it
 * costs nothing: neither memory nor the time of others.
 */
import test, { type ExecutionContext } from 'ava';
import { stat } from './helpers/bodies.ts';
import { inTurns } from './helpers/cases.ts';
import { Ground } from './helpers/ground.ts';
import { hello, type Peer } from './helpers/peer.ts';
import { cat, frame, preamble } from './helpers/wire.ts';

const MiB = 1024 * 1024;
const rounds = 4;

/** What ends a connection, by who says it. */
const strangers: Readonly<Record<string, Uint8Array>> = {
  'no preamble': Buffer.from('GET / HTTP/1.1'),
  'no frame': cat(preamble(), Buffer.alloc(32)),
  'a long hello': cat(preamble(), frame('hello', 0, Buffer.alloc(0), { length: 9000 })),
  'a request at once': cat(preamble(), frame('hello', 0, hello()), frame('stat', 1, stat('warm'))),
};
const friends: Readonly<Record<string, Uint8Array>> = {
  'no frame': Buffer.alloc(32),
  'a chunk that nobody wants': frame('chunk', 7, Buffer.alloc(4096)),
  'an error': frame('error', 0, Buffer.alloc(0)),
};

/** All in one write, so that most of it is there when the connection ends, or as it is read. */
const endings = [10, 64 * 1024, MiB, 8 * MiB];

async function goesOn(peer: Peer, ending: Uint8Array, bytes: number): Promise<void> {
  peer.write(ending, Buffer.alloc(bytes, bytes % 251));
  await peer.ended;
}

function endsWell(t: ExecutionContext, ground: Ground): Promise<void> {
  const cases = endings.flatMap((bytes) => [
    ...Object.values(strangers).map((ending) => ({ ending, bytes, greets: false })),
    ...Object.values(friends).map((ending) => ({ ending, bytes, greets: true })),
  ]);
  return ground.stands(t, () =>
    inTurns(
      Array.from({ length: rounds }, () => cases).flat(),
      async ({ ending, bytes, greets }) => {
        const peer = await ground.stranger();
        if (greets) await peer.greet();
        await goesOn(peer, ending, bytes);
      },
    ),
  );
}

for (const plain of [true, false]) {
  test(`${plain ? 'in plain TCP' : 'under TLS'} a peer that goes on after its end is not heard`, async (t) => {
    const ground = await Ground.start({ plain });
    try {
      await endsWell(t, ground);
    } finally {
      await ground.end();
    }
  });
}
