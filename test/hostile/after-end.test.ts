/**
 * THREATS, network: who goes on talking when the connection is over. Nothing of it is heard, and it
 * costs nothing: neither memory nor the time of others.
 */
import net from 'node:net';
import test, { type ExecutionContext } from 'ava';
import { stat } from './helpers/bodies.ts';
import { inTurns } from './helpers/cases.ts';
import { Ground } from './helpers/ground.ts';
import { hello, Peer } from './helpers/peer.ts';
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

/** What ends TLS itself: nobody can decrypt it, or what comes behind it. */
const broken: Readonly<Record<string, Uint8Array>> = {
  'a record of another key': cat(Buffer.of(23, 3, 3, 0, 64), Buffer.alloc(64, 1)),
  'a record that is too long': cat(Buffer.of(23, 3, 3, 255, 255), Buffer.alloc(1000)),
  'an alert in the clear': Buffer.of(21, 3, 3, 0, 2, 2, 40),
  'no record': Buffer.from('GET / HTTP/1.1\r\n\r\n'),
};
/** A stranger who only stays silent has ten seconds. */
const soonMs = 5_000;

/** Passes on what one peer and the daemon say until `breakOff`: the peer's TLS would hang up by itself. */
async function relayTo(port: number): Promise<Relay> {
  const daemon = net.connect({ host: '127.0.0.1', port, noDelay: true });
  daemon.on('error', () => undefined);
  const closed = new Promise<void>((resolve) => void daemon.once('close', () => resolve()));
  let peer: net.Socket | undefined;
  const server = net.createServer((socket) => {
    server.close();
    peer = socket.on('error', () => undefined);
    socket.pipe(daemon).pipe(socket);
  });
  await new Promise<void>((resolve) => void server.listen(0, '127.0.0.1', resolve));
  const breakOff = async (bytes: Uint8Array): Promise<void> => {
    peer?.unpipe(daemon);
    daemon.unpipe(peer).resume();
    daemon.write(bytes);
    await closed;
    peer?.destroy();
  };
  return { port: (server.address() as net.AddressInfo).port, breakOff };
}

interface Relay {
  readonly port: number;
  /** Says this to the daemon instead; settles when that has hung up. */
  breakOff(bytes: Uint8Array): Promise<void>;
}

test('what TLS cannot read ends the connection at once, and is not kept', async (t) => {
  const ground = await Ground.start();
  try {
    const cases = Object.entries(broken).flatMap(([what, bytes]) => [
      { what: `${what}, of a stranger`, bytes, greets: false },
      { what: `${what}, of a friend`, bytes, greets: true },
    ]);
    const attack = (): Promise<void> =>
      inTurns(cases, async ({ what, bytes, greets }) => {
        const relay = await relayTo(ground.daemon.port);
        const peer = await Peer.dialSecure(relay.port);
        if (greets) await peer.greet();
        const startedAtMs = performance.now();
        await relay.breakOff(cat(bytes, Buffer.alloc(8 * MiB)));
        t.true(performance.now() - startedAtMs < soonMs, what);
        await peer.ended;
      });
    await ground.stands(t, attack, { connections: cases.length });
  } finally {
    await ground.end();
  }
});
