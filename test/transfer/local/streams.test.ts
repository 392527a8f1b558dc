import { PassThrough, Readable, Writable } from 'node:stream';
import { setTimeout as delay } from 'node:timers/promises';
import test from 'ava';
import { limits, segmentBytes } from '../../../protocol/limits.ts';
import { chunkChecksums } from '../../../protocol/segments.ts';
import { StreamSink } from '../../../transfer/local/stream-sink.ts';
import { StreamSource } from '../../../transfer/local/stream-source.ts';
import { bytesOf, chunkBytes, failureOf, sameBytes, writeChunks } from '../helpers/stored-files.ts';

const sourceOf = (stream: Readable): StreamSource =>
  new StreamSource(stream, { name: 'standard input', mtimeNs: 5n, mode: 0o600 });

test('a stream is read in pieces of any size, and again until it is released', async (t) => {
  const content = bytesOf(200_000);
  const pieces = [0, 1, 70_000, 70_001, 199_999, 200_000].map((start, index, starts) =>
    Buffer.from(content.subarray(start, starts[index + 1])),
  );
  const source = sourceOf(Readable.from(pieces, { objectMode: false }));
  t.is(source.size, undefined);
  t.false(source.rewindable);
  const buffer = new Uint8Array(chunkBytes);
  for (const start of [0, chunkBytes, 2 * chunkBytes, chunkBytes]) {
    t.is(await source.read(buffer, start), chunkBytes);
    sameBytes(t, buffer, content.subarray(start, start + chunkBytes));
  }
  const rest = content.byteLength - 3 * chunkBytes;
  t.is(await source.read(buffer, 3 * chunkBytes), rest);
  sameBytes(t, buffer.subarray(0, rest), content.subarray(3 * chunkBytes));
  t.is(await source.read(buffer, content.byteLength), 0);
  source.release(chunkBytes + 10);
  t.is(await failureOf(() => source.read(buffer, chunkBytes)), 'internal');
  t.is(await source.read(buffer, chunkBytes + 10), chunkBytes);
  sameBytes(t, buffer, content.subarray(chunkBytes + 10, 2 * chunkBytes + 10));
  t.true(await source.unchanged());
  await source.close();
});

test('a stream is not read further than what may be replayed', async (t) => {
  let givenBytes = 0;
  const endless = new Readable({
    read() {
      givenBytes += chunkBytes;
      this.push(Buffer.alloc(chunkBytes, 1));
    },
  });
  const source = sourceOf(endless);
  const boundBytes = limits.inFlightBytes + segmentBytes;
  const buffer = new Uint8Array(chunkBytes);
  t.is(await source.read(buffer, boundBytes - chunkBytes), chunkBytes);
  const beyond = source.read(buffer, boundBytes + segmentBytes - chunkBytes);
  await delay(50);
  t.true(givenBytes <= boundBytes + 8 * chunkBytes);
  source.release(segmentBytes);
  t.is(await beyond, chunkBytes);
  await source.close();
});

test('a stream that fails says so to its reader', async (t) => {
  const stream = new PassThrough();
  const source = sourceOf(stream);
  stream.write(Buffer.alloc(10));
  stream.destroy(new Error('the disk is on fire'));
  t.is(await failureOf(() => source.read(new Uint8Array(100), 0)), 'internal');
  await source.close();
});

/** A writable that remembers, and takes its time. */
function collector(): { stream: Writable; bytes: () => Buffer } {
  const pieces: Buffer[] = [];
  const stream = new Writable({
    highWaterMark: 1000,
    write(chunk: Buffer, _encoding, done) {
      pieces.push(Buffer.from(chunk));
      setImmediate(done);
    },
  });
  return { stream, bytes: () => Buffer.concat(pieces) };
}

test('chunks leave in order, whatever order they come in', async (t) => {
  const content = bytesOf(20 * chunkBytes + 7);
  const { stream, bytes } = collector();
  const sink = new StreamSink(stream, { name: 'standard output', chunkBytes });
  t.true(sink.ordered);
  await writeChunks(sink, content, { from: 10, run: 4 });
  await writeChunks(sink, content, { from: 5, to: 9 });
  await Promise.all([
    writeChunks(sink, content, { from: 0, to: 6, run: 2 }),
    writeChunks(sink, content, { from: 9, to: 10 }),
  ]);
  await sink.checkpoint();
  sameBytes(t, bytes(), content);
  t.is(sink.ledger.held.size, 21);
  t.is(await failureOf(() => sink.read()), 'unsupported');
  t.is(await failureOf(() => sink.commit({ size: 5, mtimeNs: 0n, mode: 0 })), 'integrity');
});

test('commit ends the stream', async (t) => {
  const content = bytesOf(100_000);
  const { stream, bytes } = collector();
  const sink = new StreamSink(stream, { name: 'standard output', chunkBytes });
  await writeChunks(sink, content);
  await sink.commit({ size: content.byteLength, mtimeNs: 0n, mode: 0 });
  t.true(stream.writableFinished);
  sameBytes(t, bytes(), content);
});

test('too much out of order is refused', async (t) => {
  const { stream } = collector();
  const sink = new StreamSink(stream, { name: 'standard output', chunkBytes });
  const content = bytesOf(chunkBytes);
  const sums = [...chunkChecksums(content, chunkBytes)];
  const room = limits.inFlightBytes / chunkBytes;
  for (let index = 1; index <= room; index += 1) await sink.write(index, [content], sums);
  t.is(await failureOf(() => sink.write(room + 1, [content], sums)), 'limit');
});

test('a reader that went away is said clearly', async (t) => {
  const stream = new Writable({
    write(_chunk, _encoding, done) {
      done(Object.assign(new Error('write EPIPE'), { code: 'EPIPE', syscall: 'write' }));
    },
  });
  const sink = new StreamSink(stream, { name: 'standard output', chunkBytes });
  const run = () => sink.write(0, [bytesOf(5)], [0n]);
  const error = await t.throwsAsync(run);
  t.is(error?.message, '"standard output" cannot be written: whoever read it has stopped reading.');
  t.is(await failureOf(run), 'io');
});
