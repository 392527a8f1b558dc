/** What may have happened to a partial on disk while nobody looked. */
import { randomInt } from 'node:crypto';
import { appendFile, readdir, readFile, rm, stat, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { checksum } from '../../../protocol/checksum.ts';
import { chunkChecksums } from '../../../protocol/segments.ts';
import { atOnce } from '../../../transfer/at-once.ts';
import { encodeRecord } from '../../../transfer/local/journal.ts';
import type { ChunkSink, Storage } from '../../../transfer/storage.ts';
import { zeroChecksum, zeroChunk } from '../../../transfer/zeros.ts';
import { bytesOf, chunkBytes, offerOf, sameBytes, writeChunks } from '../helpers/stored-files.ts';
import { newFolder, openStorage } from './folder-fixture.ts';

const content = bytesOf(40 * chunkBytes + 100);
const sums = chunkChecksums(content, chunkBytes);
const offer = offerOf(content.byteLength);

interface Left {
  readonly storage: Storage;
  readonly root: string;
  readonly data: string;
  readonly journal: string;
}

/** A storage with a partial of all but the first two chunks, and the paths of its two files. */
async function leavePartial(t: ExecutionContext): Promise<Left> {
  const root = await newFolder(t);
  const storage = await openStorage(t, { root, durability: 'none' });
  const sink = await storage.openSink('f', offer, false);
  await writeChunks(sink, content, { from: 2, run: 5 });
  await sink.close();
  const staging = join(root, '.chunkferry');
  const names = await readdir(staging);
  const named = (suffix: string): string =>
    join(staging, names.find((name) => name.endsWith(suffix)) ?? '');
  return { storage, root, data: named('.data'), journal: named('.journal') };
}

const heldOf = (sink: ChunkSink): number[][] =>
  [...sink.ledger.held].map(({ start, end }) => [start, end]);

/** No checksum of the ledger is wrong, whatever it holds. */
function claimsAreRight(t: ExecutionContext, sink: ChunkSink): void {
  for (const [index, sum] of sink.ledger.openChunks(0)) t.is(sum, sums[index] ?? -1n);
}

async function finish(
  t: ExecutionContext,
  { storage, root }: Left,
  sink: ChunkSink,
): Promise<void> {
  for (const { start, end } of sink.ledger.held.gaps(0, sums.length)) {
    await writeChunks(sink, content, { from: start, to: end });
  }
  await sink.commit({ size: content.byteLength, mtimeNs: 0n, mode: 0o600 });
  sameBytes(t, await readFile(join(root, 'f')), content);
  await storage.close();
  t.deepEqual(await readdir(root), ['f']);
}

test('untouched, it holds what was written', async (t) => {
  const left = await leavePartial(t);
  const sink = await left.storage.openSink('f', offer, false);
  t.deepEqual(heldOf(sink), [[2, 41]]);
  claimsAreRight(t, sink);
  await finish(t, left, sink);
});

test('a run is written at once, but for zeros and for what comes while another is under way', async (t) => {
  // A machine that stalls makes the disk look slow: then another attempt tells.
  let isAtOnce = false;
  for (let attempt = 0; attempt < 20 && !isAtOnce; attempt += 1) isAtOnce = await writtenAtOnce(t);
  t.true(isAtOnce);
});

/** Whether all that can be was written at once. */
async function writtenAtOnce(t: ExecutionContext): Promise<boolean> {
  const root = await newFolder(t);
  const storage = await openStorage(t, { root, durability: 'none' });
  const sink = await storage.openSink('f', offer, false);
  const write = (first: number, last: number): Promise<void> => {
    const slices: Uint8Array[] = [];
    for (let i = first; i < last; i += 1) {
      slices.push(content.subarray(i * chunkBytes, (i + 1) * chunkBytes));
    }
    return sink.write(first, slices, [...sums.subarray(first, last)]);
  };
  const isFirst = write(0, 10) === atOnce;
  if (isFirst) t.deepEqual(heldOf(sink), [[0, 10]]);
  const zeros = sink.write(10, [zeroChunk(chunkBytes)], [zeroChecksum(chunkBytes)]);
  t.not(zeros, atOnce);
  // Written over the zeros, whatever becomes of them: after them.
  const over = write(10, 20);
  t.not(over, atOnce);
  await Promise.all([zeros, over]);
  const last = write(20, 41);
  const isLast = last === atOnce;
  await last;
  await finish(t, { storage, root, data: '', journal: '' }, sink);
  await t.throwsAsync(write(0, 1), { message: /closed/ });
  return isFirst && isLast;
}

test('a journal cut anywhere claims a part, rightly, and goes on', async (t) => {
  const left = await leavePartial(t);
  const whole = await readFile(left.journal);
  for (let round = 0; round < 40; round += 1) {
    const cut = randomInt(whole.byteLength);
    await writeFile(left.journal, whole.subarray(0, cut));
    const sink = await left.storage.openSink('f', offer, false);
    t.true(sink.ledger.held.size <= 39, `cut at ${cut}`);
    claimsAreRight(t, sink);
    await sink.close();
    // Without a header the data was let go of, too.
    await writeFile(left.data, content);
  }
  await finish(t, left, await left.storage.openSink('f', offer, false));
});

test('a journal with a flipped bit claims nothing wrong', async (t) => {
  const left = await leavePartial(t);
  const whole = await readFile(left.journal);
  for (let round = 0; round < 40; round += 1) {
    const damaged = Buffer.from(whole);
    const at = randomInt(damaged.byteLength);
    damaged[at] = (damaged[at] as number) ^ (1 << randomInt(8));
    await writeFile(left.journal, damaged);
    await writeFile(left.data, content);
    const sink = await left.storage.openSink('f', offer, false);
    claimsAreRight(t, sink);
    await sink.close();
  }
  await finish(t, left, await left.storage.openSink('f', offer, false));
});

test('garbage after a journal is cut off before anything is appended', async (t) => {
  const left = await leavePartial(t);
  await appendFile(left.journal, Buffer.alloc(5000, 0));
  let sink = await left.storage.openSink('f', offer, false);
  await writeChunks(sink, content, { to: 1 });
  await sink.close();
  sink = await left.storage.openSink('f', offer, false);
  t.deepEqual(heldOf(sink), [
    [0, 1],
    [2, 41],
  ]);
  await finish(t, left, sink);
});

/** A header as the next version may write it, with its check: the version follows the magic. */
function laterHeader(): Buffer {
  const header = Buffer.from(
    encodeRecord({ type: 'header', path: 'f', chunkBytes, identity: offer.identity }),
  );
  const magic = 'chunkferry journal\n';
  header.writeUInt16LE(3, header.indexOf(magic) + magic.length);
  const checked = header.subarray(0, -4);
  header.writeUInt32LE(Number(checksum(checked) & 0xffff_ffffn), checked.length);
  return header;
}

for (const [name, journal] of Object.entries({
  'a journal of a version to come': laterHeader(),
  'garbage in place of a journal': Buffer.alloc(300, 0x5a),
  'an empty journal': Buffer.alloc(0),
  'a journal of another path': Buffer.from(
    encodeRecord({ type: 'header', path: 'other', chunkBytes, identity: offer.identity }),
  ),
  'a journal without a header': Buffer.from(
    encodeRecord({ type: 'run', first: 0, bytes: chunkBytes, sums: new Uint8Array(8) }),
  ),
})) {
  test(`${name} is a fresh start`, async (t) => {
    const left = await leavePartial(t);
    await writeFile(left.journal, journal);
    const sink = await left.storage.openSink('f', offer, false);
    t.true(sink.ledger.held.empty);
    t.is((await stat(left.data)).size, 0);
    await finish(t, left, sink);
  });
}

test('a missing journal or missing data is a fresh start', async (t) => {
  const left = await leavePartial(t);
  await rm(left.journal);
  let sink = await left.storage.openSink('f', offer, false);
  t.true(sink.ledger.held.empty);
  await writeChunks(sink, content);
  await sink.close();
  await rm(left.data);
  sink = await left.storage.openSink('f', offer, false);
  t.true(sink.ledger.held.empty);
  await finish(t, left, sink);
});

test('shortened data: chunks that are not whole are held no longer', async (t) => {
  const left = await leavePartial(t);
  await truncate(left.data, 20 * chunkBytes + 5);
  let sink = await left.storage.openSink('f', offer, false);
  t.deepEqual(heldOf(sink), [[2, 20]]);
  await sink.close();
  await truncate(left.data, 20 * chunkBytes);
  sink = await left.storage.openSink('f', offer, false);
  t.deepEqual(heldOf(sink), [[2, 20]]);
  await finish(t, left, sink);
});

test('lengthened data is cut at commit', async (t) => {
  const left = await leavePartial(t);
  await appendFile(left.data, Buffer.alloc(10_000, 1));
  const sink = await left.storage.openSink('f', offer, false);
  t.deepEqual(heldOf(sink), [[2, 41]]);
  await finish(t, left, sink);
});

test('a flipped byte shows when the partial is read back', async (t) => {
  const left = await leavePartial(t);
  const data = await readFile(left.data);
  data[7 * chunkBytes + 3] = (data[7 * chunkBytes + 3] as number) ^ 1;
  await writeFile(left.data, data);
  const sink = await left.storage.openSink('f', offer, false);
  const buffer = new Uint8Array(chunkBytes);
  const wrong: number[] = [];
  for (const [index, sum] of sink.ledger.openChunks(0)) {
    const got = await sink.read(buffer, index * chunkBytes);
    if (checksum(buffer.subarray(0, got)) !== sum) wrong.push(index);
  }
  t.deepEqual(wrong, [7]);
  sink.forget(0);
  await finish(t, left, sink);
});

test('what a checkpoint made durable is there again', async (t) => {
  const root = await newFolder(t);
  const storage = await openStorage(t, { root });
  let sink = await storage.openSink('f', offer, false);
  await writeChunks(sink, content, { to: 10 });
  await sink.checkpoint();
  await sink.close();
  sink = await storage.openSink('f', offer, false);
  t.deepEqual(heldOf(sink), [[0, 10]]);
  await sink.discard();
});

test('commits that fail leave the partial, and no descriptor stays open', async (t) => {
  const root = await newFolder(t);
  const storage = await openStorage(t, { root });
  const before = (await readdir('/proc/self/fd')).length;
  await storage.mkdir('taken', false);
  for (let round = 0; round < 5; round += 1) {
    const sink = await storage.openSink('f', offer, false);
    await storage.mkdir('f', false);
    await t.throwsAsync(sink.commit({ size: 0, mtimeNs: 0n, mode: 0o600 }));
    await storage.remove('f', false);
    await sink.close();
  }
  // The staging folder is held from its first use on; other tests of this file run beside this one.
  t.true((await readdir('/proc/self/fd')).length < before + 40);
});

test('zeros stay a hole where nothing was written, and overwrite what was', async (t) => {
  const root = await newFolder(t);
  const storage = await openStorage(t, { root, durability: 'none' });
  const zeros = zeroChunk(chunkBytes);
  const zeroSum = zeroChecksum(chunkBytes);
  const chunks = 512;
  const hole = offerOf(chunks * chunkBytes);
  const first = await storage.openSink('f', hole, false);
  // Content in the middle, which the journal does not know of when the next attempt begins.
  await first.write(100, [content.subarray(0, chunkBytes)], [sums[0] as bigint]);
  await first.close();
  const staging = join(root, '.chunkferry');
  const names = await readdir(staging);
  const journal = join(staging, names.find((name) => name.endsWith('.journal')) as string);
  const { size } = await stat(journal);
  await truncate(journal, size - 1);

  const sink = await storage.openSink('f', hole, false);
  t.deepEqual(heldOf(sink), []);
  for (let i = 0; i < chunks; i += 32) {
    await sink.write(i, Array<Uint8Array>(32).fill(zeros), Array<bigint>(32).fill(zeroSum));
  }
  t.deepEqual(heldOf(sink), [[0, chunks]]);
  // What turns out wrong is written again, whatever it is.
  await sink.write(200, [content.subarray(0, chunkBytes)], [sums[0] as bigint]);
  sink.forget(1);
  await sink.write(128, Array<Uint8Array>(128).fill(zeros), Array<bigint>(128).fill(zeroSum));
  const back = new Uint8Array(chunks * chunkBytes).fill(1);
  t.is(await sink.read(back, 0), back.length);
  t.true(back.every((byte) => byte === 0));
  await sink.commit({ size: back.length, mtimeNs: 0n, mode: 0o600 });
  const { size: bytes, blocks } = await stat(join(root, 'f'));
  t.is(bytes, back.length);
  // What was overwritten: the run of chunk 100, and the segment that was forgotten.
  t.true(blocks * 512 <= (32 + 128) * chunkBytes + 8_192, `${blocks} blocks`);
  await storage.close();
});

test('nothing but zeros takes no room', async (t) => {
  const root = await newFolder(t);
  const storage = await openStorage(t, { root, durability: 'none' });
  const sink = await storage.openSink('f', offerOf(64 * chunkBytes), false);
  const zeros = Array<Uint8Array>(64).fill(zeroChunk(chunkBytes));
  await sink.write(0, zeros, Array<bigint>(64).fill(zeroChecksum(chunkBytes)));
  await sink.commit({ size: 64 * chunkBytes, mtimeNs: 0n, mode: 0o600 });
  const { size, blocks } = await stat(join(root, 'f'));
  t.deepEqual([size, blocks], [64 * chunkBytes, 0]);
  await storage.close();
});
