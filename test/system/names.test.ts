/** Names and sizes that break programs, through the real ones. */
import { execFile } from 'node:child_process';
import { existsSync, readdirSync, writeFileSync } from 'node:fs';
import { mkdir, readdir, readFile, rm, utimes, writeFile } from 'node:fs/promises';
import { promisify } from 'node:util';
import test from 'ava';
import type { EntryEvent, ErrorEvent } from '../../client/events.ts';
import {
  connect,
  defaultTransferOptions,
  type Ferry,
  FerryError,
  type FerryEvent,
  parseRemote,
} from '../../client/index.ts';
import { provideToken, testConnect, testToken } from '../helpers/token.ts';
import { startDaemon } from './helpers/daemon.ts';
import { type FerryResult, runFerry } from './helpers/ferry.ts';
import { differences, MiB, randomBytes, tempFolder, writeRandomFile } from './helpers/files.ts';
import { programPath } from './helpers/processes.ts';
import { checkLog, ferryExits, isLinux, setScene } from './helpers/scene.ts';

const run = promisify(execFile);
const segment = 8 * MiB;

/** Around nothing, a chunk and a segment. */
const sizes = [0, 1, 65_535, 65_536, 65_537, segment - 1, segment, segment + 1] as const;

const composed = 'caf\u00e9'.normalize('NFC');
const oddNames = [
  ' ',
  ' spaces  inside and at both ends ',
  'new\nline',
  'tab\tand\rreturn',
  composed,
  composed.normalize('NFD'),
  'é'.repeat(127) + 'x', // 255 bytes
  'a'.repeat(255),
  '\u{1f4a9}'.repeat(63), // 252 bytes outside the BMP
  'aux.c',
  'CON',
  'x\\x2dy',
  'apache.',
  'trailing space ',
  '-rf',
  '--json',
  '...',
  '.hidden',
  '~',
  '%41%2f',
  'a:b',
  'ferry+tcp:',
  `quotes ' " \``,
  '$(touch owned) ; & | < > * ? [a-z]',
  '\u001b]0;owned\u0007\u001b[2J',
  '\u202egnp.exe',
  '\u200b',
  '\ufeff',
  '\u0001\u007f\u0085',
  'ſ K İ',
] as const;

async function writeOddTree(folder: string): Promise<void> {
  await mkdir(folder);
  const then = new Date('2001-02-03T04:05:06.789Z');
  for (const [i, name] of oddNames.entries()) {
    await writeFile(`${folder}/${name}`, `content ${i}`);
    await utimes(`${folder}/${name}`, then, then);
  }
  await mkdir(`${folder}/in \n folders`);
  for (const name of oddNames) {
    const odd = `${folder}/in \n folders/${name}`;
    await mkdir(odd);
    await writeFile(`${odd}/${name}`, name);
  }
}

test.serial('sizes around a chunk and a segment go up and come back in a tree', async (t) => {
  const scene = await setScene(t);
  await mkdir(scene.at('tree'));
  for (const size of sizes) await writeRandomFile(scene.at('tree', `${size}`), size, size);
  const bytes = sizes.reduce((sum, size) => sum + size, 0);

  const up = await scene.ferry(['upload', scene.at('tree'), scene.url()]);
  t.like(up.summary, { files: sizes.length, bytes, bytesSent: bytes, failed: 0 });
  t.deepEqual(await differences(scene.at('tree'), scene.there('tree')), []);

  const down = await scene.ferry(['download', scene.url('tree'), scene.at('back')]);
  t.like(down.summary, { files: sizes.length, bytes, bytesSent: bytes, failed: 0 });
  t.deepEqual(await differences(scene.at('tree'), scene.at('back', 'tree')), []);

  // The same again: nothing moves.
  for (const args of [
    ['upload', scene.at('tree'), scene.url()],
    ['download', scene.url('tree'), scene.at('back')],
  ]) {
    const again = await scene.ferry(args);
    t.like(again.summary, { bytesSent: 0, bytesReused: bytes, files: sizes.length });
  }
});

test.serial('sizes around a chunk and a segment go up and come back alone', async (t) => {
  const scene = await setScene(t);
  for (const size of sizes) {
    const name = `file-${size}`;
    await writeRandomFile(scene.at(name), size, size);
    const up = await scene.ferry(['upload', scene.at(name), scene.url(`sub/${name}.up`)]);
    t.like(up.summary, { files: 1, bytes: size, bytesSent: size, chunksRepeated: 0 });
    t.deepEqual(await differences(scene.at(name), scene.there('sub', `${name}.up`)), []);
    const down = await scene.ferry([
      'download',
      scene.url(`sub/${name}.up`),
      scene.at(`${name}.b`),
    ]);
    t.like(down.summary, { files: 1, bytes: size, bytesSent: size, chunksRepeated: 0 });
    t.deepEqual(await differences(scene.at(name), scene.at(`${name}.b`)), []);
  }
  t.deepEqual(readdirSync(scene.served), ['.chunkferry', 'sub']);
  t.false(existsSync(scene.at('.chunkferry')), 'no staging folder stays beside what was fetched');
});

test.serial('a share with portable-names takes no others, and gives those it has', async (t) => {
  const folder = await tempFolder();
  t.teardown(() => folder.remove());
  await mkdir(folder.at('in', 'CON'), { recursive: true });
  await writeFile(folder.at('in', 'CON', 'aux.c'), 'there before');
  const share = `in=${folder.at('in')}:portable-names`;
  const daemon = await startDaemon({ args: ['--share', share] });
  t.teardown(() => daemon.stop());

  // Small files in pages, a large one alone, folders.
  await mkdir(folder.at('tree', 'bad.', 'deep'), { recursive: true });
  await mkdir(folder.at('tree', 'good'));
  for (const name of ['fine', 'com1.log', 'good/what?', 'good/ok', 'bad./x']) {
    await writeFile(folder.at('tree', name), name);
  }
  await writeRandomFile(folder.at('tree', 'nul.bin'), MiB, 1);
  const up = await ferryExits(t, ['upload', folder.at('tree'), daemon.url('in/')], 23);
  const failed = up.events.filter((event): event is ErrorEvent => event.type === 'error');
  const names = failed.filter(({ path }) => path !== undefined);
  t.deepEqual(
    names.map(({ path, failure }) => `${path} ${failure}`).sort(),
    ['bad.', 'bad./deep', 'bad./x', 'com1.log', 'good/what?', 'nul.bin'].map(
      (name) => `tree/${name} bad-path`,
    ),
  );
  t.true(names.every(({ message }) => message.includes('(portable-names)')));
  t.deepEqual((await readdir(folder.at('in', 'tree'), { recursive: true })).sort(), [
    'fine',
    'good',
    'good/ok',
  ]);
  await ferryExits(t, ['upload', folder.at('tree', 'nul.bin'), daemon.url('in/')], 2);
  await ferryExits(t, ['mkdir', daemon.url('in/a:b')], 2);
  await ferryExits(t, ['mv', daemon.url('in/tree/fine'), '/in/tree/fine '], 2);

  // What is there already is told and given, and can leave its name.
  const ls = await ferryExits(t, ['ls', '-R', daemon.url('in/CON')]);
  t.true(ls.events.some((event) => event.type === 'entry' && event.path === 'aux.c'));
  await ferryExits(t, ['download', daemon.url('in/CON/aux.c'), folder.at('back')]);
  t.is(await readFile(folder.at('back'), 'utf8'), 'there before');
  await ferryExits(t, ['mv', daemon.url('in/CON'), '/in/console']);
  await ferryExits(t, ['rm', daemon.url('in/console/aux.c')]);
});

test.serial('names of every kind are kept byte for byte, in a tree, both ways', async (t) => {
  const scene = await setScene(t);
  await writeOddTree(scene.at('odd'));
  await scene.ferry(['upload', scene.at('odd'), scene.url()]);
  t.deepEqual(await differences(scene.at('odd'), scene.there('odd')), []);
  await scene.ferry(['download', scene.url('odd/'), scene.at('back')]);
  t.deepEqual(await differences(scene.at('odd'), scene.at('back')), []);

  const listing = await scene.ferry(['ls', scene.url('odd')]);
  const names = entries(listing).map(({ path }) => path);
  t.deepEqual(names.sort(), [...oddNames, 'in \n folders'].sort());
});

test.serial('names of every kind can be named themselves', async (t) => {
  const scene = await setScene(t);
  await writeOddTree(scene.at('odd'));
  const settings = { cwd: scene.at('odd') };
  // `./` where a name would be read as an option or a remote.
  const sources = oddNames.map((name) => `./${name}`);
  const up = await scene.ferry(['upload', ...sources, scene.url('named/')], 0, settings);
  t.is(up.summary?.files, oddNames.length);
  const remotes = oddNames.map((name) => scene.url(`named/${name}`));
  await scene.ferry(['download', ...remotes, scene.at('back')]);
  await scene.ferry(['upload', '--', '-rf', scene.url('dashed')], 0, settings);
  for (const [i, name] of oddNames.entries()) {
    t.is(await readFile(scene.at('back', name), 'utf8'), `content ${i}`);
    const moved = scene.url(`moved/${name}`);
    if (i === 0) await scene.ferry(['mkdir', scene.url('moved')]);
    if (i % 6 !== 0) continue; // A round trip through the other commands for some of them.
    await scene.ferry(['mv', scene.url(`named/${name}`), moved]);
    const stat = await scene.ferry(['stat', moved]);
    t.is(entries(stat)[0]?.path, `moved/${name}`);
    await scene.ferry(['rm', moved]);
  }
  t.is((await readdir(scene.there('moved'))).length, 0);
});

/** Control characters (but line ends), bidi overrides, zero-width characters. */
const unsafe =
  /[\u0000-\u0009\u000b-\u001f\u007f-\u009f\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff]/u;

test.serial('names are escaped wherever people read them, and logged escaped', async (t) => {
  const scene = await setScene(t);
  await writeOddTree(scene.at('odd'));
  const shown: [string, FerryResult][] = [];
  for (const args of [
    ['upload', '-v', scene.at('odd'), scene.url()],
    ['ls', '-lR', scene.url()],
    ['stat', scene.url('odd/\u001b]0;owned\u0007\u001b[2J')],
    ['download', '-v', scene.url('odd'), scene.at('back')],
    ['download', scene.url('odd/missing\u001b[2J'), scene.at('back')],
    ['upload', scene.at('missing\u001b[2J\u202e'), scene.url()],
    ['verify', scene.at('odd'), scene.url('odd')],
    ['rm', scene.url('odd/\u001b[2J')],
    ['mkdir', scene.url('odd/-rf/\u001b[2J')],
    ['frobnicate\u001b[2J'],
    ['upload', '--\u001b[2J'],
    ['ls', 'ferry+tcp://host\u001b[2J/'],
  ]) {
    shown.push([args.join(' '), await runFerry(args)]);
  }
  for (const [what, { stdout, stderr }] of shown) {
    t.notRegex(stderr, unsafe, what);
    t.notRegex(stdout.toString(), unsafe, what);
  }
  const [upload] = shown;
  t.regex(upload?.[1].stderr ?? '', /\\u\{1b\}\]0;owned\\u\{7\}/);
});

test.serial('on a terminal nothing of a name reaches it raw', async (t) => {
  const scene = await setScene(t);
  await writeOddTree(scene.at('odd'));
  await writeFile(scene.at('run.sh'), terminalScript(scene.at('odd'), scene.url()));
  const { stdout } = await run('script', ['-qec', `sh ${scene.at('run.sh')}`, '/dev/null'], {
    encoding: 'latin1',
  });
  t.regex(stdout, /\\u\{1b\}\]0;owned\\u\{7\}/, 'it is shown, escaped');
  t.notRegex(stdout, /\u001b\]0;/);
  t.notRegex(stdout, /\u001b\[2J/);
  t.regex(stdout, /exit 0/);
});

function terminalScript(folder: string, url: string): string {
  const ferry = `'${process.execPath}' '${programPath('ferry')}'`;
  return `
    unset NO_COLOR FORCE_COLOR
    export FERRY_TOKEN=${testToken}
    ${ferry} upload -v '${folder}' '${url}' && ${ferry} ls -lR '${url}'
    echo exit $?
  `;
}

test.serial('a daemon logs names escaped', async (t) => {
  const scene = await setScene(t);
  await writeOddTree(scene.at('odd'));
  const pretty = await startProgramForText(scene.at('odd'));
  t.teardown(pretty.stop);
  for (const path of ['\u001b]0;owned\u0007\u001b[2J', 'new\nline', '\u202egnp.exe']) {
    await runFerry(['download', `${pretty.url}${path}`, scene.at('back')]);
    await runFerry(['rm', `${pretty.url}missing${path}`]);
  }
  await pretty.stop();
  t.regex(pretty.text(), /owned/);
  t.notRegex(pretty.text(), unsafe);
});

/** A daemon with the log that people read. */
async function startProgramForText(
  folder: string,
): Promise<{ url: string; text: () => string; stop: () => Promise<void> }> {
  provideToken(`${folder}/../state`);
  const { startProgram } = await import('./helpers/processes.ts');
  const { child, exit } = startProgram(
    'ferryd',
    [
      folder,
      '--plain',
      '--listen',
      '127.0.0.1:0',
      '--log-format',
      'pretty',
      '--state',
      `${folder}/../state`,
    ],
    ['ignore', 'ignore', 'pipe'],
    {},
  );
  let text = '';
  const port = await new Promise<string>((resolve, reject) => {
    child.stderr?.setEncoding('utf8').on('data', (piece: string) => {
      text += piece;
      const found = /listening on 127\.0\.0\.1:(\d+)/.exec(text)?.[1];
      if (found !== undefined) resolve(found);
    });
    exit.then(() => reject(new Error(text)), reject);
  });
  const stop = async (): Promise<void> => {
    child.kill('SIGTERM');
    await exit;
  };
  return { url: `ferry+tcp://127.0.0.1:${port}/`, text: () => text, stop };
}

const notUtf8 = Buffer.from([0x62, 0x61, 0x64, 0xff, 0x1b, 0x5b, 0x32, 0x4a]); // bad\xff ESC [2J

const testOnLinux = isLinux ? test.serial : test.serial.skip;

testOnLinux('names that are not UTF-8 are reported and counted, the rest is done', async (t) => {
  const scene = await setScene(t);
  for (const folder of [scene.at('tree'), scene.there('tree2')]) {
    await mkdir(`${folder}/sub`, { recursive: true });
    await writeFile(`${folder}/good`, 'good');
    await writeFile(`${folder}/sub/also good`, 'also good');
    writeFileSync(Buffer.concat([Buffer.from(`${folder}/`), notUtf8]), 'bad');
    await mkdir(Buffer.concat([Buffer.from(`${folder}/sub/`), notUtf8]));
  }
  const up = await scene.ferry(['upload', scene.at('tree'), scene.url()], 23);
  const down = await scene.ferry(['download', scene.url('tree2'), scene.at('back')], 23);
  const list = await scene.ferry(['ls', '-R', scene.url('tree2')], 23);
  for (const [result, label] of [
    [up, 'tree/'],
    [down, 'tree2/'],
    [list, ''],
  ] as const) {
    t.is(result.summary?.failed, 2);
    const failed = result.events.filter((event): event is ErrorEvent => event.type === 'error');
    t.deepEqual(failed.map(({ path = '' }) => path).sort(), [
      `${label}bad\\xff\\x1b[2J`,
      `${label}sub/bad\\xff\\x1b[2J`,
    ]);
    for (const name of result.summary?.failedNames ?? []) t.notRegex(name, unsafe);
  }
  for (const copy of [scene.there('tree'), scene.at('back', 'tree2')]) {
    t.is(await readFile(`${copy}/good`, 'utf8'), 'good');
    t.is(await readFile(`${copy}/sub/also good`, 'utf8'), 'also good');
    t.is((await readdir(copy)).length, 2);
  }
  const text = await runFerry(['upload', scene.at('tree'), scene.url()]);
  t.is(text.code, 23);
  t.notRegex(text.stderr, unsafe);
  t.regex(text.stderr, /UTF-8/);
  t.regex(text.stderr, /2 files failed/);
});

test.serial(
  'promise 7: contained: the staging folder is out of reach by any spelling',
  async (t) => {
    const scene = await setScene(t);
    await mkdir(scene.there('sub', '.chunkferry'), { recursive: true });
    await writeFile(scene.there('.chunkferry', 'secret'), 'secret');
    await writeFile(scene.there('sub', '.chunkferry', 'secret'), 'secret');
    await writeFile(scene.there('file'), 'file');
    await writeFile(scene.at('mine'), 'mine');
    const spellings = [
      '.chunkferry',
      '.chunkferry/',
      '/.chunkferry',
      './.chunkferry',
      'sub/../.chunkferry',
      'sub//../.chunkferry',
      'sub/.chunkferry',
      '.chunkferry/secret',
      '.chunkferry//secret',
      '.chunkferry/../.chunkferry/secret',
      'sub/.chunkferry/secret',
    ];
    // The library passes paths on as they are: the daemon itself must refuse them.
    const ferry = await connect(parseRemote(scene.url()), testConnect);
    for (const path of [...spellings, '.chunkferry\0', './/.chunkferry']) {
      for (const [what, reach] of Object.entries(waysTo(ferry, path, scene.at('mine')))) {
        t.is(await reach(), 'bad-path', `${what} ${path}`);
      }
    }
    await ferry.close();
    for (const [i, path] of spellings.entries()) {
      const remote = scene.url(path);
      const commands = [
        ['ls', remote],
        ['mv', scene.url('file'), remote],
        ['download', remote, scene.at('got')],
        ['verify', scene.at('mine'), remote],
      ];
      const args = commands[i % commands.length] ?? [];
      const { code, stderr } = await runFerry(args);
      t.is(code, 2, `${args.join(' ')}: ${stderr}`);
    }
    const list = await scene.ferry(['ls', '-R', scene.url()]);
    t.deepEqual(
      entries(list).map(({ path }) => path),
      ['file', 'sub'],
    );
    await scene.ferry(['download', scene.url(), scene.at('all')]);
    t.deepEqual(await readdir(scene.at('all', 'sub')), []);
    await scene.ferry(['rm', '-r', scene.url()], 4);
    t.is(await readFile(scene.there('.chunkferry', 'secret'), 'utf8'), 'secret');
    t.is(await readFile(scene.there('sub', '.chunkferry', 'secret'), 'utf8'), 'secret');
    t.deepEqual((await readdir(scene.served)).sort(), ['.chunkferry', 'file', 'sub']);
    await rm(scene.there('.chunkferry', 'secret')); // Staging is looked at when the daemon stops.
  },
);

/** Everything that could reach `path`; each gives the failure's name, or undefined. */
function waysTo(
  ferry: Ferry,
  path: string,
  local: string,
): Record<string, () => Promise<string | undefined>> {
  const failureOf = async (work: () => Promise<unknown>): Promise<string | undefined> => {
    try {
      await work();
      return undefined;
    } catch (error) {
      return error instanceof FerryError ? error.failure : String(error);
    }
  };
  const eventFailure = async (events: AsyncIterable<FerryEvent>): Promise<string | undefined> => {
    for await (const event of events) if (event.type === 'error') return event.failure;
    return undefined;
  };
  const options = defaultTransferOptions;
  const target = { path, isFolder: false };
  return {
    stat: () => failureOf(() => ferry.stat(path)),
    list: () => failureOf(() => ferry.list(path, { recursive: true }).next()),
    mkdir: () => failureOf(() => ferry.mkdir(path, { parents: true })),
    remove: () => failureOf(() => ferry.remove(path, { recursive: true })),
    'rename from': () => failureOf(() => ferry.rename(path, 'taken')),
    'rename to': () => failureOf(() => ferry.rename('file', path)),
    upload: () => eventFailure(ferry.upload([{ localPath: local }], target, options)),
    download: () => eventFailure(ferry.download([target], `${local}-got`, options)),
  };
}

test.serial('paths that break the rules are refused with exit 2', async (t) => {
  const scene = await setScene(t);
  await writeFile(scene.at('file'), randomBytes(1, 10));
  const deep = (depth: number): string => Array.from({ length: depth }, () => 'd').join('/');
  const faulty = [
    '../x',
    'a/../../x',
    'a//b',
    './a',
    '.',
    '..',
    'a/.',
    'b'.repeat(256),
    'é'.repeat(128),
    deep(65),
  ];
  const ferry = await connect(parseRemote(scene.url()), testConnect);
  for (const path of [...faulty, '/etc/passwd', 'a/', '\0', 'a\0b']) {
    for (const [what, reach] of Object.entries(waysTo(ferry, path, scene.at('file')))) {
      t.is(await reach(), 'bad-path', `${what} ${path}`);
    }
  }
  await ferry.close();
  const long = Array.from({ length: 17 }, () => 'c'.repeat(250)).join('/');
  for (const [i, path] of [...faulty, long].entries()) {
    const commands = [
      ['stat', scene.url(path)],
      ['upload', scene.at('file'), scene.url(path)],
      ['download', scene.url(path), scene.at('got')],
    ];
    const args = commands[i % commands.length] ?? [];
    const { code, stderr } = await runFerry(args);
    t.is(code, 2, `${args.join(' ')}: ${stderr}`);
    t.regex(stderr, /^ferry: [^\n]+\n$/, 'one sentence');
  }
  // The longest that are allowed.
  await scene.ferry(['upload', scene.at('file'), scene.url(`${deep(63)}/file`)]);
  await scene.ferry(['stat', scene.url(`${deep(63)}/file`)]);
  t.deepEqual(await readdir(scene.folder.path), ['file', 'served']);
});

test.serial('a folder that was a share is backed up without its staging folder', async (t) => {
  const scene = await setScene(t);
  const first = await startDaemon({ folder: scene.served }).catch((error: unknown) => error);
  t.true(first instanceof Error, 'the folder is served already');
  await writeFile(scene.there('file'), 'file');
  const up = await scene
    .ferry(['upload', `${scene.served}/`, scene.url('copy')])
    .catch(() => undefined);
  t.is(up?.summary?.failed, 0);
  t.deepEqual(await readdir(scene.there('copy')), ['file']);
  checkLog(scene.daemon);
});

function entries({ events }: FerryResult): EntryEvent[] {
  return events.filter((event): event is EntryEvent => event.type === 'entry');
}
