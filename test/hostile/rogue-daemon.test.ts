/** THREATS, the client against a hostile daemon. */
import { mkdir, rm, symlink, writeFile } from 'node:fs/promises';
import test from 'ava';
import * as bodies from './helpers/bodies.ts';
import { failures } from './helpers/cases.ts';
import {
  type Answer,
  type Answers,
  isFile,
  isFolder,
  lists,
  offers,
  pathOf,
  say,
  sends,
  Visitor,
} from './helpers/rogue.ts';
import { Cursor, frame, text } from './helpers/wire.ts';

let visitor: Visitor;
test.before(async () => {
  visitor = await Visitor.arrive();
});
test.after.always(() => visitor.folder.remove());
test.afterEach.always(() => rm(visitor.target(), { recursive: true, force: true }));

const content = Buffer.from('content');
const download = (path: string) => (url: (path?: string) => string) => [
  'download',
  url(path),
  visitor.target(),
];

/** A page of exactly what was asked for. */
const fetched: Answers['fetch'] = (guest, { request, payload }) => {
  const cursor = new Cursor(payload);
  const base = cursor.text();
  const entries = cursor.list(cursor.text).map((path) => ({ path, size: content.length }));
  guest.say('offers', request, bodies.offers(base, entries, { eager: 1 }));
  for (const i of entries.keys()) guest.write(bodies.chunk(request, i, content));
};
const honestPage: Answers = {
  fetch: fetched,
  answers: say('end', bodies.end(0, 0)),
};

for (const [what, path] of Object.entries({
  '..': '..',
  '../canary/x': '../canary/x',
  'a/../../canary/x': 'a/../../canary/x',
  'an absolute name': '/tmp/x',
  'an empty name': '',
  'a//b': 'a//b',
  'a NUL': 'a\0b',
  staging: '.chunkferry/x',
  'an overlong name': 'x'.repeat(256),
})) {
  test.serial(`a listing with ${what}: exit 7, nothing is written`, async (t) => {
    const answers = { ...honestPage, stat: isFolder, list: lists({ path, size: 7 }) };
    const { code, made } = await visitor.visits(t, answers, download('folder/'));
    t.is(code, 7);
    t.deepEqual(made, []);
  });
}

test.serial('names that come twice, or below a file, give whole files or fail', async (t) => {
  const twice = [{ path: 'twice' }, { path: 'twice' }, { path: 'file' }, { path: 'file/below' }];
  const entries = twice.map(({ path }) => ({ path, size: content.length }));
  const answers = { ...honestPage, stat: isFolder, list: lists(...entries) };
  const { code, made } = await visitor.visits(t, answers, download('folder/'));
  t.not(code, 0);
  t.deepEqual(
    made.filter((name) => !['twice', 'file'].includes(name)),
    [],
  );
});

test.serial('a link in a listing is no way out, nor is one that lies in the target', async (t) => {
  const entries = [
    { path: 'link', kind: bodies.kinds.link },
    { path: 'link/x', size: content.length },
    { path: 'planted/x', size: content.length },
  ];
  const answers = { ...honestPage, stat: isFolder, list: lists(...entries) };
  await mkdir(visitor.target());
  await symlink(visitor.folder.at('canary'), visitor.target('planted'));
  const { code } = await visitor.visits(t, answers, download('folder/'));
  t.not(code, 0);
});

const pages: Readonly<Record<string, Answers['fetch']>> = {
  'another folder': (guest, { request }) =>
    guest.say('offers', request, bodies.offers('other', [{ path: 'x', size: 7 }], { eager: 1 })),
  'another file': (guest, { request }) =>
    guest.say('offers', request, bodies.offers('folder', [{ path: 'y', size: 7 }], { eager: 1 })),
  'a file outside': (guest, { request }) =>
    guest.say('offers', request, bodies.offers('folder', [{ path: '../y', size: 7 }])),
  'one more': (guest, { request }) => {
    const entries = [
      { path: 'x', size: 7 },
      { path: 'y', size: 7 },
    ];
    guest.say('offers', request, bodies.offers('folder', entries, { eager: 1 }));
  },
  nothing: (guest, { request }) => guest.say('offers', request, bodies.offers('folder', [])),
  'a folder in its place': (guest, { request }) => {
    const entries = [{ path: 'x', kind: bodies.kinds.directory }];
    guest.say('offers', request, bodies.offers('folder', entries));
  },
  'a chunk of another size': (guest, { request }) => {
    guest.say('offers', request, bodies.offers('folder', [{ path: 'x', size: 7 }], { eager: 1 }));
    guest.write(bodies.chunk(request, 0, Buffer.alloc(8)));
  },
  'a chunk for no file': (guest, { request }) => {
    guest.say('offers', request, bodies.offers('folder', [{ path: 'x', size: 7 }], { eager: 1 }));
    guest.write(bodies.chunk(request, 9, content));
  },
};

for (const [what, fetch] of Object.entries(pages)) {
  test.serial(`a page with ${what} than was asked for: exit 7, nothing is written`, async (t) => {
    const answers = {
      stat: isFolder,
      list: lists({ path: 'x', size: 7 }),
      fetch,
      answers: honestPage.answers,
    };
    const { code, made } = await visitor.visits(t, answers as Answers, download('folder/'));
    t.is(code, 7);
    t.deepEqual(made, []);
  });
}

for (const [what, count] of [
  ['none', 0],
  ['one more', 2],
] as const) {
  test.serial(`digests that nobody asked for, ${what}: exit 7`, async (t) => {
    const answers = {
      stat: isFolder,
      list: lists({ path: 'x', size: 7 }),
      verify: say('digests', bodies.digests(count)),
    };
    await mkdir(visitor.target());
    await writeFile(visitor.target('x'), content);
    const verify = (url: (path?: string) => string) => ['verify', visitor.target(), url('folder')];
    t.is((await visitor.visits(t, answers, verify)).code, 7);
  });
}

/** A file of 7 bytes, and what the daemon does with it: the exit code. */
const files: Readonly<Record<string, readonly [number, Answers]>> = {
  'another file than asked for': [7, { download: offers(content, { path: 'other' }) }],
  'a file outside': [7, { download: offers(content, { path: '../file' }) }],
  'a SHA-256 that nobody asked for': [7, { download: offers(content, { sha256: 1 }) }],
  'a chunk more': [
    7,
    {
      want: (guest, heard) => {
        guest.write(
          bodies.chunk(heard.request, 0, content),
          bodies.chunk(heard.request, 1, content),
        );
        guest.say('end', heard.request, bodies.end(1, 7, bodies.digest(content)));
      },
    },
  ],
  'a byte more': [
    7,
    { want: (guest, { request }) => guest.write(bodies.chunk(request, 0, Buffer.alloc(8))) },
  ],
  'a byte less': [
    7,
    { want: (guest, { request }) => guest.write(bodies.chunk(request, 0, Buffer.alloc(6))) },
  ],
  'no data, and an end': [7, { want: say('end', bodies.end(1, 7, bodies.digest(content))) }],
  'another size at the end': [
    7,
    {
      want: (guest, { request }) => {
        guest.write(bodies.chunk(request, 0, content));
        guest.say('end', request, bodies.end(1, 8, bodies.digest(content)));
      },
    },
  ],
  'another digest': [6, { want: sends(content, 1n) }],
  'no digest': [
    7,
    {
      want: (guest, { request }) => {
        guest.write(bodies.chunk(request, 0, content));
        guest.say('end', request, bodies.end(1, 7));
      },
    },
  ],
  'a checksum that is always wrong': [
    6,
    { want: (guest, { request }) => guest.write(bodies.chunk(request, 0, content, { sum: 1n })) },
  ],
  'sums that nobody asked for': [
    7,
    { want: (guest, { request }) => guest.say('sums', request, bodies.sums(0, 0, [1n])) },
  ],
  'a request of its own': [7, { want: (guest) => guest.say('stat', 99, text('x')) }],
  'frames of an uploader': [
    7,
    { want: (guest, { request }) => guest.say('want', request, bodies.want(1, [])) },
  ],
  'a second hello': [
    7,
    { want: (guest) => guest.say('hello', 0, guest.transcript?.client ?? Buffer.alloc(9)) },
  ],
  'the greatest size, and no data': [
    30,
    { download: offers(content, { size: 2n ** 53n - 1n }), want: () => undefined },
  ],
  'the same chunk without end': [
    30,
    {
      want: (guest, { request }) => {
        guest.write(bodies.chunk(request, 0, content));
        const more = setInterval(() => guest.write(bodies.chunk(request, 0, content)), 20);
        void guest.ended.then(() => clearInterval(more));
      },
    },
  ],
};

for (const [what, [exit, answers]] of Object.entries(files)) {
  test.serial(`a download of ${what}: exit ${exit}, nothing is visible`, async (t) => {
    const all = { stat: isFile(7), download: offers(content), want: sends(content), ...answers };
    const { code, made } = await visitor.visits(t, all, (url) => [
      'download',
      '--timeout',
      '3s',
      url('file'),
      visitor.target('file'),
    ]);
    t.is(code, exit);
    t.deepEqual(made, []);
  });
}

test.serial('a daemon that never answers: the user is told of --timeout', async (t) => {
  const args = (url: (path?: string) => string): string[] => ['ls', '--timeout', '1s', url()];
  const { code, stderr } = await visitor.visits(t, {}, args, false);
  t.is(code, 30, stderr);
  t.regex(stderr, /^ferry: Nothing moved for 1 s \(--timeout\)\.\n$/);
  // Half a frame, and no more of it.
  const half = { list: ((guest) => guest.write(Buffer.alloc(5, 1))) satisfies Answer };
  const slow = await visitor.visits(t, half, args, false);
  t.is(slow.code, 30, slow.stderr);
  t.regex(slow.stderr, /too slowly \(--timeout\)\.\n$/);
});

test.serial('an honest download from this daemon works', async (t) => {
  const all = { stat: isFile(7), download: offers(content), want: sends(content) };
  const { code, made } = await visitor.visits(t, all, download('file'));
  t.is(code, 0);
  t.deepEqual(made, ['file']);
});

const largeContent = Buffer.alloc(100_000, 5);
const wantAll = say('want', bodies.want(1, [[0, 2]]));
const stored = (digest?: bigint): Answer =>
  say('complete', bodies.complete(bodies.outcomes.stored, digest));

/** What the daemon says to an upload that it never stored, or never asked for: the exit code. */
const uploads: Readonly<Record<string, readonly [number, Answers]>> = {
  'stored, by the right digest': [0, { offer: wantAll, end: stored(bodies.digest(largeContent)) }],
  'stored, unseen': [6, { offer: stored() }],
  'stored, unseen, with another digest': [6, { offer: stored(1n) }],
  'stored before, as the digest proves': [0, { offer: stored(bodies.digest(largeContent)) }],
  'stored, with another digest': [6, { offer: wantAll, end: stored(1n) }],
  'stored, without a digest': [6, { offer: wantAll, end: stored() }],
  'stored, before it was sent': [
    7,
    {
      // In one write: between two of them all may have been sent.
      offer: (guest, { request }) =>
        guest.write(
          Buffer.concat([
            frame('want', request, bodies.want(1, [[0, 2]])),
            frame('complete', request, bodies.complete(bodies.outcomes.stored, 1n)),
          ]),
        ),
    },
  ],
  released: [1, { offer: say('complete', bodies.complete(bodies.outcomes.released)) }],
  'wanted past the end': [7, { offer: say('want', bodies.want(1, [[2, 3]])) }],
  'compared past the end': [7, { offer: say('compare', bodies.compare(0, [[0, 2]])) }],
  'offered back': [7, { offer: say('offer', bodies.offer({ path: 'x', size: 1 })) }],
};

/** A page that only asks about large files: all of them are wanted, and that was all. */
function pageOf(answers: Answers): Answers {
  const pages = new Set<number>();
  return {
    ...answers,
    stat: say('error', bodies.error(failures.notFound)),
    offers: (guest, { request, payload }) => {
      const cursor = new Cursor(payload);
      cursor.take(16);
      cursor.text();
      cursor.take(12 + 1);
      pages.add(request);
      guest.say('answers', request, bodies.answers(Array.from({ length: cursor.u16() }, () => 0)));
    },
    end: (guest, heard) => {
      if (pages.has(heard.request)) guest.say('results', heard.request, bodies.results());
      else void answers.end?.(guest, heard);
    },
  };
}

for (const [what, [exit, answers]] of Object.entries(uploads)) {
  test.serial(`an upload that is ${what}: exit ${exit}`, async (t) => {
    const file = visitor.folder.at('large');
    await writeFile(file, largeContent);
    const { code } = await visitor.visits(t, pageOf(answers), (url) => [
      'upload',
      '--timeout',
      '3s',
      file,
      url('x'),
    ]);
    t.is(code, exit);
  });
}

test.serial('control characters and a megabyte of text in errors: escaped, cut', async (t) => {
  const ugly = '\u001b]0;owned\u0007\u001b[2J\u202egnp\u009b2Jnew\nline';
  for (const [message, exit] of [
    [ugly, 3],
    [ugly.repeat(30).slice(0, 900), 3],
    ['x'.repeat(65_000), 7],
  ] as const) {
    const answers = { stat: say('error', bodies.error(20, message)) };
    const { code, stderr, stdout } = await visitor.visits(t, answers, download('file'));
    t.is(code, exit);
    t.true(stderr.length + stdout.length < 10_000, `${stderr.length} characters`);
  }
  const flood: Answers = {
    stat: (guest, { request }) => {
      guest.write(frame('error', request, bodies.error(20, 'no'), { length: 1_000_000 }));
      guest.write(Buffer.alloc(1_000_000, 0x1b));
    },
  };
  t.is((await visitor.visits(t, flood, download('file'))).code, 7);
});

test.serial('names and types that would drive a terminal are escaped', async (t) => {
  const ugly = '\u001b[2J\u202e\u009b';
  const answers = {
    stat: isFolder,
    list: lists(
      { path: ugly, size: 1, contentType: ugly },
      { path: 'x', kind: bodies.kinds.other },
    ),
  };
  for (const args of [['ls', '-l'], ['ls', '-R'], ['stat']]) {
    const { stdout } = await visitor.visits(t, answers, (url) => [...args, url('folder/')], false);
    t.false(/[\u001b\u009b\u202e]/.test(stdout.toString()), args.join(' '));
  }
  const { events } = await visitor.visits(t, answers, (url) => ['ls', url('folder/')]);
  const [entry] = events.filter(({ type }) => type === 'entry');
  t.is((entry as { path?: string } | undefined)?.path, ugly, 'in JSON the name is what it is');
});

test.serial('more entries than the client gave credit for: exit 7', async (t) => {
  const page = bodies.entriesPage(
    Array.from({ length: 900 }, (_, i) => ({ path: `${i}${'x'.repeat(40)}` })),
    0,
  );
  const answers: Answers = {
    stat: isFolder,
    list: (guest, heard) => {
      const bytes = frame('entries', heard.request, page);
      // All that fits the window is written before the client can give any of it back.
      guest.write(Buffer.concat(Array.from({ length: 600 }, () => bytes)));
    },
  };
  const { code } = await visitor.visits(t, answers, (url) => ['ls', url(pathOf.name)]);
  t.is(code, 7);
});
