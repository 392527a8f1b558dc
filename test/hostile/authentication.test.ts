/** THREATS, authentication: who has no token, and who has heard one being proved. */
import test from 'ava';
import { newId, stat } from './helpers/bodies.ts';
import { failures, inTurns, isRefused } from './helpers/cases.ts';
import { Ground } from './helpers/ground.ts';
import { hello, knownToken, type Peer } from './helpers/peer.ts';
import { proof, tokenId } from './helpers/token.ts';
import { cat, type FrameName, frame, preamble, u64 } from './helpers/wire.ts';

let ground: Ground;
test.before(async () => {
  ground = await Ground.start();
});
test.after.always(() => ground.end());

const otherToken = Buffer.alloc(32, 9);

/** Says preamble and hello, and waits until it is the client's turn to prove. */
async function greeted(id: Uint8Array | undefined, binding = 'none', from?: string): Promise<Peer> {
  const peer = await ground.stranger(from);
  peer.write(preamble(), frame('hello', 0, hello({ id, binding })));
  await peer.next('proof');
  return peer;
}

const right = tokenId(knownToken);

test.serial('whatever is wrong with a proof, the answer is the same', async (t) => {
  const messages: string[] = [];
  const cases: readonly (readonly [
    string,
    Uint8Array | undefined,
    string,
    FrameName,
    Uint8Array,
  ])[] = [
    ['no token', undefined, 'none', 'proof', Buffer.alloc(32)],
    ['an unknown token', tokenId(otherToken), 'none', 'proof', Buffer.alloc(32)],
    ['a wrong proof', right, 'none', 'proof', Buffer.alloc(32, 1)],
    ['another binding', right, 'exporter', 'proof', Buffer.alloc(32)],
    ['a request in its place', right, 'none', 'stat', stat('warm')],
    ['a ping in its place', right, 'none', 'ping', u64(1)],
    ['a second hello', right, 'none', 'hello', hello()],
  ];
  await ground.stands(t, () =>
    inTurns([...cases.entries()], async ([i, [what, id, binding, name, body]]) => {
      // An address of its own for each: answers to one that failed before wait longer.
      const peer = await greeted(id, binding, `127.0.1.${i + 1}`);
      peer.say(name, name === 'stat' ? 1 : 0, body);
      await isRefused(t, peer, failures.authentication, what);
      messages.push(...peer.messages);
    }),
  );
  t.is(messages.length, cases.length);
  t.is(new Set(messages).size, 1);
});

test.serial(
  'proofs of another length are no frames, for known and unknown tokens alike',
  async (t) => {
    await ground.stands(t, () =>
      inTurns([0, 31, 33, 4096], async (length) => {
        const told: string[] = [];
        for (const id of [right, tokenId(otherToken)]) {
          const peer = await greeted(id);
          peer.say('proof', 0, Buffer.alloc(length));
          await isRefused(t, peer, failures.protocol, `${length} bytes`);
          told.push(...peer.messages);
        }
        t.is(new Set(told).size, 1);
      }),
    );
  },
);

test.serial(
  'replay, reflection and a proof for a changed greeting are worth nothing',
  async (t) => {
    await ground.stands(t, async () => {
      const heard = await ground.peer();
      const transcript = {
        binding: 'none',
        exporter: Buffer.alloc(0),
        client: Buffer.alloc(0),
        daemon: Buffer.alloc(0),
        ...heard.transcript,
      };
      const recorded = proof(knownToken, 'client', transcript);
      const said = transcript.client;
      // Everything that the client said before, byte by byte.
      const replay = await ground.stranger('127.0.2.1');
      replay.write(said.subarray(0, 16), frame('hello', 0, said.subarray(16)));
      await replay.next('proof');
      replay.say('proof', 0, recorded);
      await isRefused(t, replay, failures.authentication, 'replay');
      const reflection = await ground.stranger('127.0.2.2');
      reflection.write(preamble(), frame('hello', 0, hello({ id: right, binding: 'none' })));
      reflection.say('proof', 0, (await reflection.next('proof')).payload);
      await isRefused(t, reflection, failures.authentication, 'reflection');
      const changed = await ground.stranger('127.0.2.3');
      await changed.greet({ exporter: Buffer.alloc(32) });
      await isRefused(t, changed, failures.authentication, 'another exporter');
      const daemon = await ground.stranger('127.0.2.4');
      const body = hello({ id: right, binding: 'none' });
      daemon.write(preamble(), frame('hello', 0, body));
      const theirs = await daemon.next('hello');
      const mine = {
        ...transcript,
        client: cat(preamble(), body),
        daemon: cat(preamble(), theirs.payload),
      };
      daemon.say('proof', 0, proof(knownToken, 'daemon', mine));
      await isRefused(t, daemon, failures.authentication, 'a proof in the role of the daemon');
    });
  },
);

test.serial('requests before the proof are not served, whatever follows', async (t) => {
  await ground.stands(t, async () => {
    const peer = await ground.stranger('127.0.3.1');
    const greeting = cat(preamble(), frame('hello', 0, hello({ id: right, binding: 'none' })));
    peer.write(greeting, frame('remove', 1, cat(newId(), stat('warm'), Buffer.of(0))));
    await isRefused(t, peer, failures.authentication, 'a request at once');
    t.is(peer.unread.filter(({ request }) => request !== 0).length, 0);
  });
});

test.serial(
  'before the proof nobody may say much: the header of what is too long is enough',
  async (t) => {
    const header = frame('hello', 0, Buffer.alloc(0), { length: 9000 });
    const long = frame('proof', 0, Buffer.alloc(0), { length: 60_000 });
    await ground.stands(t, async () => {
      const first = await ground.stranger();
      first.write(preamble(), header);
      await isRefused(t, first, failures.protocol, 'a long hello');
      const second = await greeted(right);
      second.write(long);
      await isRefused(t, second, failures.protocol, 'a long proof');
      const extended = await ground.stranger();
      extended.write(preamble(1, 1, Buffer.alloc(1024)), header.subarray(0, 32));
      await isRefused(t, extended, failures.protocol, 'behind an extension');
    });
  },
);

async function failureMs(from: string): Promise<number> {
  const peer = await greeted(right, 'none', from);
  const startedAtMs = performance.now();
  peer.say('proof', 0, Buffer.alloc(32));
  await peer.ended;
  return performance.now() - startedAtMs;
}

test.serial(
  'each failure of an address waits longer; nobody else waits; a valid proof clears',
  async (t) => {
    await ground.stands(t, async () => {
      const from = '127.0.4.1';
      const waits: number[] = [];
      for (let i = 0; i < 4; i += 1) waits.push(await failureMs(from));
      t.log(waits.map(Math.round).join(' ms, '));
      for (const [i, least] of [200, 450, 900, 1900].entries())
        t.true((waits[i] as number) >= least);
      let isTold = false;
      const failing = failureMs(from).then(() => (isTold = true));
      const other = await (await ground.stranger('127.0.4.2')).greet();
      t.true(await other.isServed());
      const same = await (await ground.stranger(from)).greet();
      t.true(await same.isServed());
      t.false(isTold, 'the answer to the guesser still waits');
      await failing;
      t.true((await failureMs(from)) < (waits[3] as number), 'what it had is forgotten');
    });
  },
);
