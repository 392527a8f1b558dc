/** A journal that is written anew as it grows says the same, and stays short. */
import { open, readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import test from 'ava';
import { checksum } from '../../../protocol/checksum.ts';
import { limits } from '../../../protocol/limits.ts';
import { Ledger } from '../../../protocol/segments.ts';
import { pooledIo } from '../../../transfer/local/file-io.ts';
import type { JournalRun } from '../../../transfer/local/journal.ts';
import { JournalFile, journalSlackBytes } from '../../../transfer/local/journal-file.ts';
import { readJournal } from '../../../transfer/local/journal-replay.ts';
import { encodeSnapshot } from '../../../transfer/local/journal-snapshot.ts';
import { randomOf, seed } from '../../system/helpers/seed.ts';
import { bytesOf, chunkBytes, offerOf } from '../helpers/stored-files.ts';
import { newFolder, openStorage } from './folder-fixture.ts';

const { segmentChunks } = limits;

/** What a ledger says: ranges held, checksums of whole segments, chunks of the others. */
function said(ledger: Ledger, chunks: number): unknown[] {
  const segments = Array.from({ length: Math.ceil(chunks / segmentChunks) }, (_, s) => [
    ledger.segmentChecksum(s, chunks),
    [...ledger.openChunks(s)],
  ]);
  return [[...ledger.held], segments];
}

for (const executor of ['inline', 'worker'] as const) {
  test(`promise 3: written chunk by chunk, the journal stays short (${executor})`, async (t) => {
    const random = randomOf(executor);
    t.log(`FERRY_TEST_SEED=${seed}`);
    const root = await newFolder(t);
    const storage = await openStorage(t, { root, executor });
    // So many that their runs take several times the length at which a journal is written anew.
    const chunks = 25_000;
    const content = bytesOf(chunkBytes);
    const sum = checksum(content);
    const offer = offerOf(chunks * chunkBytes);
    const sink = await storage.openSink('f', offer, false);
    const busy: Promise<void>[] = [];
    for (let index = 0; index < chunks; index += 1) {
      busy.push(sink.write(index, [content], [sum]));
      if (busy.length < 100) continue;
      await Promise.all(busy.splice(0));
      if (index % 1000 === 999) busy.push(sink.checkpoint());
      const whole = Math.floor(index / segmentChunks);
      if (whole > 0 && random() < 1 / 20) sink.forget(Math.floor(random() * whole));
    }
    await Promise.all(busy);
    const expected = said(sink.ledger, chunks);
    await sink.close();

    const staging = join(root, '.chunkferry');
    const names = await readdir(staging);
    t.deepEqual(names.map((name) => name.replace(/^[^.]*/, '')).sort(), ['.data', '.journal']);
    const journal = names.find((name) => name.endsWith('.journal')) as string;
    const { size } = await stat(join(staging, journal));
    t.true(size < 2 * journalSlackBytes, `${size} bytes`);
    const again = await storage.openSink('f', offer, false);
    t.deepEqual(said(again.ledger, chunks), expected);
    await again.discard();
    t.deepEqual(await readdir(staging), []);
  });
}

test('a journal that cannot be written anew goes on as it is', async (t) => {
  const file = join(await newFolder(t), 'journal');
  const handle = await open(file, 'w+');
  let tries = 0;
  const journal = new JournalFile(handle.fd, 0, {
    io: pooledIo,
    snapshot: async () => new Uint8Array(),
    replaceJournal: () => {
      tries += 1;
      return Promise.reject(new Error('no space'));
    },
    syncNames: async () => undefined,
  });
  await journal.append({ type: 'header', chunkBytes, path: 'f', identity: new Uint8Array() });
  const runChunks = 100;
  const run = (first: number): JournalRun => ({
    type: 'run',
    first,
    bytes: runChunks * chunkBytes,
    sums: new Uint8Array(runChunks * 8),
  });
  const runs = 2000;
  for (let i = 0; i < runs; i += 1) await journal.append(run(i * runChunks));
  // After each failure it waits until the journal has doubled.
  t.true(tries > 0 && tries < 10, `${tries} tries`);
  const { size } = await handle.stat();
  const state = await readJournal(handle.fd, size, runs * runChunks * chunkBytes);
  t.deepEqual([...(state?.ledger.held ?? [])], [{ start: 0, end: runs * runChunks }]);
  await handle.close();
});

test('a journal of segments claims no more than the data has', async (t) => {
  const file = join(await newFolder(t), 'journal');
  const handle = await open(file, 'w+');
  t.teardown(() => handle.close());
  const ledger = new Ledger();
  const segments = 10_000;
  for (let s = 0; s < segments; s += 1) ledger.addSegment(s, BigInt(s), segmentChunks);
  ledger.add(segments * segmentChunks, 7n);
  const header = { type: 'header', chunkBytes, path: 'f', identity: new Uint8Array() } as const;
  const dataBytes = segments * segmentChunks * chunkBytes + 5;
  const bytes = encodeSnapshot(header, ledger, dataBytes);
  t.true(bytes.byteLength < segments * 8 + 500);
  await handle.write(bytes);
  const whole = await readJournal(handle.fd, bytes.byteLength, dataBytes);
  t.false(whole?.damaged);
  t.deepEqual(
    said(whole?.ledger as Ledger, segments * segmentChunks + 1),
    said(ledger, segments * segmentChunks + 1),
  );
  const cut = await readJournal(handle.fd, bytes.byteLength, dataBytes / 2);
  t.true(cut?.damaged);
  t.deepEqual(
    [...(cut?.ledger.held ?? [])],
    [{ start: 0, end: Math.floor(segments / 2) * segmentChunks }],
  );
});
