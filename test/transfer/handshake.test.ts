/** Proof of a token, played by real connections and by peers that cheat. */
import { randomBytes } from 'node:crypto';
import test from 'ava';
import { ProtocolError } from '../../protocol/errors.ts';
import { type ControlFrame, encodeFrame } from '../../protocol/frames.ts';
import { encodeHeader, headerBytes } from '../../protocol/header.ts';
import { encodePreamble, versions } from '../../protocol/preamble.ts';
import { type Binding, credentialOf, proofOf } from '../../transfer/authentication.ts';
import { newHello } from '../../transfer/greeting.ts';
import type { Channel, Prover, Verifier } from '../../transfer/handshake.ts';
import { transferLimits } from '../../transfer/limits.ts';
import {
  join,
  newSession,
  RawPeer,
  rawClient,
  rawDaemon,
  TestDaemon,
  testGrant,
  testToken,
} from './helpers/ends.ts';
import { answerOf } from './helpers/files.ts';
import { failureOf, until } from './helpers/outcome.ts';

const channel: Channel = { binding: 'exporter', exporter: randomBytes(32) };
const otherChannel: Channel = { binding: 'exporter', exporter: randomBytes(32) };
const unbound: Channel = { binding: 'none', exporter: new Uint8Array() };

const proverOn = (way: Channel, token = testToken): Prover => ({
  ...way,
  credential: credentialOf(token),
});

interface Counted extends Verifier {
  admitted: number;
  refused: number;
}

/** Knows the one token of the tests. */
function verifierOn(way: Channel, delayMs = 0): Counted {
  const counted: Counted = {
    ...way,
    admitted: 0,
    refused: 0,
    keyOf: (id) => (Buffer.compare(id, testGrant.id) === 0 ? testGrant.key : undefined),
    admit: () => {
      counted.admitted += 1;
    },
    refuse: () => {
      counted.refused += 1;
      return delayMs;
    },
  };
  return counted;
}

const preamble = encodePreamble(versions);
const payloadOf = (frame: ControlFrame): Uint8Array => encodeFrame(frame).subarray(headerBytes);

for (const [name, way] of [
  ['a TLS channel', channel],
  ['plain TCP', unbound],
] as const) {
  test(`both sides prove the same token over ${name}, and requests follow`, async (t) => {
    const verifier = verifierOn(way);
    const { client } = join(new TestDaemon(), {
      clientOptions: { prover: proverOn(way) },
      daemonOptions: { verifier },
    });
    await client.ready;
    const request = client.open({ type: 'stat', request: 0, path: '' });
    t.is((await answerOf(request, 'entry')).entry.kind, 'directory');
    t.deepEqual([verifier.admitted, verifier.refused], [1, 0]);
  });
}

test('no request leaves before the daemon has proved itself', (t) => {
  const { connection } = rawDaemon({ clientOptions: { prover: proverOn(channel) } });
  t.throws(() => connection.open({ type: 'stat', request: 0, path: '' }));
});

test('with a token that the daemon does not know, the client finds out and proves nothing', async (t) => {
  const verifier = verifierOn(channel);
  const { client, link } = join(new TestDaemon(), {
    clientOptions: { prover: proverOn(channel, new Uint8Array(32).fill(1)) },
    daemonOptions: { verifier },
  });
  t.is(await failureOf(client.ready), 'authentication');
  await until(() => verifier.refused === 1, 'the refusal');
  t.is(verifier.admitted, 0);
  t.false(saidProof(Buffer.concat(link.toDaemon.packets)));
});

/** Whether the client's bytes hold a proof: its third piece, behind preamble and hello. */
function saidProof(bytes: Buffer): boolean {
  const hello = bytes.subarray(preamble.length);
  const helloEnd = preamble.length + headerBytes + hello.readUInt32LE(4);
  return bytes.length > helloEnd && bytes[helloEnd] === 0x02;
}

test('a man in the middle of two TLS channels is found out before the client proves anything', async (t) => {
  // He relays every byte: both ends see the same greeting, but their channels differ.
  const { client, link } = join(new TestDaemon(), {
    clientOptions: { prover: proverOn(channel) },
    daemonOptions: { verifier: verifierOn(otherChannel) },
  });
  t.is(await failureOf(client.ready), 'authentication');
  t.false(saidProof(Buffer.concat(link.toDaemon.packets)));
});

for (const [mine, theirs] of [
  [channel, unbound],
  [unbound, channel],
] as const) {
  test(`downgrade: a client bound to ${mine.binding} refuses a daemon bound to ${theirs.binding}`, async (t) => {
    const { client, link } = join(new TestDaemon(), {
      clientOptions: { prover: proverOn(mine) },
      daemonOptions: { verifier: verifierOn(theirs) },
    });
    t.is(await failureOf(client.ready), 'authentication');
    t.false(saidProof(Buffer.concat(link.toDaemon.packets)));
  });
}

test('downgrade: a client with a token refuses a daemon that proves nothing', async (t) => {
  const { client } = join(new TestDaemon(), { clientOptions: { prover: proverOn(channel) } });
  t.is(await failureOf(client.ready), 'authentication');
});

test('a client without a token is told to pair', async (t) => {
  const { client } = join(new TestDaemon(), { daemonOptions: { verifier: verifierOn(channel) } });
  const error = await t.throwsAsync(client.ready, { instanceOf: Error });
  t.regex(error.message, /ferry pair/);
});

/** A client at a daemon that knows one token, with the daemon's greeting heard. */
async function greeted(
  verifier: Verifier,
  { id = testGrant.id, binding = 'exporter' }: { id?: Uint8Array; binding?: Binding | '' } = {},
): Promise<{ peer: RawPeer; client: Uint8Array; daemon: Uint8Array; proof: Uint8Array }> {
  const { peer } = rawClient(new TestDaemon(), { daemonOptions: { verifier } });
  const told = { ...newHello(newSession()), tokenId: id, binding: binding || undefined };
  const hello = { type: 'hello', request: 0, ...told } as const;
  peer.say(preamble, hello);
  const client = Buffer.concat([preamble, payloadOf(hello)]);
  const daemon = Buffer.concat([preamble, payloadOf(await peer.next('hello'))]);
  return { peer, client, daemon, proof: (await peer.next('proof')).mac };
}

async function refusal(peer: RawPeer): Promise<string> {
  const { failure, message } = await peer.next('error');
  await peer.ended;
  return `${failure}: ${message}`;
}

const refused = 'authentication: The token is wrong, or not known here.';

test('reflection: the daemon does not take its own proof for a client’s', async (t) => {
  const verifier = verifierOn(channel);
  const { peer, proof } = await greeted(verifier);
  peer.say({ type: 'proof', request: 0, mac: proof });
  t.is(await refusal(peer), refused);
  t.deepEqual([verifier.admitted, verifier.refused], [0, 1]);
});

test('replay: a proof of another connection is worth nothing', async (t) => {
  const first = await greeted(verifierOn(channel));
  const mac = proofOf(testGrant.key, 'client', { ...channel, ...first });
  first.peer.say({ type: 'proof', request: 0, mac });
  first.peer.say({ type: 'ping', request: 0, token: 1n });
  await first.peer.next('pong');
  const second = await greeted(verifierOn(channel));
  second.peer.say({ type: 'proof', request: 0, mac });
  t.is(await refusal(second.peer), refused);
});

test('no token, an unknown one, a wrong proof, no proof, another binding: the same answer, of the same length', async (t) => {
  const lengths = new Set<number>();
  const cheats: [string, Parameters<typeof greeted>[1], ControlFrame | undefined][] = [
    ['a wrong proof', {}, { type: 'proof', request: 0, mac: randomBytes(32) }],
    ['an unknown id', { id: randomBytes(8) }, { type: 'proof', request: 0, mac: randomBytes(32) }],
    ['no proof', {}, { type: 'stat', request: 1, path: '' }],
    ['nothing but a ping', {}, { type: 'ping', request: 0, token: 1n }],
    ['no binding', { binding: '' }, undefined],
    ['another binding', { binding: 'none' }, undefined],
  ];
  for (const [name, greeting, frame] of cheats) {
    const { peer, client, daemon } = await greeted(verifierOn(channel), greeting);
    const mac = proofOf(testGrant.key, 'client', { ...channel, client, daemon });
    peer.say(frame ?? { type: 'proof', request: 0, mac });
    t.is(await refusal(peer), refused, name);
    lengths.add(peer.bytes.length);
  }
  t.is(lengths.size, 1);
});

test('every byte of both greetings counts: a hello that was changed on its way fails', async (t) => {
  const { peer, client, daemon } = await greeted(verifierOn(channel));
  const changed = Buffer.from(client);
  changed[9] = (changed[9] as number) ^ 1; // The versions that the client speaks.
  const mac = proofOf(testGrant.key, 'client', { ...channel, client: changed, daemon });
  peer.say({ type: 'proof', request: 0, mac });
  t.is(await refusal(peer), refused);
});

test('the answer to a failure waits, and what is said meanwhile counts for nothing', async (t) => {
  const { peer } = await greeted(verifierOn(channel, 150));
  const startedAtMs = performance.now();
  peer.say({ type: 'proof', request: 0, mac: randomBytes(32) });
  peer.say({ type: 'remove', request: 1, operation: randomBytes(16), path: 'x', recursive: true });
  peer.say(randomBytes(100_000));
  t.is(await refusal(peer), refused);
  t.true(performance.now() - startedAtMs > 140);
});

test('who has proved a token is still not let in where admission fails', async (t) => {
  const full = new ProtocolError('connections', 'Too many.');
  const verifier = {
    ...verifierOn(channel),
    admit: () => {
      throw full;
    },
  };
  const { client } = join(new TestDaemon(), {
    clientOptions: { prover: proverOn(channel) },
    daemonOptions: { verifier },
  });
  await client.ready;
  t.is((await client.closed)?.failure, 'connections');
});

test('before the proof little may be said: what would be longer is refused before it comes', async (t) => {
  const header = new Uint8Array(headerBytes);
  const length = transferLimits.greetingBytes;
  const hello = { type: 0x01, flags: 0, length, request: 0, index: 0, checksum: 0n };
  encodeHeader(hello, new DataView(header.buffer), 0);
  const { peer, connection } = rawClient(new TestDaemon(), {
    daemonOptions: { verifier: verifierOn(channel) },
  });
  peer.say(preamble, header);
  t.regex((await connection.closed)?.message ?? '', /too long/);
  const later = await greeted(verifierOn(channel));
  later.peer.say(header);
  t.regex(await refusal(later.peer), /too long/);
});
