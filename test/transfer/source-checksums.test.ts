import test from 'ava';
import { fold } from '../../protocol/checksum.ts';
import { limits } from '../../protocol/limits.ts';
import { chunkChecksums, Ledger } from '../../protocol/segments.ts';
import { transferLimits } from '../../transfer/limits.ts';
import { SourceChecksums } from '../../transfer/source-checksums.ts';
import { contentOf, sourceOf } from './helpers/files.ts';
import { failureOf } from './helpers/outcome.ts';
import { WrappedSource } from './helpers/wrapped-storage.ts';

const chunkBytes = limits.chunkBytesMin;
const content = contentOf(300 * chunkBytes + 7);
const chunks = 301;
const sums = chunkChecksums(content, chunkBytes);

function counted() {
  let readBytes = 0;
  const source = new (class extends WrappedSource {
    override async read(buffer: Uint8Array, position: number): Promise<number> {
      const bytes = await super.read(buffer, position);
      readBytes += bytes;
      return bytes;
    }
  })(sourceOf(content));
  const checksums = new SourceChecksums(source, chunkBytes, new Ledger());
  return { checksums, readBytes: () => readBytes };
}

test('chunks and segments have the checksums of their content, the last ones too', async (t) => {
  const { checksums } = counted();
  t.deepEqual(await checksums.of('chunk', 0, chunks, chunks), sums);
  t.deepEqual(await checksums.of('chunk', 299, 301, chunks), sums.slice(299));
  t.deepEqual(
    await checksums.of('segment', 0, 3, chunks),
    BigUint64Array.of(fold(sums.slice(0, 128)), fold(sums.slice(128, 256)), fold(sums.slice(256))),
  );
  t.deepEqual(await checksums.of('chunk', 5, 5, chunks), new BigUint64Array());
});

test('a segment is read once, however often it is asked about', async (t) => {
  const { checksums, readBytes } = counted();
  await checksums.of('segment', 0, 3, chunks);
  t.is(readBytes(), content.length);
  await checksums.of('segment', 0, 3, chunks);
  t.is(readBytes(), content.length);
});

test('a source that became shorter is noticed', async (t) => {
  const checksums = new SourceChecksums(
    sourceOf(contentOf(10 * chunkBytes)),
    chunkBytes,
    new Ledger(),
  );
  t.is(await failureOf(checksums.of('chunk', 0, 12, 12)), 'source-changed');
  t.is(await failureOf(checksums.of('segment', 0, 1, 12)), 'source-changed');
});

test('what nobody waits for any more is not read', async (t) => {
  const large = contentOf(3 * transferLimits.sendBatchBytes);
  const count = large.length / chunkBytes;
  for (const [level, end] of [
    ['segment', count / limits.segmentChunks],
    ['chunk', count],
  ] as const) {
    let reads = 0;
    const source = new (class extends WrappedSource {
      override async read(buffer: Uint8Array, position: number): Promise<number> {
        reads += 1;
        return await super.read(buffer, position);
      }
    })(sourceOf(large));
    const checksums = new SourceChecksums(source, chunkBytes, new Ledger(), () => reads > 0);
    await checksums.of(level, 0, end, count);
    t.is(reads, 1, level);
  }
});
