/** Pages of small files that wait for the disk while other things go on. */
import './helpers/held-syncs.ts';
import { existsSync, readdirSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import test, { type ExecutionContext } from 'ava';
import { defaultPolicy } from '../../../protocol/frames/transfer.ts';
import type { LocalStorage } from '../../../transfer/local/local-storage.ts';
import { until } from '../../system/helpers/wait.ts';
import {
  fileEntry,
  folderEntry,
  mtimeNs,
  offerOf,
  put,
  smallFile,
  writeChunks,
} from '../helpers/stored-files.ts';
import { newFolder, openStorage } from './folder-fixture.ts';
import { heldSyncs, holdSyncs, letAllGo, letOneGo } from './helpers/held-syncs.ts';

interface Stage {
  readonly root: string;
  readonly storage: LocalStorage;
  /** Small files that have no name yet. */
  readonly staged: () => number;
}

async function onStage(t: ExecutionContext, { lock = true } = {}): Promise<Stage> {
  const root = await newFolder(t);
  const storage = await openStorage(t, { root, lock });
  t.teardown(letAllGo);
  holdSyncs();
  const staged = (): number =>
    readdirSync(`${root}/.chunkferry`).filter((name) => name.endsWith('.tmp')).length;
  return { root, storage, staged };
}

/** Whether `promise` is settled, after whatever needs no sync has had its time. */
async function isSettled(promise: Promise<unknown>): Promise<boolean> {
  let settled = false;
  const note = (): void => void (settled = true);
  promise.then(note, note);
  await sleep(30);
  return settled;
}

const oneWaits = (): Promise<void> => until('a sync waits', () => heldSyncs() > 0);

test.serial('promise 1: a page is told when the disk has its names, too', async (t) => {
  const { root, storage } = await onStage(t);
  const storing = put(t, storage, smallFile('new/one', '1'));
  await oneWaits();
  t.false(existsSync(`${root}/new`), 'no name before its content is on the disk');
  letOneGo();
  await oneWaits();
  t.true(existsSync(`${root}/new/one`));
  t.false(await isSettled(storing));
  letAllGo();
  await storing;
});

test.serial('a page is written while the one before it waits for the disk', async (t) => {
  const { storage, staged } = await onStage(t);
  const first = put(t, storage, smallFile('a', '1'), smallFile('b', '2'));
  await oneWaits();
  const second = put(t, storage, smallFile('c', '3'));
  await until('both are staged', () => staged() === 3);
  letAllGo();
  await Promise.all([first, second]);
});

test.serial('pages get their names in the order in which they came', async (t) => {
  const { storage } = await onStage(t);
  const storing = Promise.all([
    put(t, storage, smallFile('d/file', 'x')),
    put(t, storage, folderEntry('d')),
  ]);
  await oneWaits();
  letAllGo();
  await storing;
  t.is((await storage.stat('d')).mtimeNs, mtimeNs, 'the file came before the time of its folder');
});

test.serial('a limited number of pages keep their files open', async (t) => {
  const { storage, staged } = await onStage(t);
  const pages = Array.from({ length: 8 }, (_, i) =>
    put(t, storage, smallFile(`${i}/a`, 'x'), smallFile(`${i}/b`, 'x')),
  );
  await oneWaits();
  t.false(await isSettled(Promise.race(pages)));
  t.is(staged(), 2 * 2);
  t.is(heldSyncs(), 1, 'one thread of the pool works for them');
  letAllGo();
  await Promise.all(pages);
  t.is((await storage.stat('7/b')).size, 1);
});

const counting: Readonly<Record<string, (storage: LocalStorage) => Promise<unknown>>> = {
  'a folder in it': (storage) => storage.mkdir('new/deep', false),
  'a move into it': (storage) => storage.rename('other', 'new/other'),
  'its name found unchanged': async (storage) =>
    storage.examine('', [fileEntry('new/one', 1)], defaultPolicy),
  'its name found, and not to be overwritten': async (storage) =>
    storage.examine('', [fileEntry('new/one', 2)], { ...defaultPolicy, overwrite: 'never' }),
  'its name looked up': (storage) => storage.stat('new/one'),
  'its mode and time set': (storage) => storage.touch('new/one', { mtimeNs, mode: 0o600 }),
  'a large file in it': async (storage) => {
    const content = new Uint8Array(10);
    const sink = await storage.openSink('new/large', offerOf(content.length), true);
    await writeChunks(sink, content);
    await sink.commit({ size: content.length, mtimeNs, mode: 0o644 });
    await sink.close();
  },
};
for (const [what, use] of Object.entries(counting)) {
  test.serial(`promise 1: what counts on a page's folder waits for it: ${what}`, async (t) => {
    const { storage } = await onStage(t);
    const storing = put(t, storage, smallFile('other', 'x'), smallFile('new/one', '1'));
    await oneWaits();
    letOneGo();
    await oneWaits();
    const using = use(storage);
    t.false(await isSettled(using));
    letAllGo();
    await Promise.all([storing, using]);
  });
}

test.serial('what is wanted anyway is told while pages wait for the disk', async (t) => {
  const { storage } = await onStage(t);
  const storing = put(t, storage, smallFile('new/one', '1'));
  await oneWaits();
  letOneGo();
  await oneWaits();
  t.deepEqual(await storage.examine('', [fileEntry('new/two', 1)], defaultPolicy), ['want']);
  letAllGo();
  await storing;
});

for (const lock of [true, false]) {
  test.serial(`closing waits for the pages that are under way, lock: ${lock}`, async (t) => {
    const { root, storage } = await onStage(t, { lock });
    const storing = put(t, storage, smallFile('new/one', '1'));
    await oneWaits();
    const closing = storage.close();
    t.false(await isSettled(closing));
    letAllGo();
    await Promise.all([storing, closing]);
    t.true(existsSync(`${root}/new/one`));
    t.is(existsSync(`${root}/.chunkferry`), lock, 'an empty staging folder goes with its user');
  });
}
