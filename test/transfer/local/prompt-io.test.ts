import { closeSync, ftruncateSync, openSync, readFileSync, readvSync, writevSync } from 'node:fs';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import fc from 'fast-check';
import { type FileIo, pooledIo } from '../../../transfer/local/file-io.ts';
import { promptIo, promptMs } from '../../../transfer/local/prompt-io.ts';
import { newFolder } from './folder-fixture.ts';

async function newFile(t: ExecutionContext): Promise<{ fd: number; path: string }> {
  const path = join(await newFolder(t), 'file');
  const fd = openSync(path, 'w+');
  t.teardown(() => closeSync(fd));
  return { fd, path };
}

test('what is written is read again, also where calls stop halfway', async (t) => {
  const { fd, path } = await newFile(t);
  const few = (slices: readonly Uint8Array[]): Uint8Array[] => [
    (slices[0] as Uint8Array).subarray(0, 7),
  ];
  const io = promptIo({
    readv: (file, buffers, position) => readvSync(file, few(buffers), position),
    writev: (file, slices, position) => writevSync(file, few(slices), position),
  });
  const slices = ['one', 'and another', 'and a third one'].map((text) => Buffer.from(text));
  await io.write(fd, slices, 2);
  const expected = `\0\0${Buffer.concat(slices).toString()}`;
  t.is(readFileSync(path, 'utf8'), expected);
  const buffers = [Buffer.alloc(5), Buffer.alloc(100)];
  t.is(await io.readv(fd, buffers, 0), expected.length);
  t.is(Buffer.concat(buffers).subarray(0, expected.length).toString(), expected);
});

/** Content that may be hidden behind others: each byte tells where it came from. */
const anySlices = fc.array(fc.uint8Array({ maxLength: 50 }), { minLength: 1, maxLength: 5 });
const anyWrite = fc.record({ slices: anySlices, position: fc.nat(200), atOnce: fc.boolean() });
const anyRead = fc.record({
  lengths: fc.array(fc.integer({ min: 1, max: 60 }), { minLength: 1, maxLength: 4 }),
  position: fc.nat(250),
});

/** The calling thread, the thread pool, and one that gives over to the other at each call. */
function ways(): Record<string, FileIo> {
  const slowly = <T>(call: () => T): T => {
    const startedAtMs = performance.now();
    const result = call();
    while (performance.now() - startedAtMs <= promptMs);
    return result;
  };
  return {
    prompt: promptIo(),
    pooled: pooledIo,
    'first prompt, then pooled': promptIo({
      readv: (fd, buffers, position) => slowly(() => readvSync(fd, buffers, position)),
      writev: (fd, slices, position) => slowly(() => writevSync(fd, slices, position)),
    }),
  };
}

test('the thread that calls and the thread pool leave the same in files, and read the same', async (t) => {
  const files = await Promise.all(
    Object.entries(ways()).map(async ([way, io]) => ({ way, io, ...(await newFile(t)) })),
  );
  await fc.assert(
    fc.asyncProperty(fc.array(anyWrite), fc.array(anyRead), async (writes, reads) => {
      let model = Buffer.alloc(0);
      for (const { slices, position } of writes) {
        const bytes = Buffer.concat(slices);
        if (bytes.length === 0) continue;
        const grown = Buffer.alloc(Math.max(model.length, position + bytes.length));
        model.copy(grown);
        bytes.copy(grown, position);
        model = grown;
      }
      for (const { way, io, fd, path } of files) {
        ftruncateSync(fd);
        for (const { slices, position, atOnce } of writes) {
          const isDone = atOnce && io.writeNow(fd, slices, position);
          if (!isDone) await io.write(fd, slices, position);
        }
        t.true(model.equals(readFileSync(path)), way);
        for (const { lengths, position } of reads) {
          const buffers = lengths.map((length) => Buffer.alloc(length));
          const bytes = await io.readv(fd, buffers, position);
          const expected = model.subarray(position, position + Buffer.concat(buffers).length);
          t.is(bytes, expected.length, way);
          t.true(expected.equals(Buffer.concat(buffers).subarray(0, bytes)), way);
        }
      }
    }),
    { numRuns: 50 },
  );
});

test('after a slow call the thread pool takes over', async (t) => {
  const { fd, path } = await newFile(t);
  let calls = 0;
  const io = promptIo({
    readv: readvSync,
    writev: (file, slices, position) => {
      calls += 1;
      const startedAtMs = performance.now();
      while (performance.now() - startedAtMs <= promptMs);
      return writevSync(file, slices, position);
    },
  });
  await io.write(fd, [Buffer.from('slow')], 0);
  await io.write(fd, [Buffer.from(', then not')], 4);
  t.is(calls, 1);
  t.is(readFileSync(path, 'utf8'), 'slow, then not');
});

test('a write at once is done when it returns, or left to the usual way: slow, pooled and failed ones', async (t) => {
  const { fd, path } = await newFile(t);
  const { prompt, 'first prompt, then pooled': slow } = ways();
  const slices = [Buffer.from('at '), Buffer.from('once')];
  t.true(prompt?.writeNow(fd, slices, 0));
  t.is(readFileSync(path, 'utf8'), 'at once');
  t.true(slow?.writeNow(fd, [Buffer.from('now')], 0));
  t.false(slow?.writeNow(fd, [Buffer.from('later')], 0), 'for a while, after a call that was slow');
  t.false(pooledIo.writeNow(fd, [Buffer.from('never')], 0));
  t.is(readFileSync(path, 'utf8'), 'nowonce');
  t.false(prompt?.writeNow(999_999, slices, 0));
  await t.throwsAsync(async () => await prompt?.write(999_999, slices, 0), { code: 'EBADF' });
});

test('a write at once that got slow halfway is done again as a whole', async (t) => {
  const { fd, path } = await newFile(t);
  const io = promptIo({
    readv: readvSync,
    writev: (file, [first], position) => {
      const startedAtMs = performance.now();
      while (performance.now() - startedAtMs <= promptMs);
      return writevSync(file, [first as Uint8Array], position);
    },
  });
  const slices = [Buffer.from('one'), Buffer.from('two')];
  t.false(io.writeNow(fd, slices, 0));
  await io.write(fd, slices, 0);
  t.is(readFileSync(path, 'utf8'), 'onetwo');
});

test('whatever else waits gets its turn', async (t) => {
  const { fd } = await newFile(t);
  const io = promptIo();
  const content = Buffer.alloc(100_000);
  let hadTurn = false;
  setImmediate(() => {
    hadTurn = true;
  });
  // It would go on for ever otherwise: all of this happens in microtasks.
  while (!hadTurn) await io.write(fd, [content], 0);
  t.true(hadTurn);
});

test('a write at once gives way to whatever else waits, and is one again when that had its turn', async (t) => {
  const { fd } = await newFile(t);
  const content = [Buffer.alloc(100_000)];
  let isOneAgain = false;
  // A machine that stalls makes the disk look slow: then another attempt tells.
  for (let attempt = 0; attempt < 20 && !isOneAgain; attempt += 1) {
    const io = promptIo();
    let writes = 0;
    while (writes < 100_000 && io.writeNow(fd, content, 0)) writes += 1;
    t.true(writes > 0 && writes < 100_000);
    await io.write(fd, content, 0);
    isOneAgain = io.writeNow(fd, content, 0);
  }
  t.true(isOneAgain);
});

test('errors are those of the system', async (t) => {
  const io = promptIo();
  await t.throwsAsync(io.read(999_999, Buffer.alloc(1), 0), { code: 'EBADF' });
});

test('it tells whether the next call stops the thread', async (t) => {
  const { fd } = await newFile(t);
  const { prompt, 'first prompt, then pooled': slow } = ways();
  t.true(prompt?.isInThread);
  t.true(slow?.isInThread);
  for (const io of [prompt, slow]) await io?.read(fd, Buffer.alloc(10), 0);
  t.true(prompt?.isInThread);
  t.false(slow?.isInThread, 'for a while, after a call that was slow');
  t.false(pooledIo.isInThread);
});
