/**
 * The storage, found after a crash in every state that a disk without mercy may be in: a name shows its
 * old or its new content, whole; what was acknowledged is there; and the same thing done again ends well.
 */
import './helpers/recording.ts';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { mkdir, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import test, { type ExecutionContext } from 'ava';
import { checksum } from '../../../protocol/checksum.ts';
import { openLocalStorage } from '../../../transfer/local/local-storage.ts';
import type { SmallFile, Storage } from '../../../transfer/storage.ts';
import { randomOf, seed } from '../../system/helpers/seed.ts';
import { quickFolder } from '../../system/helpers/wait.ts';
import { join, TestDaemon } from '../helpers/ends.ts';
import { contentOf, folder, mtimeNs, smallFile, sourceOf, upload } from '../helpers/files.ts';
import { failureOf } from '../helpers/outcome.ts';
import { uploadPage } from '../helpers/pages.ts';
import { type CrashState, crashStates, materialize } from './helpers/crash-states.ts';
import { Recording } from './helpers/recording.ts';

const chunkBytes = 1024;
const oldContent = Buffer.from(contentOf(3 * chunkBytes + 5, 1));
const newContent = Buffer.from(contentOf(4 * chunkBytes + 9, 2));

type Content = Buffer | 'folder' | undefined;
/** What a name of the folder shows. */
type Look = (path: string) => Content;

interface History {
  /** Where it is recorded: file systems are not all synced in the same way. */
  readonly place?: string;
  /** Of so many moments one is looked at. */
  readonly every?: number;
  /** Before it begins, all of it on the disk. */
  readonly prepare?: (root: string) => Promise<void>;
  /** What is recorded; calls `told` for each thing that is acknowledged. */
  readonly run: (storage: Storage, told: (what: string) => void) => Promise<void>;
  /** A sentence about what is wrong in a state; undefined when all is well. */
  readonly wrong: (look: Look, told: ReadonlySet<string>) => string | undefined;
  /** Does the same again, on what the crash left. */
  readonly again: (daemon: TestDaemon) => Promise<void>;
  /** After `again`. */
  readonly wrongAtLast: (look: Look) => string | undefined;
}

function lookIn(root: string): Look {
  return (path) => {
    try {
      return readFileSync(`${root}/${path}`);
    } catch (error) {
      return (error as NodeJS.ErrnoException).code === 'EISDIR' ? 'folder' : undefined;
    }
  };
}

const same = (a: Content, b: Content): boolean =>
  Buffer.isBuffer(a) && Buffer.isBuffer(b) ? a.equals(b) : a === b;

/** `path` shows one of these. */
function shows(look: Look, path: string, ...allowed: Content[]): string | undefined {
  const content = look(path);
  if (allowed.some((one) => same(one, content))) return undefined;
  const what = Buffer.isBuffer(content) ? `${content.length} bytes` : (content ?? 'nothing');
  return `${path} shows ${what} that it must not`;
}

function temporary(place: string = quickFolder): string {
  return mkdtempSync(`${place}/chunkferry-`);
}

async function record(history: History, durability: 'fsync' | 'none'): Promise<Recording> {
  const root = temporary(history.place);
  try {
    await history.prepare?.(root);
    const recording = Recording.begin(root);
    const storage = await openLocalStorage({ root, durability, lock: true });
    await history.run(storage, (what) => recording.told(what));
    await storage.close();
    recording.end();
    return recording;
  } finally {
    rmSync(root, { recursive: true });
  }
}

/** Opens what a crash left, looks at it, and does the same thing again. */
async function examine(history: History, state: CrashState): Promise<string | undefined> {
  const root = temporary();
  try {
    materialize(state.tree, root);
    const look = lookIn(root);
    const storage = await openLocalStorage({ root, durability: 'none', lock: true });
    const daemon = new TestDaemon(storage);
    try {
      const problem = history.wrong(look, state.told);
      if (problem !== undefined) return problem;
      await history.again(daemon);
      return history.wrongAtLast(look) ?? leftovers(root);
    } finally {
      await daemon.service.settled();
      await storage.close();
    }
  } catch (error) {
    return `it fails: ${String(error)}`;
  } finally {
    rmSync(root, { recursive: true });
  }
}

function leftovers(root: string): string | undefined {
  const names = readdirSync(root).includes('.chunkferry') ? readdirSync(`${root}/.chunkferry`) : [];
  const left = names.filter((name) => name !== 'lock');
  return left.length === 0 ? undefined : `staging keeps ${left.join(', ')}`;
}

/** Of what is not synced at a moment, so many parts are drawn where not all are counted out. */
const drawnStates = 8;
/** That many are enough to tell. */
const problemsMost = 5;

interface Findings {
  readonly states: number;
  readonly problems: readonly string[];
}

async function explore(
  name: string,
  history: History,
  durability: 'fsync' | 'none',
): Promise<Findings> {
  const recording = await record(history, durability);
  const problems: string[] = [];
  let states = 0;
  for (const state of crashStates(recording, randomOf(name), drawnStates, history.every)) {
    states += 1;
    const problem = await examine(history, state);
    if (problem !== undefined) problems.push(`${problem}: ${state.about}`);
    if (problems.length === problemsMost) break;
  }
  return { states, problems };
}

async function writeChunk(
  sink: Awaited<ReturnType<Storage['openSink']>>,
  content: Buffer,
  index: number,
): Promise<void> {
  const slice = content.subarray(index * chunkBytes, (index + 1) * chunkBytes);
  await sink.write(index, [slice], [checksum(slice)]);
}

async function uploadAgain(daemon: TestDaemon, path: string): Promise<void> {
  const { client } = join(daemon);
  try {
    await upload(client, sourceOf(newContent), { path, chunkBytes });
  } finally {
    client.close();
  }
}

async function offered(storage: Storage, path: string): ReturnType<Storage['openSink']> {
  const { size, mode, identity } = sourceOf(newContent);
  const offer = { size, mtimeNs, mode, identity, chunkBytes, rewindable: true };
  return await storage.openSink(path, offer, false);
}

const committed = { size: newContent.length, mtimeNs, mode: 0o644 };

/** A file arrives under `path`, chunk by chunk, with a checkpoint between. */
function uploadOf(path: string, before: Content): History {
  return {
    ...(before === undefined
      ? {}
      : { prepare: (root: string) => writeFile(`${root}/${path}`, oldContent) }),
    async run(storage, told) {
      const sink = await offered(storage, path);
      await writeChunk(sink, newContent, 0);
      await writeChunk(sink, newContent, 1);
      await sink.checkpoint();
      for (let i = 2; i < 5; i += 1) await writeChunk(sink, newContent, i);
      await sink.commit(committed);
      told('complete');
    },
    wrong: (look, told) =>
      told.has('complete') ? shows(look, path, newContent) : shows(look, path, newContent, before),
    again: (daemon) => uploadAgain(daemon, path),
    wrongAtLast: (look) => shows(look, path, newContent),
  };
}

/** What an earlier process left is continued. */
const resumed: History = {
  ...uploadOf('file', oldContent),
  async prepare(root) {
    await writeFile(`${root}/file`, oldContent);
    const storage = await openLocalStorage({ root, durability: 'none', lock: true });
    const sink = await offered(storage, 'file');
    for (let i = 0; i < 3; i += 1) await writeChunk(sink, newContent, i);
    await sink.close();
    await storage.close();
  },
  async run(storage, told) {
    const sink = await offered(storage, 'file');
    for (let i = 3; i < 5; i += 1) await writeChunk(sink, newContent, i);
    await sink.commit(committed);
    told('complete');
  },
};

const pageFiles = [
  folder('new'),
  smallFile('new/one', newContent),
  smallFile('two', newContent),
  folder('new/deep'),
  smallFile('new/deep/empty', ''),
];

/** A page of these and `others`, of which each is there or not. */
function pageOf(others: readonly SmallFile[]): History {
  const files = [...pageFiles, ...others];
  return {
    prepare: (root) => writeFile(`${root}/two`, oldContent),
    async run(storage, told) {
      const failures = await storage.putSmall('', files);
      if (failures.every((failure) => failure === undefined)) told('results');
    },
    wrong(look, told) {
      const isTold = told.has('results');
      const absent = isTold ? [] : [undefined];
      return (
        shows(look, 'new/one', newContent, ...absent) ??
        shows(look, 'two', newContent, ...(isTold ? [] : [oldContent])) ??
        shows(look, 'new/deep/empty', Buffer.alloc(0), ...absent) ??
        firstOf(others, ({ entry, content }) =>
          shows(look, entry.path, Buffer.from(content), ...absent),
        )
      );
    },
    async again(daemon) {
      const { client } = join(daemon);
      try {
        await uploadPage(client, files);
      } finally {
        client.close();
      }
    },
    wrongAtLast: (look) =>
      shows(look, 'new/one', newContent) ??
      shows(look, 'two', newContent) ??
      shows(look, 'new/deep/empty', Buffer.alloc(0)) ??
      firstOf(others, ({ entry, content }) => shows(look, entry.path, Buffer.from(content))),
  };
}

function firstOf<T>(all: readonly T[], of: (one: T) => string | undefined): string | undefined {
  return all.map(of).find((one) => one !== undefined);
}

/** So many that their whole file system is synced. */
const manyFiles = Array.from({ length: 32 }, (_, i) => smallFile(`many/${i}`, contentOf(50, i)));

/** A thing at `from` moves to another folder: it is never nowhere, and may be moved again. */
function moveOf(
  prepare: (root: string) => Promise<void>,
  content: (path: string) => string,
): History {
  const isThere = (look: Look, path: string): boolean => same(look(content(path)), oldContent);
  return {
    async prepare(root) {
      await Promise.all([mkdir(`${root}/a`), mkdir(`${root}/b`)]);
      await prepare(root);
    },
    async run(storage, told) {
      await storage.rename('a/from', 'b/to');
      told('done');
    },
    wrong(look, told) {
      const [before, after] = [isThere(look, 'a/from'), isThere(look, 'b/to')];
      if (told.has('done')) return after && !before ? undefined : 'the move is not as acknowledged';
      return before || after ? undefined : 'what was moved is nowhere';
    },
    // Cut short, a file may have both names, and a folder's new name may be held by an empty one.
    async again({ storage }) {
      const failure = await failureOf(storage.rename('a/from', 'b/to'));
      if (failure !== 'exists') return;
      await storage.remove('b/to', false);
      await storage.rename('a/from', 'b/to');
    },
    wrongAtLast: (look) =>
      isThere(look, 'b/to') && look('a/from') === undefined
        ? undefined
        : 'it cannot be moved again',
  };
}

const moveFile = moveOf(
  (root) => writeFile(`${root}/a/from`, oldContent),
  (path) => path,
);

const moveFolder = moveOf(
  async (root) => {
    await mkdir(`${root}/a/from`);
    await writeFile(`${root}/a/from/inside`, oldContent);
  },
  (path) => `${path}/inside`,
);

const folders: History = {
  async prepare(root) {
    await mkdir(`${root}/gone/deep`, { recursive: true });
    await writeFile(`${root}/gone/deep/file`, oldContent);
  },
  async run(storage, told) {
    await storage.mkdir('x/y/z', true);
    told('mkdir');
    await storage.remove('gone', true);
    told('remove');
  },
  wrong: (look, told) =>
    (told.has('mkdir') ? shows(look, 'x/y/z', 'folder') : undefined) ??
    (told.has('remove') ? shows(look, 'gone', undefined) : undefined),
  async again({ storage }) {
    await storage.mkdir('x/y/z', true);
    await storage.remove('gone', true).catch(() => undefined);
  },
  wrongAtLast: (look) => shows(look, 'x/y/z', 'folder') ?? shows(look, 'gone', undefined),
};

const histories: Readonly<Record<string, History>> = {
  'an upload to a new name': uploadOf('file', undefined),
  'an upload that replaces': uploadOf('file', oldContent),
  'a resumed upload': resumed,
  'a page of small files': pageOf([]),
  'a page of small files on a disk': { ...pageOf([]), place: tmpdir() },
  'a page of many small files on a disk': { ...pageOf(manyFiles), place: tmpdir(), every: 8 },
  'the move of a file': moveFile,
  'the move of a folder': moveFolder,
  'mkdir and remove': folders,
};

function report(t: ExecutionContext, name: string, { states, problems }: Findings): void {
  t.log(`${name}: ${states} states, ${problems.length} wrong (FERRY_TEST_SEED=${seed})`);
}

for (const [name, history] of Object.entries(histories)) {
  test.serial(`promises 1 and 2: ${name} in every state that a crash may leave`, async (t) => {
    const findings = await explore(name, history, 'fsync');
    report(t, name, findings);
    t.deepEqual(findings.problems, []);
    t.true(findings.states > 5);
  });

  test.serial(`the control: without syncs, ${name} is lost in some of them`, async (t) => {
    const findings = await explore(name, history, 'none');
    report(t, name, findings);
    t.true(findings.problems.length > 0);
  });
}
