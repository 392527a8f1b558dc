/** THREATS, framing and state: bytes that are no frames, and frames that no rule allows. */
import test from 'ava';
import { randomOf, seed } from '../system/helpers/seed.ts';
import * as bodies from './helpers/bodies.ts';
import { areRefused, failures, inTurns, isRefused, isSilent } from './helpers/cases.ts';
import { upload } from './helpers/dances.ts';
import { Ground } from './helpers/ground.ts';
import { hello } from './helpers/peer.ts';
import {
  cat,
  codes,
  type FrameName,
  frame,
  nameOf,
  preamble,
  text,
  u8,
  u64,
} from './helpers/wire.ts';

let ground: Ground;
test.before(async () => {
  ground = await Ground.start({ plain: true });
});
test.after.always(() => ground.end());

const controlBytes = 65_536;
const names = Object.keys(codes) as FrameName[];
const controls = names.filter((name) => name !== 'chunk');
const ofConnection: ReadonlySet<string> = new Set([
  'hello',
  'proof',
  'ping',
  'pong',
  'goodbye',
  'credit',
] satisfies FrameName[]);
const requestOf = (name: string): number => (ofConnection.has(name) ? 0 : 1);

const clientHello = Buffer.from(`16030100c8010000c40303${'5a'.repeat(196)}`, 'hex');
const http = 'GET / HTTP/1.1\r\nHost: localhost\r\n\r\n';

test.serial(
  'random bytes, a TLS hello on the plain port, an HTTP GET: closed in silence',
  async (t) => {
    t.log(`seed ${seed}`);
    const random = randomOf('framing');
    const garbage = Array.from({ length: 40 }, () =>
      Buffer.from(Array.from({ length: 1 + Math.floor(random() * 300) }, () => random() * 256)),
    );
    // What begins like a preamble by chance would be waited for.
    const strangers = garbage.filter((bytes) => bytes[0] !== 0x89);
    const wrong = [
      preamble(2, 1),
      cat(preamble(1, 1).subarray(0, 12), Buffer.from('01040000', 'hex')),
      cat(preamble(1, 1).subarray(0, 12), Buffer.from('ffffffff', 'hex')),
      cat(preamble(1, 1).subarray(0, 7), Buffer.from([0x0d]), preamble().subarray(8)),
    ];
    await ground.stands(t, () =>
      inTurns([...strangers, ...wrong, clientHello, Buffer.from(http)], async (bytes) => {
        const peer = await ground.stranger();
        peer.write(bytes);
        await isSilent(t, peer, bytes.toString('hex'));
      }),
    );
  },
);

test.serial(
  'an unknown version is answered with the supported range, and never downgraded',
  async (t) => {
    await ground.stands(t, async () => {
      for (const [lowest, highest] of [
        [2, 2],
        [2, 65_535],
        [0, 0],
      ] as const) {
        const peer = await ground.stranger();
        peer.write(preamble(lowest, highest), frame('hello', 0, hello()));
        await isRefused(t, peer, failures.version, `${lowest} to ${highest}`);
        t.regex(peer.messages.join(), /\b1\b/);
      }
      const later = await ground.peer({ preamble: preamble(0, 65_535, Buffer.alloc(1024, 1)) });
      t.true(await later.isServed(), 'a later version that speaks ours, with an extension');
    });
  },
);

test.serial('unknown features and limits are ignored, impossible ones refused', async (t) => {
  await ground.stands(t, async () => {
    const features = Array.from({ length: 64 }, (_, i) => `feature-${i}`);
    const curious = await ground.peer({ features, limits: { somethingNew: 7, requests: 3 } });
    t.true(await curious.isServed());
    const impossible = [
      { chunkBytesMin: 65_537 },
      { chunkBytesMax: 65_535 },
      { requests: 0 },
      { pages: 0 },
      { chunkBytesMin: 2n ** 53n },
      Object.fromEntries(Array.from({ length: 33 }, (_, i) => [`limit-${i}`, 1])),
    ];
    await inTurns(impossible, async (limits) => {
      const peer = await ground.stranger();
      await peer.greet({ limits }).catch(() => undefined);
      await isRefused(t, peer, failures.protocol, Object.keys(limits).join());
    });
    const tooMany = await ground.stranger();
    tooMany.write(preamble(), frame('hello', 0, hello({ features: [...features, 'one more'] })));
    await isRefused(t, tooMany, failures.protocol, '65 features');
  });
});

test.serial('lengths beyond a limit are refused by the header alone', async (t) => {
  const tooLong = Object.fromEntries(
    names.flatMap((name) => {
      const most = name === 'chunk' ? 4_194_304 : controlBytes;
      return [most + 1, 0xffff_ffff].map((length) => {
        const header = frame(name, requestOf(name), Buffer.alloc(0), { length });
        return [`${name} of ${length} bytes`, header];
      });
    }),
  );
  await ground.stands(t, () => areRefused(t, ground, failures.protocol, tooLong));
});

/** Payloads of so few zeros that are whole: what they say may be asked. */
const zerosAreWhole: ReadonlySet<string> = new Set(['goodbye 0', 'cancel 0', 'cancelled 0']);

test.serial('lengths up to the limit are taken for what they hold', async (t) => {
  const cases = controls.flatMap((name) =>
    [0, 1, controlBytes - 1, controlBytes]
      .filter((length) => !zerosAreWhole.has(`${name} ${length}`))
      .map((length) => [
        `${name} of ${length} zeros`,
        frame(name, requestOf(name), Buffer.alloc(length)),
      ]),
  );
  await ground.stands(t, async () => {
    await areRefused(
      t,
      ground,
      failures.protocol,
      Object.fromEntries(cases) as Record<string, Buffer>,
    );
    const long = await ground.peer();
    const request = long.open('stat', text(Buffer.alloc(4096, 'a')));
    await long.next('error', request);
    t.true(await long.isServed(), 'a path of the greatest length is an error of its request');
  });
});

test.serial('a chunk of the greatest size is stored, one of no bytes refused', async (t) => {
  const size = 4_194_304;
  const content = Buffer.alloc(size, 7);
  await ground.stands(
    t,
    async () => {
      const peer = await ground.peer();
      const offered = bodies.offer({ path: 'greatest', size, chunkBytes: size });
      const request = peer.open('offer', offered);
      await peer.next('want', request);
      const end = bodies.end(1, size, bodies.digest(content, size));
      peer.write(bodies.chunk(request, 0, content), frame('end', request, end));
      await peer.next('complete', request);
      const empty = await ground.peer();
      const opened = empty.open('offer', bodies.offer({ path: 'none', size: 5 }));
      await empty.next('want', opened);
      empty.write(bodies.chunk(opened, 0, Buffer.alloc(0)));
      await isRefused(t, empty, failures.protocol, 'an empty chunk');
    },
    { touches: ['greatest'] },
  );
});

test.serial('damaged headers and payloads, reserved bits, unknown types', async (t) => {
  const stat = text('neighbour');
  const wrong: Record<string, Buffer> = {};
  for (const flags of [1, 2, 4, 0x80, 0xff])
    wrong[`flags ${flags}`] = frame('stat', 1, stat, { flags });
  wrong['reserved'] = frame('stat', 1, stat, { reserved: 1 });
  wrong['an index in a control frame'] = frame('stat', 1, stat, { index: 1 });
  wrong['a request without an id'] = frame('stat', 0, stat);
  wrong['a ping with a request'] = frame('ping', 1, u64(1));
  for (let code = 0; code < 256; code += 1) {
    if (nameOf(code) === undefined) wrong[`type ${code}`] = frame(code, 1);
  }
  await ground.stands(t, async () => {
    await areRefused(t, ground, failures.protocol, wrong);
    await areRefused(t, ground, failures.corrupt, {
      'a wrong header check': frame('stat', 1, stat, { check: 1 }),
      'a wrong checksum of a control payload': frame('stat', 1, stat, { sum: 1n }),
      'a wrong check and everything else': frame(0xff, 7, stat, { check: 1, length: 0xffff_ffff }),
    });
  });
});

const huge = { '2^53': 2n ** 53n, '2^63': 2n ** 63n, '2^64 - 1': 2n ** 64n - 1n };

test.serial('sizes and indexes from 2^53 on are refused, wherever they stand', async (t) => {
  const cases: Record<string, Buffer> = {};
  for (const [name, value] of Object.entries(huge)) {
    const say = (what: string, bytes: Buffer): void => void (cases[`${what} ${name}`] = bytes);
    const policy = bodies.policy({ modifyWindowNs: value });
    say('offer.size', frame('offer', 1, bodies.offer({ path: 'huge', size: value })));
    say('offer.policy', frame('offer', 1, bodies.offer({ path: 'huge', size: 1, policy })));
    say('offers.entry', frame('offers', 1, bodies.offers('', [{ path: 'huge', size: value }])));
    say('offers.policy', frame('offers', 1, bodies.offers('', [], { pagePolicy: policy })));
    say('checksums.first', frame('checksums', 1, bodies.checksums('warm', 0, value)));
    say('checksums.count', frame('checksums', 1, bodies.checksums('warm', 0, 0, value)));
    say('credit', frame('credit', 0, u64(value)));
    const download = frame('download', 1, bodies.download('warm'));
    const after = (what: string, body: Buffer): void =>
      say(what, cat(download, frame(what.split('.')[0] as FrameName, 1, body)));
    after('want.start', bodies.want(1, [[value, value]]));
    after('want.end', bodies.want(1, [[0, value]]));
    after('compare.end', bodies.compare(0, [[0, value]]));
    after('have.received', cat(u64(value), u64(0)));
    after('have.durable', cat(u64(0), u64(value)));
    after('working.done', cat(u8(4), u64(value), u64(0)));
    const offer = frame('offer', 1, bodies.offer({ path: 'huge', size: 1 }));
    say('chunk.index', cat(offer, bodies.chunk(1, value, Buffer.of(1))));
    say('end.size', cat(offer, frame('end', 1, bodies.end(0, value))));
    say('sums.first', cat(offer, frame('sums', 1, bodies.sums(0, value, [1n]))));
  }
  await ground.stands(t, () => areRefused(t, ground, failures.protocol, cases));
});

test.serial('the greatest size is offered like any other, and reserves nothing', async (t) => {
  await ground.stands(t, async () => {
    const peer = await ground.peer();
    const request = peer.open(
      'offer',
      bodies.offer({ path: 'greatest-size', size: 2n ** 53n - 1n }),
    );
    await peer.next(['want', 'error'], request);
    t.true(await peer.isServed());
  });
});

test.serial('files of sizes around a chunk go up by this codec, too', async (t) => {
  const sizes = [0, 1, 65_535, 65_536, 65_537];
  await ground.stands(
    t,
    async () => {
      const peer = await ground.peer();
      for (const size of sizes) await upload(peer, `size-${size}`, Buffer.alloc(size, size));
    },
    { touches: sizes.map((size) => `size-${size}`) },
  );
});
