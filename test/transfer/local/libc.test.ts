/** What the C library is asked, and what Node is asked in its place, have the same results. */
import {
  chownSync,
  closeSync,
  constants,
  fstatSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  symlinkSync,
  truncateSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { arch } from 'node:os';
import { Worker } from 'node:worker_threads';
import test, { type ExecutionContext } from 'ava';
import fc from 'fast-check';
import { setModified } from '../../../transfer/local/entries.ts';
import { Directory, Folder, openDirectoryAt } from '../../../transfer/local/folder.ts';
import { type Libc, libc, loadLibc, useLibc } from '../../../transfer/local/libc.ts';
import { namesIn } from '../../../transfer/local/names.ts';
import { readSmall } from '../../../transfer/local/small-files.ts';
import { isLinux } from '../../system/helpers/scene.ts';
import { seed } from '../../system/helpers/seed.ts';
import { quickFolder } from '../../system/helpers/wait.ts';

const { O_CREAT, O_DIRECTORY, O_EXCL, O_NOFOLLOW, O_NONBLOCK, O_RDONLY, O_RDWR, O_WRONLY } =
  constants;
const isSupported = isLinux && (arch() === 'x64' || arch() === 'arm64');
const testWithLibc = isSupported ? test.serial : test.serial.skip;

/** As a program finds it that has just begun. */
let callsBefore = 0;
while (libc() === undefined && callsBefore < 1000) callsBefore += 1;

const native = loadLibc();
/** The user and group that own nothing. */
const nobody = 65_534;
const storageUrl = new URL('../../../transfer/local/local-storage.js', import.meta.url).href;
const failing: Libc = {
  statusAt: () => undefined,
  status: () => undefined,
  namesOf: () => undefined,
  openAt: () => -1,
  renameAt: () => false,
  setModified: () => false,
  reserve: () => false,
  startWriting: () => undefined,
  syncFileSystem: async () => false,
};
const ways = {
  'the C library': native,
  Node: undefined,
  'Node, after the C library failed': failing,
};
const names = [
  'file',
  'ünï 日本 🚢',
  ' ',
  '%s\n',
  'a'.repeat(255),
  'folder',
  'link',
  'lost',
  'pipe',
  'huge',
  'old',
  'missing',
  'file/',
  'file/x',
  'b'.repeat(256),
  '',
];

function newDirectory(t: ExecutionContext): Directory {
  const path = mkdtempSync(`${quickFolder}/chunkferry-`);
  const directory = new Directory(openSync(path, O_RDONLY | O_DIRECTORY), path);
  t.teardown(() => {
    closeSync(directory.fd);
    rmSync(path, { recursive: true });
    useLibc(native);
  });
  return directory;
}

function fill(directory: Directory): void {
  for (const name of names.slice(0, 5)) writeFileSync(directory.at(name), name, { mode: 0o640 });
  mkdirSync(directory.at('folder'), { mode: 0o711 });
  symlinkSync('file', directory.at('link'));
  symlinkSync('nowhere', directory.at('lost'));
  writeFileSync(directory.at('huge'), '');
  truncateSync(directory.at('huge'), 5 * 2 ** 40 + 3);
  writeFileSync(directory.at('old'), '');
  utimesSync(directory.at('old'), 0, -86_400.25);
}

/** What `run` gives or throws, by each of the ways. */
function byEach(run: () => unknown): unknown[] {
  return Object.values(ways).map((calls) => {
    useLibc(calls);
    try {
      return run();
    } catch (error) {
      const { code, syscall } = error as NodeJS.ErrnoException;
      return { code, syscall };
    }
  });
}

function alike(t: ExecutionContext, results: readonly unknown[], what: string): void {
  for (const result of results)
    t.deepEqual(result, results[0], `${what} (FERRY_TEST_SEED=${seed})`);
}

testWithLibc('the C library is there, for who calls it often', (t) => {
  t.not(native, undefined);
  t.true(callsBefore > 100 && callsBefore < 1000, String(callsBefore));
});

testWithLibc('a name is seen alike by each way', (t) => {
  const directory = newDirectory(t);
  fill(directory);
  for (const name of names) {
    const seen = byEach(() => {
      const status = directory.lstat(name);
      return status && [BigInt(status.mode), BigInt(status.size), status.mtimeNs];
    });
    alike(t, seen, JSON.stringify(name));
  }
  t.is(directory.lstat('huge')?.size.toString(), String(5 * 2 ** 40 + 3));
});

testWithLibc('times are alike by each way, and exact by the C library', (t) => {
  const directory = newDirectory(t);
  const fd = directory.open('file', O_RDWR | O_CREAT);
  t.teardown(() => closeSync(fd));
  const tolerance = 1_000n;
  // 1933 to 2006: what every file system holds.
  const bound = 2n ** 60n;
  fc.assert(
    fc.property(fc.bigInt({ min: -bound, max: bound }), (mtimeNs) => {
      useLibc(native);
      setModified(fd, mtimeNs);
      const stats = fstatSync(fd, { bigint: true });
      t.is(stats.mtimeNs, mtimeNs);
      t.true(Math.abs(Number(stats.atimeMs) - Date.now()) < 60_000);
      t.is(native?.status(fd)?.mtimeNs, mtimeNs);
      for (const calls of [undefined, failing]) {
        useLibc(calls);
        // As it was read once, it stays: a file that goes to and fro does not move.
        setModified(fd, mtimeNs);
        const once = fstatSync(fd, { bigint: true }).mtimeNs;
        setModified(fd, once);
        t.is(fstatSync(fd, { bigint: true }).mtimeNs, once);
        const off = fstatSync(fd, { bigint: true }).mtimeNs - mtimeNs;
        t.true(off < tolerance && -off < tolerance, String(mtimeNs));
      }
    }),
    { seed },
  );
});

testWithLibc('files are opened alike by each way, and closed for other programs', (t) => {
  const directory = newDirectory(t);
  fill(directory);
  const flags = [
    O_RDONLY | O_NOFOLLOW | O_NONBLOCK,
    O_RDONLY | O_DIRECTORY | O_NOFOLLOW,
    O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW,
    O_RDONLY,
  ];
  for (const name of names) {
    for (const flag of flags) {
      const opened = byEach(() => {
        const isNew = directory.lstat(name) === undefined;
        const fd = directory.open(name, flag, 0o604);
        try {
          const { mode, size } = fstatSync(fd);
          const ofDescriptor = readFileSync(`/proc/self/fdinfo/${fd}`, 'latin1');
          return [
            readlinkSync(`/proc/self/fd/${fd}`),
            mode,
            size,
            /flags:\s*(\d+)/.exec(ofDescriptor)?.[1],
          ];
        } finally {
          closeSync(fd);
          if (isNew) rmSync(directory.at(name));
        }
      });
      alike(t, opened, `${JSON.stringify(name)} with ${flag.toString(8)}`);
    }
  }
});

testWithLibc('names are given alike by each way', (t) => {
  const directory = newDirectory(t);
  for (const name of names) {
    for (const toName of ['new', 'folder', 'other/file', 'link', 'no/folder', name]) {
      const given = byEach(() => {
        for (const old of readdirSync(directory.base)) {
          rmSync(directory.at(old), { recursive: true });
        }
        fill(directory);
        mkdirSync(directory.at('other'));
        directory.rename(name, directory, toName);
        return lstatSync(directory.at(toName)).mode;
      });
      alike(t, given, `${JSON.stringify(name)} to ${toName}`);
    }
  }
});

function namesOf(directory: Directory): string[] {
  const names = namesIn(directory);
  try {
    const all: string[] = [];
    for (let name = names.next(); name !== undefined; name = names.next()) all.push(name);
    return all;
  } finally {
    names.close();
  }
}

testWithLibc('the names in a folder are alike by each way, odd and many ones, too', (t) => {
  const directory = newDirectory(t);
  for (const folder of ['none', 'odd', 'many']) mkdirSync(directory.at(folder));
  const odd = [...names.slice(0, 5), '...', '.a', '..a', '\n', '\x7f'];
  for (const name of odd) writeFileSync(directory.at(`odd/${name}`), '');
  writeFileSync(directory.atBytes(Buffer.from('odd/\xff\xfe.', 'latin1')), '');
  for (let i = 0; i < 3000; i += 1) {
    writeFileSync(directory.at(`many/${i}${'x'.repeat(i % 250)}`), '');
  }
  for (const [folder, count] of [
    ['none', 0],
    ['odd', odd.length + 1],
    ['many', 3000],
  ] as const) {
    for (const calls of [native, undefined]) {
      useLibc(calls);
      const opened = openDirectoryAt(directory, folder, undefined);
      const found = namesOf(opened);
      t.is(found.length, count, folder);
      t.deepEqual(found.toSorted(), readdirSync(directory.at(folder), 'latin1').toSorted());
      t.deepEqual(namesOf(opened), found, 'again from the beginning');
      closeSync(opened.fd);
    }
  }
});

testWithLibc('a folder that is removed while it is read has no more names', (t) => {
  const directory = newDirectory(t);
  for (const calls of [native, undefined]) {
    useLibc(calls);
    mkdirSync(directory.at('gone'));
    const opened = openDirectoryAt(directory, 'gone', undefined);
    const names = namesIn(opened);
    rmSync(directory.at('gone'), { recursive: true });
    t.is(names.next(), undefined);
    names.close();
    closeSync(opened.fd);
  }
});

testWithLibc('names that cannot be read are an error, not an end', (t) => {
  const directory = newDirectory(t);
  useLibc({ ...(native as Libc), namesOf: () => undefined });
  const names = namesIn(directory);
  t.throws(() => names.next(), { code: 'EIO' });
  names.close();
});

testWithLibc('the library may come in the midst of a page, and of a file', async (t) => {
  const directory = newDirectory(t);
  const paths = Array.from({ length: 40 }, (_, i) => `${i}`);
  for (const path of paths) writeFileSync(directory.at(path), 'content');
  const root = readlinkSync(directory.base);
  // It is asked for a few times for each file.
  for (let after = 100; after < 110; after += 1) {
    let calls = 0;
    const some = (): boolean => {
      calls += 1;
      return calls > after;
    };
    const own = native as Libc;
    useLibc({
      ...own,
      status: (fd) => (some() ? own.status(fd) : undefined),
      statusAt: (fd, name) => (some() ? own.statusAt(fd, name) : undefined),
      openAt: (fd, name, flags, mode) => (some() ? own.openAt(fd, name, flags, mode) : -1),
    });
    const folder = new Folder(root);
    const files = readSmall(folder, '', paths, new Uint8Array(1000));
    folder.close();
    t.true(calls > after);
    t.deepEqual(
      files.map((file) => ('failure' in file ? file : file.size)),
      paths.map(() => 7),
    );
  }
});

testWithLibc('a folder that may be read and not be searched has its names read', (t) => {
  const directory = newDirectory(t);
  mkdirSync(directory.at('folder'), { mode: 0o444 });
  if (process.getuid?.() === 0) chownSync(directory.at('folder'), nobody, nobody);
  const opened = openDirectoryAt(directory, 'folder', undefined);
  t.teardown(() => closeSync(opened.fd));
  asNobody(() => t.deepEqual(namesOf(opened), []));
});

/** Runs `run` as a user that owns next to nothing, where the tests run as root. */
function asNobody(run: () => void): void {
  if (process.getuid?.() !== 0) {
    run();
    return;
  }
  process.seteuid?.(nobody);
  try {
    run();
  } finally {
    process.seteuid?.(0);
  }
}

testWithLibc('in a thread that keeps account of descriptors only Node opens them', async (t) => {
  const directory = newDirectory(t);
  for (let i = 0; i < 300; i += 1) writeFileSync(directory.at(`${i}`), '');
  const script = `
    const { openLocalStorage } = await import(${JSON.stringify(storageUrl)});
    const storage = await openLocalStorage({ root: ${JSON.stringify(readlinkSync(directory.base))}, readOnly: true });
    const warnings = [];
    process.on('warning', ({ message }) => warnings.push(message));
    const paths = Array.from({ length: 300 }, (_, i) => String(i));
    for (let from = 0; from < 300; from += 100) {
      await storage.readSmall('', paths.slice(from, from + 100), new Uint8Array(new SharedArrayBuffer(1000)));
    }
    for await (const _ of storage.list('', { recursive: true, contentTypes: false }));
    await storage.close();
    await new Promise((resolve) => setImmediate(resolve));
    require('node:worker_threads').parentPort.postMessage(warnings);
  `;
  const worker = new Worker(`void (async () => {${script}})()`, { eval: true });
  const warnings = await new Promise((resolve, reject) => {
    worker.once('message', resolve);
    worker.once('error', reject);
  });
  t.deepEqual(warnings, []);
});
