/** THREATS, paths: every odd path in every request that has one. */
import { link, mkdir, readdir, readFile, symlink, writeFile } from 'node:fs/promises';
import net from 'node:net';
import test from 'ava';
import * as bodies from './helpers/bodies.ts';
import { failures, inTurns, isRefused } from './helpers/cases.ts';
import { fetchFile, upload } from './helpers/dances.ts';
import { Ground } from './helpers/ground.ts';
import type { Peer } from './helpers/peer.ts';
import { Cursor, type FrameName, frame } from './helpers/wire.ts';

let ground: Ground;
test.before(async () => {
  ground = await Ground.start();
});
test.after.always(() => ground.end());

/** Every request that names a path, and how it is told no. */
const requests: Readonly<Record<string, readonly [FrameName, (path: bodies.Path) => Buffer]>> = {
  list: ['list', (path) => bodies.listing(path)],
  'list, recursive': ['list', (path) => bodies.listing(path, 1, 1)],
  stat: ['stat', bodies.stat],
  mkdir: ['mkdir', (path) => bodies.mkdir(path)],
  'mkdir, parents': ['mkdir', (path) => bodies.mkdir(path, 1)],
  remove: ['remove', (path) => bodies.remove(path)],
  'remove, recursive': ['remove', (path) => bodies.remove(path, 1)],
  'rename from': ['rename', (path) => bodies.rename(path, 'elsewhere')],
  'rename to': ['rename', (path) => bodies.rename('warm', path)],
  checksums: ['checksums', (path) => bodies.checksums(path)],
  download: ['download', (path) => bodies.download(path)],
  offer: ['offer', (path) => bodies.offer({ path, size: 1 })],
  'offer, fresh': [
    'offer',
    (path) => bodies.offer({ path, size: 1, policy: bodies.policy({ fresh: 1, delta: 1 }) }),
  ],
  'verify base': ['verify', (path) => bodies.verify(path, ['x'])],
  'verify path': ['verify', (path) => bodies.verify('', [path])],
  'fetch base': ['fetch', (path) => bodies.fetch(path, ['x'])],
  'fetch path': ['fetch', (path) => bodies.fetch('', [path])],
  'offers base': ['offers', (path) => bodies.offers(path, [{ path: 'x', size: 1 }])],
  'offers path': ['offers', (path) => bodies.offers('', [{ path, size: 1 }])],
  'offers folder': [
    'offers',
    (path) => bodies.offers('', [{ path, kind: bodies.kinds.directory }]),
  ],
};

/** The next page may be opened when this one is over: a busy daemon takes one at a time. */
async function leave(peer: Peer, request: number): Promise<void> {
  peer.say('cancel', request);
  await peer.next('cancelled', request);
}

/** What the request came to: the code of its error, or of its one entry. */
async function told(peer: Peer, name: FrameName, body: Buffer): Promise<number | string> {
  const request = peer.open(name, body);
  const ends = [
    'error',
    'entries',
    'entry',
    'done',
    'sums',
    'offer',
    'want',
    'answers',
    'offers',
    'digests',
  ] as const;
  const heard = await peer.next(ends, request);
  if (heard.name === 'error') return bodies.readError(heard).code;
  if (heard.name === 'answers') {
    const [answer] = new Cursor(heard.payload).list(() => heard.payload.readUInt8(2));
    if (answer !== 3) {
      await leave(peer, request);
      return `answered ${answer}`;
    }
    peer.say('end', request, bodies.end(0, 0));
    return bodies.readResults(await peer.next('results', request))[0]?.failure ?? 'no failure';
  }
  // The first place of its page, with nothing in it.
  if (heard.name === 'digests') return heard.payload.readUInt8(2) === 0 ? 'no digest' : 'a digest';
  if (heard.name === 'offers') {
    const cursor = new Cursor(heard.payload);
    cursor.take(16);
    cursor.text();
    cursor.take(12 + 1 + 2);
    cursor.text();
    const isUnreadable = cursor.u8() === bodies.kinds.unreadable;
    await leave(peer, request);
    return isUnreadable ? 'unreadable' : 'readable';
  }
  return heard.name as string;
}

const inPages: Readonly<Record<string, string>> = {
  'fetch path': 'unreadable',
  'verify path': 'no digest',
};

const longest = 'c'.repeat(255);
const rules: Readonly<Record<string, bodies.Path>> = {
  '../x': '../x',
  'a/../../x': 'a/../../x',
  '..': '..',
  '.': '.',
  './a': './a',
  'a/.': 'a/.',
  'a/..': 'a/..',
  '/etc/passwd': '/etc/passwd',
  '/': '/',
  '//': '//',
  'a//b': 'a//b',
  'a slash at the end': 'warm/',
  'the canary': '../canary/secret',
  NUL: 'a\0b',
  'a component of 256 bytes': `${longest}c`,
  'a component of 128 two-byte letters': 'é'.repeat(128),
  'depth 65': Array.from({ length: 65 }, () => 'd').join('/'),
  staging: '.chunkferry',
  'in staging': '.chunkferry/lock',
  'staging below': 'a/.chunkferry/x',
};

test.serial('paths that break a rule are refused in every request, never normalised', async (t) => {
  const cases = Object.entries(rules);
  await ground.stands(t, () =>
    inTurns(Object.entries(requests), async ([what, [name, body]]) => {
      const peer = await ground.peer();
      for (const [rule, path] of cases) {
        const answer = await told(peer, name, body(path));
        // A place of a page can only be told to be nothing that is there to read.
        const right = inPages[what] ?? failures.badPath;
        t.is(answer, right, `${what}: ${rule}`);
      }
      t.true(await peer.isServed());
    }),
  );
});

test.serial('an empty path is the root, and no target', async (t) => {
  await ground.stands(t, async () => {
    const peer = await ground.peer();
    const answers: Record<string, number | string> = {};
    for (const [what, [name, body]] of Object.entries(requests)) {
      answers[what] = await told(peer, name, body(''));
    }
    for (const what of ['offer', 'rename to', 'rename from', 'remove', 'remove, recursive']) {
      t.is(typeof answers[what], 'number', `${what}: ${answers[what]}`);
    }
    t.true((await readdir(ground.served())).includes('warm'), 'the root is still there');
  });
});

test.serial('a path longer than its limit and invalid UTF-8 end the connection', async (t) => {
  const ends: Readonly<Record<string, Uint8Array>> = {
    'path of 4,097 bytes': Buffer.alloc(4097, 'a'),
    'an over-long slash': Buffer.from([0x61, 0xc0, 0xaf, 0x62]),
    'an over-long dot': Buffer.from([0xc0, 0xae, 0xc0, 0xae, 0x2f]),
    'a surrogate': Buffer.from([0xed, 0xa0, 0x80]),
    'a lone continuation': Buffer.from([0x80]),
    'cut in a letter': Buffer.from([0xe2, 0x82]),
    'beyond Unicode': Buffer.from([0xf4, 0x90, 0x80, 0x80]),
  };
  await ground.stands(t, () =>
    inTurns(Object.entries(requests), async ([what, [name, body]]) => {
      for (const [rule, path] of Object.entries(ends)) {
        const peer = await ground.peer();
        peer.open(name, body(path));
        await isRefused(t, peer, failures.protocol, `${what}: ${rule}`);
      }
    }),
  );
});

const odd = [
  'back\\slash',
  '..\\..\\canary\\secret',
  'C:\\file',
  'CON',
  'com1.log',
  'dot.',
  'space ',
  ' ',
  '...',
  'new\nline',
  '\u001b]0;owned\u0007\u001b[2J',
  '\u009b2J',
  '\u202egnp.exe',
  'zero\u200bwidth',
  '%2e%2e%2fx',
  '~',
  '-rf',
  '.chunkferry ',
  '.Chunkferry',
  'é'.normalize('NFD'),
  'é'.normalize('NFC'),
  longest,
  'é'.repeat(127),
];

test.serial('everything else is stored byte for byte', async (t) => {
  const paths = [...odd, Array.from({ length: 64 }, () => 'd').join('/')];
  await ground.stands(
    t,
    async () => {
      const peer = await ground.peer();
      for (const path of paths) {
        const content = Buffer.from(`content of ${path}`);
        await upload(peer, path, content);
        t.true(content.equals(await fetchFile(peer, path)), path);
      }
      const names = await readdir(ground.served());
      t.deepEqual(
        odd.filter((name) => !names.includes(name)),
        [],
      );
      for (const path of odd) t.is(await told(peer, 'remove', bodies.remove(path)), 'done');
      t.is(await told(peer, 'remove', bodies.remove('d', 1)), 'done');
    },
    { touches: ['d'] },
  );
});

test.serial('a path of 4,096 bytes and 64 components is walked', async (t) => {
  const component = 'p'.repeat(63);
  const path = Array.from({ length: 64 }, () => component)
    .join('/')
    .concat('p');
  await ground.stands(t, async () => {
    const peer = await ground.peer();
    t.is(Buffer.byteLength(path), 4096);
    t.is(await told(peer, 'stat', bodies.stat(path)), failures.notFound);
    t.true(await peer.isServed());
  });
});

test.serial('planted links are never followed out, special files never opened', async (t) => {
  const canary = ground.folder.at('canary');
  await symlink(canary, ground.served('out'));
  await symlink(`${canary}/secret`, ground.served('leaf'));
  await symlink('/dev/zero', ground.served('device'));
  await symlink('loop', ground.served('loop'));
  await mkdir(ground.served('inside'));
  await symlink('../../canary', ground.served('inside', 'up'));
  await writeFile(ground.served('plain'), 'plain');
  await link(ground.served('plain'), ground.served('hard'));
  const socket = net.createServer();
  await new Promise<void>((resolve) => void socket.listen(ground.served('socket'), resolve));
  t.teardown(() => socket.close());
  await ground.stands(
    t,
    async () => {
      const peer = await ground.peer();
      for (const [what, [name, body]] of Object.entries(requests)) {
        for (const path of ['out/secret', 'out/new', 'inside/up/secret', 'loop/x', 'plain/x']) {
          const answer = await told(peer, name, body(path));
          const isNo = typeof answer === 'number' || Object.values(inPages).includes(answer);
          t.true(isNo, `${what}: ${path} ${answer}`);
        }
      }
      for (const path of ['leaf', 'device', 'socket', 'loop', 'out', 'inside/up']) {
        for (const [name, body] of [
          ['download', bodies.download(path)],
          ['checksums', bodies.checksums(path)],
          ['list', bodies.listing(path)],
        ] as const) {
          t.is(typeof (await told(peer, name, body)), 'number', `${name} ${path}`);
        }
        t.is(await told(peer, 'fetch', bodies.fetch('', [path])), 'unreadable', path);
        t.is(await told(peer, 'verify', bodies.verify('', [path])), 'no digest', path);
        t.is(await told(peer, 'stat', bodies.stat(path)), 'entry', path);
      }
      // A link at the target is replaced, what it points to stays; so is a removed one.
      await upload(peer, 'leaf', Buffer.from('mine now'));
      t.is(await told(peer, 'remove', bodies.remove('out', 1)), 'done');
      t.is(await told(peer, 'rename', bodies.rename('device', 'moved')), 'done');
      await upload(peer, 'hard', Buffer.from('a name of its own'));
      t.is(await readFile(ground.served('plain'), 'utf8'), 'plain');
      const listed = peer.open('list', bodies.listing('', 1));
      const { paths } = bodies.readEntries(await peer.next('entries', listed));
      t.false(
        paths.some((path) => path.includes('secret')),
        'a listing does not lead out',
      );
    },
    { touches: ['leaf', 'out', 'device', 'moved', 'hard'] },
  );
});

test.serial('pages with one name twice, a file below a file: each name whole', async (t) => {
  await ground.stands(
    t,
    async () => {
      const peer = await ground.peer();
      const contents = [Buffer.from('first'), Buffer.from('other'), Buffer.from('below')];
      const paths = ['twice-named', 'twice-named', 'twice-named/below'];
      const entries = paths.map((path, i) => ({ path, size: contents[i]?.length ?? 0 }));
      const request = peer.open('offers', bodies.offers('', entries, { eager: 1 }));
      for (const [i, content] of contents.entries()) peer.write(bodies.chunk(request, i, content));
      await peer.next('answers', request);
      peer.write(frame('end', request, bodies.end(0, 0)));
      const failed = bodies.readResults(await peer.next('results', request));
      t.true(
        failed.some(({ index }) => index === 2),
        'no file holds another',
      );
      const stored = await readFile(ground.served('twice-named'), 'utf8');
      t.true(stored === 'first' || stored === 'other', stored);
    },
    { touches: ['twice-named'] },
  );
});
