import test from 'ava';
import fc from 'fast-check';
import { checksum } from '../../protocol/checksum.ts';
import { limits } from '../../protocol/limits.ts';
import { chunkCount, chunkLength } from '../../protocol/segments.ts';
import { MemoryStorage } from '../../transfer/memory-storage.ts';
import type { ChunkSource } from '../../transfer/storage.ts';
import { join, TestDaemon } from './helpers/ends.ts';
import {
  Arrivals,
  Counts,
  contentOf,
  download,
  chunkBytes as fileChunkBytes,
  load,
  mtimeNs,
  sha256,
  sourceOf,
  store,
  upload,
} from './helpers/files.ts';
import { failureOf } from './helpers/outcome.ts';
import { WrappedSink, WrappedSource, WrappedStorage } from './helpers/wrapped-storage.ts';

const MiB = 1024 * 1024;
/** Small chunks make small files with many segments: 128 KiB each. */
const chunkBytes = limits.chunkBytesMin;
const segment = limits.segmentChunks * chunkBytes;
const second = 1_000_000_000n;

const same = (actual: Uint8Array | undefined, expected: Uint8Array): boolean =>
  actual !== undefined && Buffer.compare(actual, expected) === 0;

/** Leaves a partial of `content` in `storage` that holds these chunks. */
async function leavePartial(
  storage: MemoryStorage | WrappedStorage,
  content: Uint8Array,
  holds: (index: number) => boolean,
  path = 'file',
): Promise<number> {
  const { size, mode, identity } = sourceOf(content);
  const offer = { size, mtimeNs, mode, identity, chunkBytes, rewindable: true };
  const sink = await storage.openSink(path, offer, true);
  let heldBytes = 0;
  for (let i = 0; i < chunkCount(size, chunkBytes); i += 1) {
    if (!holds(i)) continue;
    const slice = content.subarray(i * chunkBytes, (i + 1) * chunkBytes);
    await sink.write(i, [slice], [checksum(slice)]);
    heldBytes += slice.length;
  }
  await sink.close();
  return heldBytes;
}

// ---- whole files ---------------------------------------------------------------------------------

const sizes = [0, 1, 65_535, 65_536, 65_537, 8 * MiB - 1, 8 * MiB, 8 * MiB + 1];

for (const size of sizes) {
  test(`a file of ${size} bytes goes up and comes down whole`, async (t) => {
    const content = contentOf(size);
    const daemon = new TestDaemon();
    const { client } = join(daemon);
    const counts = new Counts();
    const up = await upload(client, sourceOf(content), { sha256: true }, counts);
    t.is(up.outcome, 'stored');
    t.is(Buffer.from(up.sha256 ?? []).toString('hex'), sha256(content));
    t.is(counts.bytes, size);
    t.is(counts.repeated, 0);
    t.true(same(await load(daemon.storage, 'file'), content));
    const entry = await daemon.storage.stat('file');
    t.is(entry.mtimeNs, mtimeNs);
    t.is(entry.mode, 0o644);

    const here = new MemoryStorage();
    const arrivals = new Arrivals();
    const down = await download(client, here, { sha256: true }, arrivals);
    t.is(down.outcome, 'stored');
    t.is(down.digest, up.digest);
    t.is(Buffer.from(down.sha256 ?? []).toString('hex'), sha256(content));
    t.is(arrivals.bytes, size);
    t.true(same(await load(here, 'file'), content));
    t.is((await here.stat('file')).mtimeNs, mtimeNs);
    client.close();
    await daemon.service.settled();
  });
}

test('a file in chunks of any size that was agreed on arrives whole', async (t) => {
  for (const bytes of [1024, 4096, 1 * MiB, 4 * MiB]) {
    const content = contentOf(5 * MiB + 77, bytes);
    const daemon = new TestDaemon();
    const { client } = join(daemon);
    const { outcome } = await upload(client, sourceOf(content), { chunkBytes: bytes });
    t.is(outcome, 'stored');
    t.true(same(await load(daemon.storage, 'file'), content));
    client.close();
  }
});

test('windows as small as one chunk, and smaller, only slow things down', async (t) => {
  for (const inFlightBytes of [0, 1, 1024, 100_000]) {
    const content = contentOf(700_000);
    const daemon = new TestDaemon();
    const { client } = join(daemon, {
      daemonLimits: { inFlightBytes },
      clientLimits: { inFlightBytes },
    });
    await client.ready;
    await upload(client, sourceOf(content));
    const here = new MemoryStorage();
    await download(client, here);
    t.true(same(await load(here, 'file'), content));
    client.close();
  }
});

test('many files at once on one connection do not disturb each other', async (t) => {
  const daemon = new TestDaemon();
  const { client, link } = join(daemon, {
    toDaemon: { packets: 'random', packetBytes: 40_000, bufferBytes: 100_000 },
    toClient: { packets: 'random', packetBytes: 40_000, bufferBytes: 100_000 },
  });
  await client.ready;
  const contents = Array.from({ length: 12 }, (_, i) => contentOf(i * 40_011, i));
  await Promise.all(
    contents.map((content, i) => upload(client, sourceOf(content), { path: `f${i}` })),
  );
  const here = new MemoryStorage();
  await Promise.all(contents.map((_, i) => download(client, here, { path: `f${i}` })));
  for (const [i, content] of contents.entries()) {
    t.true(same(await load(here, `f${i}`), content), `${i}: ${link.describe}`);
  }
  client.close();
});

// ---- resume ----------------------------------------------------------------------------------------

test('after any prefix only what lacks is sent, up and down', async (t) => {
  const content = contentOf(3 * segment + 5_000);
  const chunks = chunkCount(content.length, chunkBytes);
  for (const held of [1, 127, 128, 129, 255, 256, 300, chunks - 1, chunks]) {
    const daemon = new TestDaemon();
    const heldBytes = await leavePartial(daemon.storage as MemoryStorage, content, (i) => i < held);
    const { client } = join(daemon);
    const counts = new Counts();
    const { outcome } = await upload(client, sourceOf(content), { chunkBytes }, counts);
    t.is(outcome, 'stored');
    t.is(counts.bytes, content.length - heldBytes, `${held} chunks held`);
    t.true(same(await load(daemon.storage, 'file'), content));
    client.close();
  }
});

test('after random holes only what lacks is sent', async (t) => {
  await fc.assert(
    fc.asyncProperty(
      fc.integer({ min: 0, max: 2 * segment + 3_000 }),
      fc.array(fc.tuple(fc.nat({ max: 260 }), fc.integer({ min: 1, max: 150 })), { maxLength: 5 }),
      async (size, runs) => {
        const content = contentOf(size);
        const daemon = new TestDaemon();
        const isHeld = (i: number): boolean =>
          runs.some(([start, count]) => i >= start && i < start + count);
        const heldBytes = await leavePartial(daemon.storage as MemoryStorage, content, isHeld);
        const { client } = join(daemon);
        const counts = new Counts();
        await upload(client, sourceOf(content), { chunkBytes }, counts);
        t.is(counts.bytes, size - heldBytes);
        t.true(same(await load(daemon.storage, 'file'), content));
        client.close();
      },
    ),
    { numRuns: 40 },
  );
});

test('a download goes on from what an earlier one left', async (t) => {
  const content = contentOf(2_000_000);
  const daemon = new TestDaemon();
  await store(daemon.storage, 'file', content);
  const here = new MemoryStorage();
  const { size, mode, identity } = sourceOf(content);
  const offer = { size, mtimeNs, mode, identity, chunkBytes: fileChunkBytes, rewindable: true };
  const sink = await here.openSink('file', offer, true);
  for (const i of [0, 1, 2, 9, 30]) {
    const slice = content.subarray(i * fileChunkBytes, (i + 1) * fileChunkBytes);
    await sink.write(i, [slice], [checksum(slice)]);
  }
  await sink.close();
  const { client } = join(daemon);
  const arrivals = new Arrivals();
  await download(client, here, {}, arrivals);
  const lastLength = chunkLength(30, size, fileChunkBytes);
  t.is(arrivals.bytes, size - 4 * fileChunkBytes - lastLength);
  t.true(same(await load(here, 'file'), content));
  client.close();
});

test('with `fresh` an earlier partial is not looked at', async (t) => {
  const content = contentOf(300_000);
  const daemon = new TestDaemon();
  await leavePartial(daemon.storage as MemoryStorage, content, () => true);
  const { client } = join(daemon);
  const counts = new Counts();
  await upload(client, sourceOf(content), { chunkBytes, policy: { fresh: true } }, counts);
  t.is(counts.bytes, content.length);
  t.true(same(await load(daemon.storage, 'file'), content));
  client.close();
});

/** A storage whose partials read back with one byte changed. */
function forgetful(damagedAt: number): WrappedStorage {
  const storage = new WrappedStorage();
  let written = false;
  storage.wrapSink = (sink) =>
    new (class extends WrappedSink {
      override async write(
        first: number,
        slices: readonly Uint8Array[],
        sums: readonly bigint[],
      ): Promise<void> {
        await super.write(first, slices, sums);
        const at = damagedAt - first * chunkBytes;
        if (at >= 0 && at < slices.length * chunkBytes) written = true;
      }

      override async read(buffer: Uint8Array, position: number): Promise<number> {
        const bytes = await super.read(buffer, position);
        const at = damagedAt - position;
        // Once it is written anew it reads as it should.
        if (!written && at >= 0 && at < bytes) buffer[at] = (buffer[at] as number) ^ 0x10;
        return bytes;
      }
    })(sink);
  return storage;
}

test('a held chunk that the disk lost costs one segment more, and the file is whole', async (t) => {
  const content = contentOf(4 * segment);
  for (const [heldChunks, damagedAt, again] of [
    // In a whole segment, and in one of which only a part is held.
    [300, segment + 5, segment],
    [300, 299 * chunkBytes, 44 * chunkBytes],
    [512, 0, segment],
  ] as const) {
    const storage = forgetful(damagedAt);
    await leavePartial(storage.inner, content, (i) => i < heldChunks);
    const daemon = new TestDaemon(storage);
    const { client } = join(daemon);
    const counts = new Counts();
    const { outcome } = await upload(client, sourceOf(content), { chunkBytes }, counts);
    t.is(outcome, 'stored');
    const lacking = content.length - heldChunks * chunkBytes;
    t.true(counts.bytes >= lacking + chunkBytes, 'the damage was found');
    t.true(counts.bytes <= lacking + Math.max(again, segment), `${counts.bytes - lacking} more`);
    t.true(same(await load(storage, 'file'), content));
    client.close();
  }
});

test('a partial that is shorter than its journal says is found out', async (t) => {
  const content = contentOf(2 * segment);
  const storage = new WrappedStorage();
  await leavePartial(storage.inner, content, (i) => i < 200);
  let cutAt = 150 * chunkBytes;
  storage.wrapSink = (sink) =>
    new (class extends WrappedSink {
      override async read(buffer: Uint8Array, position: number): Promise<number> {
        return Math.max(0, Math.min(await super.read(buffer, position), cutAt - position));
      }

      override async write(
        first: number,
        slices: readonly Uint8Array[],
        sums: readonly bigint[],
      ): Promise<void> {
        await super.write(first, slices, sums);
        if (first >= 150) cutAt = Infinity;
      }
    })(sink);
  const daemon = new TestDaemon(storage);
  const { client } = join(daemon);
  t.is((await upload(client, sourceOf(content), { chunkBytes })).outcome, 'stored');
  t.true(same(await load(storage, 'file'), content));
  client.close();
});

test('a source that changed between attempts is what is stored, whole, and only what differs is sent', async (t) => {
  const before = contentOf(4 * segment, 1);
  const after = Uint8Array.from(before);
  after[segment + 9] = (after[segment + 9] as number) ^ 1;
  const daemon = new TestDaemon();
  await leavePartial(daemon.storage as MemoryStorage, before, (i) => i < 3 * 128);
  const { client } = join(daemon);
  const counts = new Counts();
  await upload(client, sourceOf(after, { mtimeNs: mtimeNs + second }), { chunkBytes }, counts);
  t.true(same(await load(daemon.storage, 'file'), after));
  t.is(counts.bytes, 2 * segment, 'the last segment, and the one that differs');
  client.close();
});

test('a source that became longer, shorter or another file between attempts is stored whole', async (t) => {
  const before = contentOf(2 * segment + 700, 1);
  const other = contentOf(2 * segment + 700, 2);
  const grown = new Uint8Array(3 * segment + 1);
  grown.set(before);
  for (const [name, after] of [
    ['longer', grown],
    ['shorter', before.slice(0, segment + 300)],
    ['empty', new Uint8Array()],
    ['other', other],
  ] as const) {
    for (const held of [1, 130, 257]) {
      const daemon = new TestDaemon();
      await leavePartial(daemon.storage as MemoryStorage, before, (i) => i < held);
      const { client } = join(daemon);
      const { outcome } = await upload(client, sourceOf(after), { chunkBytes });
      t.is(outcome, 'stored', name);
      t.true(same(await load(daemon.storage, 'file'), after), `${name}, ${held} held`);
      client.close();
    }
  }
});

/** A source that is found changed once it was read so far. */
function changingAfter(content: Uint8Array, readBytes: number): ChunkSource {
  let read = 0;
  return new (class extends WrappedSource {
    override async read(buffer: Uint8Array, position: number): Promise<number> {
      const bytes = await super.read(buffer, position);
      read += bytes;
      return bytes;
    }

    override async unchanged(): Promise<boolean> {
      return read < readBytes;
    }
  })(sourceOf(content));
}

test('a source that changes while it is sent fails, and the next attempt stores the new version', async (t) => {
  const before = contentOf(3 * segment, 1);
  const after = contentOf(3 * segment, 2);
  const daemon = new TestDaemon();
  const { client } = join(daemon);
  const failed = upload(client, changingAfter(before, segment), { chunkBytes });
  t.is(await failureOf(failed), 'source-changed');
  t.is(await load(daemon.storage, 'file'), undefined);
  await upload(client, sourceOf(after, { mtimeNs: mtimeNs + second }), { chunkBytes });
  t.true(same(await load(daemon.storage, 'file'), after));
  client.close();
});

test('a download whose source changes fails, keeps the old target, and works the next time', async (t) => {
  const storage = new WrappedStorage();
  const daemon = new TestDaemon(storage);
  await store(storage.inner, 'file', contentOf(500_000, 2), mtimeNs + second);
  storage.wrapSource = () => changingAfter(contentOf(500_000, 1), 100_000);
  const here = new MemoryStorage();
  await store(here, 'file', contentOf(10, 9), mtimeNs - second);
  const { client } = join(daemon);
  t.is(await failureOf(download(client, here)), 'source-changed');
  t.true(same(await load(here, 'file'), contentOf(10, 9)));
  storage.wrapSource = (source) => source;
  await download(client, here);
  t.true(same(await load(here, 'file'), contentOf(500_000, 2)));
  client.close();
});

test('a source that turns out shorter than it said is source-changed', async (t) => {
  const source = new (class extends WrappedSource {
    override get size(): number {
      return 200_000;
    }
  })(sourceOf(contentOf(150_000)));
  const daemon = new TestDaemon();
  const { client } = join(daemon);
  t.is(await failureOf(upload(client, source)), 'source-changed');
  t.is(await load(daemon.storage, 'file'), undefined);
  client.close();
});

// ---- policies ----------------------------------------------------------------------------------------

test('the same file is unchanged, and nothing is sent', async (t) => {
  const content = contentOf(100_000);
  const daemon = new TestDaemon();
  await store(daemon.storage, 'file', content);
  const { client } = join(daemon);
  const counts = new Counts();
  t.is((await upload(client, sourceOf(content), {}, counts)).outcome, 'unchanged');
  t.is(counts.bytes, 0);
  client.close();
});

test('overwrite `never` and `newer` leave alone what they should', async (t) => {
  const old = contentOf(1000, 1);
  const content = contentOf(1001, 2);
  for (const [overwrite, existingAt, outcome] of [
    ['never', mtimeNs - second, 'skipped'],
    ['newer', mtimeNs + second, 'skipped'],
    ['newer', mtimeNs - second, 'stored'],
    ['always', mtimeNs + second, 'stored'],
  ] as const) {
    const daemon = new TestDaemon();
    await store(daemon.storage, 'file', old, existingAt);
    const { client } = join(daemon);
    t.is((await upload(client, sourceOf(content), { policy: { overwrite } })).outcome, outcome);
    t.true(same(await load(daemon.storage, 'file'), outcome === 'stored' ? content : old));
    client.close();
  }
});

test('a folder in the way is wrong-kind, and the connection goes on', async (t) => {
  const daemon = new TestDaemon();
  await daemon.storage.mkdir('file', false);
  const { client } = join(daemon);
  t.is(await failureOf(upload(client, sourceOf(contentOf(10)))), 'wrong-kind');
  t.is((await upload(client, sourceOf(contentOf(10)), { path: 'other' })).outcome, 'stored');
  client.close();
});

test('with `checksum` equal content is unchanged whatever its time, other content is taken', async (t) => {
  const content = contentOf(2 * segment + 77, 1);
  const other = Uint8Array.from(content);
  other[segment] = (other[segment] as number) ^ 1;
  for (const [existing, outcome] of [
    [content, 'unchanged'],
    [other, 'stored'],
    [content.slice(1), 'stored'],
  ] as const) {
    const daemon = new TestDaemon();
    await store(daemon.storage, 'file', existing, mtimeNs - 5n * second);
    const { client } = join(daemon);
    const counts = new Counts();
    const options = { chunkBytes, policy: { checksum: true } };
    t.is((await upload(client, sourceOf(content), options, counts)).outcome, outcome);
    t.is(counts.bytes, outcome === 'unchanged' ? 0 : content.length);
    t.true(same(await load(daemon.storage, 'file'), content));
    t.is((await daemon.storage.stat('file')).mtimeNs, mtimeNs, 'the time is set in any case');
    client.close();
  }
});

test('with `checksum` and equal size and time, content still decides', async (t) => {
  const daemon = new TestDaemon();
  await store(daemon.storage, 'file', contentOf(5000, 1));
  const { client } = join(daemon);
  const content = contentOf(5000, 2);
  t.is((await upload(client, sourceOf(content))).outcome, 'unchanged', 'without it nobody looks');
  const { outcome } = await upload(client, sourceOf(content), { policy: { checksum: true } });
  t.is(outcome, 'stored');
  t.true(same(await load(daemon.storage, 'file'), content));
  client.close();
});

test('with `delta` only chunks that differ from the target are sent', async (t) => {
  const existing = contentOf(3 * segment + 500, 1);
  const changed = Uint8Array.from(existing);
  for (const at of [5, segment + 1, segment + chunkBytes + 1])
    changed[at] = (changed[at] as number) ^ 1;
  const longer = new Uint8Array(existing.length + 3 * chunkBytes);
  longer.fill(1).set(existing);
  for (const [content, sent] of [
    [changed, 3 * chunkBytes],
    [existing, 0],
    [longer, longer.length - 3 * segment],
    [existing.slice(0, 2 * segment), 0],
    [existing.slice(0, 10), 10],
  ] as const) {
    const daemon = new TestDaemon();
    await store(daemon.storage, 'file', existing, mtimeNs - second);
    const { client } = join(daemon);
    const counts = new Counts();
    await upload(client, sourceOf(content), { chunkBytes, policy: { delta: true } }, counts);
    t.is(counts.bytes, sent);
    t.true(counts.bytes <= Math.max(10, 3 * chunkBytes + 500));
    t.true(same(await load(daemon.storage, 'file'), content));
    client.close();
  }
});

test('`delta` of any two contents gives the new one', async (t) => {
  await fc.assert(
    fc.asyncProperty(
      fc.nat({ max: 2 * segment + 2000 }),
      fc.nat({ max: 2 * segment + 2000 }),
      fc.array(fc.nat({ max: 2 * segment }), { maxLength: 4 }),
      fc.boolean(),
      async (oldSize, newSize, changes, alsoChecksum) => {
        const base = contentOf(2 * segment + 2000, 3);
        const content = base.slice(0, newSize);
        for (const at of changes) if (at < newSize) content[at] = (content[at] as number) ^ 0x80;
        const daemon = new TestDaemon();
        await store(daemon.storage, 'file', base.slice(0, oldSize), mtimeNs - second);
        const { client } = join(daemon);
        const policy = { delta: true, checksum: alsoChecksum };
        await upload(client, sourceOf(content), { chunkBytes, policy });
        t.true(same(await load(daemon.storage, 'file'), content));
        client.close();
      },
    ),
    { numRuns: 30 },
  );
});

test('a target that changes under a delta is not believed', async (t) => {
  const existing = contentOf(segment, 1);
  const storage = new WrappedStorage();
  await store(storage.inner, 'file', existing, mtimeNs - second);
  // What was compared is not what is copied.
  let reads = 0;
  storage.wrapSource = (source) =>
    new (class extends WrappedSource {
      override async read(buffer: Uint8Array, position: number): Promise<number> {
        const bytes = await super.read(buffer, position);
        reads += 1;
        if (reads > 1) buffer[0] = (buffer[0] as number) ^ 1;
        return bytes;
      }
    })(source);
  const content = contentOf(segment + 10, 1);
  content.set(existing);
  const daemon = new TestDaemon(storage);
  const { client } = join(daemon);
  await upload(client, sourceOf(content), { chunkBytes, policy: { delta: true } });
  storage.wrapSource = (source) => source;
  t.true(same(await load(storage, 'file'), content));
  t.true(reads > 1);
  client.close();
});

test('a target that was opened for a delta is closed, also when the partial can not be', async (t) => {
  const { TransferError } = await import('../../protocol/errors.ts');
  const storage = new WrappedStorage();
  await store(storage.inner, 'file', contentOf(5_000, 1), mtimeNs - second);
  let open = 0;
  storage.wrapSource = (source) => {
    open += 1;
    return new (class extends WrappedSource {
      override async close(): Promise<void> {
        open -= 1;
        await super.close();
      }
    })(source);
  };
  const daemon = new TestDaemon(storage);
  const { client } = join(daemon);
  const options = { chunkBytes, policy: { delta: true } };
  storage.wrapSink = () => {
    throw new TransferError('limit', 'Too many partials.');
  };
  t.is(await failureOf(upload(client, sourceOf(contentOf(5_000, 2)), options)), 'limit');
  t.is(open, 0);
  storage.wrapSink = (sink) => sink;
  await upload(client, sourceOf(contentOf(5_000, 2)), options);
  t.is(open, 0);
  client.close();
});

// ---- failures of the storage -----------------------------------------------------------------------------

test('a write that fails ends the upload with its failure, and the next one goes on from there', async (t) => {
  const { TransferError } = await import('../../protocol/errors.ts');
  const content = contentOf(4 * segment);
  const storage = new WrappedStorage();
  let full = true;
  storage.wrapSink = (sink) =>
    new (class extends WrappedSink {
      override async write(
        first: number,
        slices: readonly Uint8Array[],
        sums: readonly bigint[],
      ): Promise<void> {
        if (full && first >= 200) throw new TransferError('no-space', 'The disk is full.');
        await super.write(first, slices, sums);
      }
    })(sink);
  const daemon = new TestDaemon(storage);
  const { client } = join(daemon);
  t.is(await failureOf(upload(client, sourceOf(content), { chunkBytes })), 'no-space');
  t.is(await load(storage, 'file'), undefined);
  full = false;
  const counts = new Counts();
  await upload(client, sourceOf(content), { chunkBytes }, counts);
  t.true(counts.bytes < content.length, 'what was there was not sent again');
  t.true(same(await load(storage, 'file'), content));
  client.close();
});

test('what fails unexpectedly is told as internal, without its text', async (t) => {
  const storage = new WrappedStorage();
  storage.before = () => {
    throw new Error('EIO at /home/secret/disk');
  };
  const daemon = new TestDaemon(storage);
  const { client } = join(daemon);
  const error = await t.throwsAsync(upload(client, sourceOf(contentOf(10))));
  t.notRegex(error?.message ?? '', /secret/);
  t.is(await load(storage.inner, 'file'), undefined);
  t.true(
    daemon.log.some((line) => line.includes('EIO')),
    'the log tells it',
  );
  client.close();
});
