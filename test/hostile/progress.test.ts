/** THREATS, exhaustion: who has a token, and holds a request by what costs nothing. */
import { writeFile } from 'node:fs/promises';
import test from 'ava';
import type { LogRecord } from '../system/helpers/daemon.ts';
import { randomBytes } from '../system/helpers/files.ts';
import { until } from '../system/helpers/wait.ts';
import * as bodies from './helpers/bodies.ts';
import { failures, inTurns, isRefused } from './helpers/cases.ts';
import { fetchFile } from './helpers/dances.ts';
import { Ground } from './helpers/ground.ts';
import type { Peer } from './helpers/peer.ts';
import { frame } from './helpers/wire.ts';

const progressMs = 6_000;
const workingMs = 7_000;
const repeatMs = 250;

let ground: Ground;
test.before(async () => {
  const limits = [`progressMs=${progressMs}`, `workingMs=${workingMs}`];
  ground = await Ground.start({ args: limits.flatMap((limit) => ['--limit', limit]) });
  await writeFile(ground.served('file'), randomBytes('file', 3 * bodies.chunkBytes));
});
test.after.always(() => ground.end());

test.serial('a download that nobody reads ends, and costs others nothing', async (t) => {
  await ground.stands(
    t,
    async () => {
      await writeFile(ground.served('large'), Buffer.alloc(24 * 1024 * 1024));
      const peer = await ground.peer();
      peer.write(frame('download', 1, bodies.download('large')));
      await peer.next('offer', 1);
      peer.write(frame('want', 1, bodies.want(1, [[0, 384]])));
      await peer.next('chunk', 1);
      peer.socket.pause();
      const failedLine = (): LogRecord | undefined =>
        ground.daemon.logs.find(({ event, path }) => event === 'failed' && path === 'large');
      // It lives, and reads nothing.
      const alive = setInterval(() => peer.write(frame('ping', 0, Buffer.alloc(8))), 1_000);
      try {
        await until('the daemon gives up', () => failedLine() !== undefined);
      } finally {
        clearInterval(alive);
      }
      peer.socket.resume();
      t.is(failedLine()?.['failure'], 'timeout');
      t.regex(String(failedLine()?.['reason']), /\(progressMs\)/);
    },
    { touches: ['large'] },
  );
});

const size = 3 * bodies.chunkBytes;

async function uploading(path: string): Promise<Peer> {
  const peer = await ground.peer();
  peer.write(frame('offer', 1, bodies.offer({ path, size })));
  await peer.next('want', 1);
  return peer;
}

async function downloading(): Promise<Peer> {
  const peer = await ground.peer();
  peer.write(frame('download', 1, bodies.download('file')));
  await peer.next('offer', 1);
  return peer;
}

/** Says the same things over and over, until the request fails; gives the failure. */
async function saysOnAndOn(peer: Peer, ...bodiesOf: ((turn: number) => Buffer)[]): Promise<Failed> {
  let turn = 0;
  const timer = setInterval(() => {
    const body = bodiesOf[turn % bodiesOf.length];
    if (body !== undefined && !peer.isOver) peer.write(body(turn));
    turn += 1;
  }, repeatMs);
  // The pings of others do not end with the request.
  const began = performance.now();
  try {
    const { code, message } = bodies.readError(await peer.next('error', 1));
    return { code, message, tookMs: performance.now() - began };
  } finally {
    clearInterval(timer);
  }
}

interface Failed {
  readonly code: number;
  readonly message: string;
  readonly tookMs: number;
}

const say = (name: 'working' | 'have' | 'end', body: (turn: number) => Buffer) => (turn: number) =>
  frame(name, 1, body(turn));

/** What a peer says for ever: who says it, and how long it may. */
const claims: Readonly<
  Record<string, readonly [() => Promise<Peer>, RegExp, ...((turn: number) => Buffer)[]]>
> = {
  'nothing at all, but pings': [
    () => uploading('pings'),
    /\(progressMs\)/,
    () => frame('ping', 0, Buffer.alloc(8)),
  ],
  'the same work': [
    () => uploading('same'),
    /\(progressMs\)/,
    say('working', () => bodies.working(0, 1)),
  ],
  'two kinds of work in turn': [
    () => uploading('turns'),
    /\(workingMs\)/,
    say('working', () => bodies.working(0, 1)),
    say('working', () => bodies.working(1, 1)),
  ],
  'work that gets on': [
    () => uploading('on'),
    /\(workingMs\)/,
    say('working', (turn) => bodies.working(0, turn)),
  ],
  'ends of older rounds': [
    () => uploading('ends'),
    /\(workingMs\)/,
    say('end', () => bodies.end(0, size)),
  ],
  'work and what it holds, in turn': [
    downloading,
    /\(workingMs\)/,
    say('working', (turn) => bodies.working(0, turn)),
    say('have', (turn) => bodies.have(turn, turn)),
  ],
};

test.serial('a request that moves nothing ends, whatever its peer says of itself', async (t) => {
  await ground.stands(t, () =>
    inTurns(Object.entries(claims), async ([what, [begin, why, ...said]]) => {
      const peer = await begin();
      const { code, message, tookMs } = await saysOnAndOn(peer, ...said);
      t.is(code, failures.timeout, what);
      t.regex(message, why, what);
      t.log(`${what}: ${Math.round(tookMs)} ms`);
      t.true(await peer.isServed(), `${what}: the connection goes on`);
    }),
  );
});

test.serial('a frame that has begun, and trickles, ends the connection', async (t) => {
  await ground.stands(t, async () => {
    const peer = await uploading('trickled');
    const bytes = bodies.chunk(1, 0, Buffer.alloc(bodies.chunkBytes));
    let at = 0;
    const timer = setInterval(() => {
      peer.write(bytes.subarray(at, at + 1));
      at += 1;
    }, repeatMs);
    await isRefused(t, peer, failures.timeout, 'a byte now and then').finally(() =>
      clearInterval(timer),
    );
  });
});

test.serial(
  'the same is not served for ever: chunks, digests, checksums, files of a page',
  async (t) => {
    /** Asks as soon as it was answered, until the connection ends; gives how often it was served. */
    const asks = async (
      peer: Peer,
      answer: 'end' | 'sums',
      body: (round: number) => Buffer,
      most = 10_000,
    ): Promise<number> => {
      for (let round = 1; round < most; round += 1) {
        peer.write(body(round));
        try {
          await peer.next(answer, 1);
        } catch {
          return round;
        }
      }
      return most;
    };
    await ground.stands(t, async () => {
      const cases: Readonly<Record<string, readonly ['end' | 'sums', (round: number) => Buffer]>> =
        {
          'a chunk': ['end', (round) => frame('want', 1, bodies.want(round, [[0, 1]]))],
          'a digest': ['end', (round) => frame('want', 1, bodies.want(round, []))],
          checksums: ['sums', () => frame('compare', 1, bodies.compare(1, [[0, 3]]))],
        };
      for (const [what, [answer, body]] of Object.entries(cases)) {
        const peer = await downloading();
        const served = await asks(peer, answer, body);
        t.log(`${what}: ${served} times`);
        t.true(served < 100, what);
        await isRefused(t, peer, failures.protocol, what);
      }
      const page = await ground.peer();
      page.write(frame('fetch', 1, bodies.fetch('', ['neighbour'])));
      await page.next('offers', 1);
      page.write(frame('answers', 1, bodies.answers([0])));
      await page.next('end', 1);
      const served = await asks(page, 'end', (round) =>
        frame('want', 1, bodies.want(round, [[0, 1]])),
      );
      t.log(`a file of a page: ${served} times`);
      await isRefused(t, page, failures.protocol, 'a file of a page');
      // Who takes it once is served.
      const honest = await ground.peer();
      t.is((await fetchFile(honest, 'file')).length, size);
    });
  },
);
