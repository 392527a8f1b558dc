/**
 * Every call to the file system goes wrong once, in each way that it can: nothing that failed is called
 * done, no name shows a part, and the same thing done again, once the disk is well, ends well.
 */
import './helpers/failing-calls.ts';
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import test, { type ExecutionContext } from 'ava';
import { FerryError } from '../../../protocol/errors.ts';
import { openLocalStorage } from '../../../transfer/local/local-storage.ts';
import type { Storage } from '../../../transfer/storage.ts';
import { quickFolder } from '../../system/helpers/wait.ts';
import { bytesOf, chunkBytes, offerOf, smallFile, writeChunks } from '../helpers/stored-files.ts';
import { type Fault, faultsOf, withFault } from './helpers/failing-calls.ts';

const oldContent = Buffer.from(bytesOf(1000, 1));
const newContent = Buffer.from(bytesOf(3 * chunkBytes + 17, 2));
const smallContent = Buffer.from(bytesOf(5000, 3));

/** Something that is done to a storage, and how the folder must look. */
interface Work {
  readonly prepare: (root: string) => Promise<void>;
  /** Rejects when it fails. */
  readonly run: (storage: Storage) => Promise<void>;
  /** Throws when the folder shows what it never may. */
  readonly never: (root: string) => Promise<void>;
  /** Throws when the folder is not as after a success. */
  readonly done: (root: string) => Promise<void>;
}

const contentAt = (path: string): Promise<Buffer | undefined> =>
  readFile(path).catch(() => undefined);

async function holds(path: string, ...allowed: (Buffer | undefined)[]): Promise<void> {
  const content = await contentAt(path);
  const isAllowed = allowed.some((one) => (one === undefined ? !content : content?.equals(one)));
  if (!isAllowed) throw new Error(`${path} shows ${content?.length ?? 'no'} bytes`);
}

const upload: Work = {
  prepare: (root) => writeFile(`${root}/file`, oldContent),
  async run(storage) {
    const sink = await storage.openSink('file', offerOf(newContent.length), false);
    try {
      // What an earlier attempt left is not looked at again here: all is written.
      await writeChunks(sink, newContent, { to: 2 });
      await sink.checkpoint();
      await writeChunks(sink, newContent, { from: 2 });
      await sink.commit({ size: newContent.length, mtimeNs: 0n, mode: 0o644 });
    } finally {
      await sink.close();
    }
  },
  never: (root) => holds(`${root}/file`, oldContent, newContent),
  done: (root) => holds(`${root}/file`, newContent),
};

/** A partial begun anew, of which an earlier attempt left something. */
const fresh: Work = {
  ...upload,
  async prepare(root) {
    await upload.prepare(root);
    const storage = await openLocalStorage({ root, durability: 'none', lock: true });
    const sink = await storage.openSink('file', offerOf(newContent.length), false);
    await writeChunks(sink, newContent, { to: 1 });
    await sink.close();
    await storage.close();
  },
  async run(storage) {
    const sink = await storage.openSink('file', offerOf(newContent.length), true);
    try {
      await writeChunks(sink, newContent);
      await sink.commit({ size: newContent.length, mtimeNs: 0n, mode: 0o644 });
    } finally {
      await sink.close();
    }
  },
};

const page: Work = {
  prepare: (root) => writeFile(`${root}/two`, oldContent),
  async run(storage) {
    const files = [smallFile('new/one', smallContent), smallFile('two', smallContent)];
    const failure = (await storage.putSmall('', files)).find((one) => one !== undefined);
    if (failure !== undefined) throw failure;
  },
  async never(root) {
    await holds(`${root}/new/one`, smallContent, undefined);
    await holds(`${root}/two`, oldContent, smallContent);
  },
  async done(root) {
    await holds(`${root}/new/one`, smallContent);
    await holds(`${root}/two`, smallContent);
  },
};

const folders: Work = {
  async prepare(root) {
    await mkdir(`${root}/gone/deep`, { recursive: true });
    await writeFile(`${root}/gone/deep/file`, oldContent);
    await writeFile(`${root}/kept`, oldContent);
  },
  async run(storage) {
    await storage.mkdir('x/y', true);
    await storage.remove('gone', true).catch((error: unknown) => {
      if (!(error instanceof FerryError) || error.failure !== 'not-found') throw error;
    });
  },
  never: (root) => holds(`${root}/kept`, oldContent),
  async done(root) {
    if (!readdirSync(root).includes('x') || readdirSync(root).includes('gone')) {
      throw new Error('folders are not made and removed');
    }
  },
};

const move: Work = {
  async prepare(root) {
    await mkdir(`${root}/to`);
    await writeFile(`${root}/from`, oldContent);
  },
  async run(storage) {
    try {
      await storage.rename('from', 'to/file');
    } catch (error) {
      const failure = error instanceof FerryError ? error.failure : undefined;
      // Both names may be left of an attempt that failed, and the new one alone.
      if (failure === 'exists') await storage.remove('from', false);
      else if (failure !== 'not-found') throw error;
    }
  },
  async never(root) {
    if (await contentAt(`${root}/from`)) return;
    await holds(`${root}/to/file`, oldContent);
  },
  async done(root) {
    await holds(`${root}/to/file`, oldContent);
    await holds(`${root}/from`, undefined);
  },
};

const reading: Work = {
  async prepare(root) {
    await mkdir(`${root}/sub`);
    await writeFile(`${root}/sub/file`, smallContent);
  },
  async run(storage) {
    const [small] = await storage.readSmall('', ['sub/file']);
    if (small === undefined || !('content' in small)) throw small ?? new Error('nothing came');
    if (!smallContent.equals(small.content)) throw new Error('other bytes came');
    const source = await storage.openSource('sub/file');
    try {
      const bytes = Buffer.alloc(smallContent.length);
      await source.read(bytes, 0);
      if (!bytes.equals(smallContent)) throw new Error('other bytes were read');
    } finally {
      await source.close();
    }
    const names: string[] = [];
    for await (const entries of storage.list('', { recursive: true, contentTypes: false })) {
      for (const { path, kind } of entries) names.push(`${kind} ${path}`);
    }
    if (names.some((name) => name.startsWith('unreadable'))) throw new FerryError('io', 'Listed.');
    if (names.join() !== 'directory sub,file sub/file') throw new Error(`listed ${names.join()}`);
  },
  never: (root) => holds(`${root}/sub/file`, smallContent),
  done: (root) => holds(`${root}/sub/file`, smallContent),
};

interface Stage {
  readonly root: string;
  readonly storage: Storage;
}

async function onStage<T>(work: Work, play: (stage: Stage) => Promise<T>): Promise<T> {
  const root = mkdtempSync(`${quickFolder}/chunkferry-`);
  try {
    await work.prepare(root);
    const storage = await openLocalStorage({ root, lock: true });
    try {
      return await play({ root, storage });
    } finally {
      await storage.close();
    }
  } finally {
    rmSync(root, { recursive: true, force: true });
  }
}

const staged = (root: string): string[] =>
  readdirSync(`${root}/.chunkferry`).filter((name) => name !== 'lock');

async function goesWrong(t: ExecutionContext, work: Work, fault: Fault): Promise<void> {
  const about = `${fault.how} from call ${fault.at}, ${fault.name}`;
  await onStage(work, async ({ root, storage }) => {
    let failure: Error | undefined;
    await withFault(fault, () => work.run(storage)).catch((error: Error) => {
      failure = error;
    });
    await t.notThrowsAsync(work.never(root), about);
    if (failure === undefined) await t.notThrowsAsync(work.done(root), `called done: ${about}`);
    else {
      t.true(failure instanceof FerryError, `${about}: ${failure.message}`);
      t.false(failure.message.includes(root), about);
    }
    // A write that ends halfway goes on, and what a file system says of itself is not needed.
    if (fault.how === 'short' || fault.name === 'statfsSync') t.is(failure, undefined, about);
    const isSync = /^f(data)?sync/.test(fault.name);
    if (isSync && failure !== undefined) {
      const left = staged(root).filter((name) => name.endsWith('.data'));
      t.deepEqual(left, [], `nothing is kept that a sync has failed for: ${about}`);
    }
    // The disk is well again.
    await t.notThrowsAsync(work.run(storage), `again: ${about}`);
    await t.notThrowsAsync(work.done(root), `again: ${about}`);
    t.deepEqual(staged(root), [], about);
  });
}

const descriptors = (): number | undefined => {
  try {
    return readdirSync('/proc/self/fd').length;
  } catch {
    return undefined; // Only Linux tells.
  }
};

for (const [name, work] of Object.entries({ upload, fresh, page, folders, move, reading })) {
  test.serial(`every call that goes wrong: ${name}`, async (t) => {
    const faults = await onStage(work, ({ storage }) => faultsOf(() => work.run(storage)));
    await onStage(work, ({ storage }) => work.run(storage));
    const before = descriptors();
    for (const fault of faults) await goesWrong(t, work, fault);
    t.log(`${faults.length} faults`);
    t.true(faults.length > 10);
    t.is(descriptors(), before, 'no descriptor is left open');
  });
}
