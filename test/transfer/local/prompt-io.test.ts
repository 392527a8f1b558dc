import { closeSync, openSync, readFileSync, readvSync, writevSync } from 'node:fs';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
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

test('errors are those of the system', async (t) => {
  const io = promptIo();
  await t.throwsAsync(io.read(999_999, Buffer.alloc(1), 0), { code: 'EBADF' });
});
