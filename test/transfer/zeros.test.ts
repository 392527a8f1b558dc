/** Chunks of zeros travel without a payload, and change nothing else. */
import test from 'ava';
import fc from 'fast-check';
import { checksum } from '../../protocol/checksum.ts';
import { defaultPolicy } from '../../protocol/frames/transfer.ts';
import { limits } from '../../protocol/limits.ts';
import { newHello } from '../../transfer/greeting.ts';
import { isAllZero, isZeroChunk, zeroChecksum, zeroChunk } from '../../transfer/zeros.ts';
import { chunkFrame, join, newSession, rawClient, TestDaemon } from './helpers/ends.ts';
import { Counts, contentOf, load, offerOf, sha256, sourceOf, upload } from './helpers/files.ts';

const chunkBytes = limits.chunkBytesMin;

/** Chunks of content where `pattern` says so, zeros elsewhere, and a rest of a chunk. */
function contentLike(
  pattern: readonly boolean[],
  restBytes: number,
  zeroRest: boolean,
): Uint8Array {
  const content = contentOf(pattern.length * chunkBytes + restBytes);
  for (const [i, isContent] of pattern.entries()) {
    if (!isContent) content.fill(0, i * chunkBytes, (i + 1) * chunkBytes);
  }
  if (zeroRest) content.fill(0, pattern.length * chunkBytes);
  return content;
}

test('bytes are all zero, or one of them is not', (t) => {
  t.true(isAllZero(new Uint8Array(chunkBytes)));
  for (const at of [0, 1, chunkBytes / 2, chunkBytes - 1]) {
    t.false(isAllZero(Uint8Array.from({ length: chunkBytes }, (_, i) => (i === at ? 1 : 0))));
  }
  t.true(isZeroChunk(zeroChunk(chunkBytes)));
  t.false(isZeroChunk(new Uint8Array(chunkBytes)));
  for (const bytes of [1, 5, chunkBytes, limits.chunkBytesMax]) {
    t.is(zeroChecksum(bytes), checksum(new Uint8Array(bytes)));
  }
});

for (const knows of [true, false]) {
  test(`content arrives as it was, ${knows ? 'zeros without their bytes' : 'where a side does not know of zeros, too'}`, async (t) => {
    const features = knows ? newHello(newSession()).features : [];
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.boolean(), { maxLength: 70 }),
        fc.nat({ max: chunkBytes - 1 }),
        fc.boolean(),
        fc.boolean(),
        async (pattern, restBytes, zeroRest, isStream) => {
          const content = contentLike(pattern, restBytes, zeroRest);
          const daemon = new TestDaemon();
          const { client } = join(daemon, {
            clientOptions: { hello: { ...newHello(newSession()), features } },
          });
          const counts = new Counts();
          const source = sourceOf(content);
          const offer = isStream ? { size: undefined } : {};
          if (isStream) Object.defineProperty(source, 'size', { value: undefined });
          const complete = await upload(
            client,
            source,
            { chunkBytes, sha256: true, offer },
            counts,
          );
          t.is(complete.outcome, 'stored');
          t.deepEqual(Buffer.from(complete.sha256 as Uint8Array).toString('hex'), sha256(content));
          t.deepEqual(await load(daemon.storage, 'file'), content);
          const zeros = pattern.filter((isContent) => !isContent).length;
          t.is(counts.bytes, content.length - (knows ? zeros * chunkBytes : 0));
          client.close();
        },
      ),
      { numRuns: 40 },
    );
  });
}

test('a chunk of zeros with the checksum of something else is asked for again', async (t) => {
  const daemon = new TestDaemon();
  const { peer } = rawClient(daemon);
  peer.greet();
  const zeros = new Uint8Array(chunkBytes);
  peer.say({ request: 1, ...offerOf(sourceOf(zeros), { chunkBytes }) });
  await peer.next('want');
  const wrong = chunkFrame(1, 0, contentOf(chunkBytes), { zero: true });
  peer.say(wrong);
  t.deepEqual((await peer.next('want')).ranges, [{ start: 0, end: 1 }]);
  t.is(await load(daemon.storage, 'file'), undefined);
  peer.stream.destroy();
});

test('a chunk of zeros in a page of small files ends the connection', async (t) => {
  const daemon = new TestDaemon();
  const { peer } = rawClient(daemon);
  peer.greet();
  const entry = { kind: 'file', mtimeNs: 0n, mode: 0o644, contentType: '' } as const;
  peer.say({
    type: 'offers',
    request: 1,
    operation: newSession(),
    base: '',
    policy: defaultPolicy,
    eager: true,
    entries: [{ ...entry, path: 'a', size: chunkBytes }],
  });
  peer.say(chunkFrame(1, 0, new Uint8Array(chunkBytes), { zero: true }));
  const error = await t.throwsAsync(peer.next('results'));
  t.regex(error?.message ?? '', /protocol/);
  peer.stream.destroy();
});

test('a chunk of zeros that was not agreed upon ends the connection', async (t) => {
  const daemon = new TestDaemon();
  const { peer } = rawClient(daemon, {
    daemonOptions: { hello: { ...newHello(newSession()), features: [] } },
  });
  peer.greet();
  peer.say({ request: 1, ...offerOf(sourceOf(new Uint8Array(chunkBytes)), { chunkBytes }) });
  await peer.next('want');
  peer.say(chunkFrame(1, 0, new Uint8Array(chunkBytes), { zero: true }));
  const error = await t.throwsAsync(peer.next('complete'));
  t.regex(error?.message ?? '', /not agreed upon/);
  peer.stream.destroy();
});
