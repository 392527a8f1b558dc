/** Each limit of a daemon that only peers without manners reach; limits.test.ts of test/system has the others. */
import { readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import test from 'ava';
import { limitNames } from '../../daemon/limits.ts';
import { root } from '../helpers/root.ts';
import { runFerry } from '../system/helpers/ferry.ts';
import { differences, randomBytes } from '../system/helpers/files.ts';
import { until } from '../system/helpers/wait.ts';
import { failures, isRefused, isSilent } from './helpers/cases.ts';
import { Ground } from './helpers/ground.ts';
import { hello, knownToken, type Peer } from './helpers/peer.ts';
import { tokenId } from './helpers/token.ts';
import { frame, preamble, u64 } from './helpers/wire.ts';

const greetingMs = 4_000;
const limits: Readonly<Record<string, number>> = {
  greetingMs,
  greetingBytes: 2_048,
  penaltyMs: 300,
  pendingConnections: 3,
  replyQueueBytes: 256 * 1024,
  transferBufferBytes: 0,
};

let ground: Ground;
test.before(async () => {
  const args = Object.entries(limits).flatMap(([name, value]) => ['--limit', `${name}=${value}`]);
  ground = await Ground.start({ args });
});
test.after.always(() => ground.end());

/** What the same takes by the defaults is far more than this. */
const farMs = 2 * greetingMs;

test.serial('greetingMs: who does not greet is gone by then, without a word', async (t) => {
  await ground.stands(t, async () => {
    const startedAtMs = performance.now();
    const silent = await ground.stranger();
    const half = await ground.stranger();
    half.write(preamble());
    await isSilent(t, silent, 'silence');
    await until('half a greeting ends', () => half.isOver);
    const tookMs = performance.now() - startedAtMs;
    t.true(tookMs > greetingMs - 100 && tookMs < farMs, `${tookMs} ms`);
  });
});

test.serial(
  'greetingBytes: the header of what is too long is enough, and told by name',
  async (t) => {
    await ground.stands(t, async () => {
      const peer = await ground.stranger();
      const extension = Buffer.alloc(1_000);
      peer.write(preamble(1, 1, extension), frame('hello', 0, Buffer.alloc(0), { length: 1_100 }));
      await isRefused(t, peer, failures.protocol, 'a long greeting');
      t.regex(peer.messages.join(), /\(greetingBytes\)/);
    });
  },
);

test.serial('penaltyMs: no answer waits longer', async (t) => {
  await ground.stands(t, async () => {
    for (let failed = 1; failed <= 6; failed += 1) {
      const peer = await ground.stranger('127.0.5.1');
      const id = tokenId(knownToken);
      peer.write(preamble(), frame('hello', 0, hello({ id, binding: 'none' })));
      await peer.next('proof');
      const startedAtMs = performance.now();
      peer.say('proof', 0, Buffer.alloc(32));
      await peer.ended;
      const tookMs = performance.now() - startedAtMs;
      // The sixth would wait 8 s.
      t.true(tookMs >= 200 && tookMs < 5_000, `${failed}: ${tookMs} ms`);
    }
  });
});

test.serial('pendingConnections: the oldest stranger gives way, clients are served', async (t) => {
  await ground.stands(t, async () => {
    const strangers = [await ground.stranger(), await ground.stranger(), await ground.stranger()];
    t.false(strangers.some(({ isOver }) => isOver));
    const client = await ground.peer();
    t.true(await client.isServed());
    await isSilent(t, strangers[0] as (typeof strangers)[0], 'the oldest');
  });
});

test.serial(
  'pendingConnections: a crowd from one address leaves a slow client alone',
  async (t) => {
    await ground.stands(t, async () => {
      const slow = await ground.stranger('127.0.5.2');
      const crowd: Peer[] = [];
      for (let i = 0; i < 10; i += 1) crowd.push(await ground.stranger('127.0.5.3'));
      await until('the crowd gives way', () => crowd.filter(({ isOver }) => isOver).length >= 8);
      await slow.greet();
      t.true(await slow.isServed());
    });
  },
);

test.serial('replyQueueBytes: who asks and never reads is closed', async (t) => {
  const pings = Buffer.concat(Array.from({ length: 1_000 }, () => frame('ping', 0, u64(1))));
  await ground.stands(t, async () => {
    const peer = await ground.peer();
    peer.socket.pause();
    while (!peer.isOver) {
      if (peer.socket.write(pings)) await new Promise((resolve) => setImmediate(resolve));
      else {
        await new Promise<void>((resolve) => {
          peer.socket.once('drain', resolve);
          peer.socket.once('close', resolve);
        });
      }
    }
    await until('it is told in the log', () =>
      ground.daemon.logs.some((line) => String(line['reason']).includes('(replyQueueBytes)')),
    );
  });
});

test.serial('transferBufferBytes: without any, transfers go on with their least', async (t) => {
  const local = ground.folder.at('local');
  await writeFile(local, randomBytes('local', 3_000_000));
  await ground.stands(
    t,
    async () => {
      for (const args of [
        ['upload', local, ground.daemon.url('up')],
        ['download', ground.daemon.url('up'), ground.folder.at('down')],
      ]) {
        const { code, stderr } = await runFerry(args);
        t.is(code, 0, stderr);
      }
      t.deepEqual(await differences(local, ground.folder.at('down')), []);
    },
    { touches: ['up'] },
  );
});

test('each limit has a test through a real daemon', async (t) => {
  const files = [
    'system/limits',
    'system/bench',
    'hostile/limits',
    'hostile/progress',
    'hostile/exhaustion',
  ];
  const texts = await Promise.all(
    files.map((file) => readFile(path.join(root, 'test', `${file}.test.ts`), 'utf8')),
  );
  const named = new Set(texts.join('\n').match(/\w+(?=['=:,])/g));
  t.deepEqual(
    limitNames.filter((name) => !named.has(name)),
    [],
  );
});
