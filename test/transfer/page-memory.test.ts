import test from 'ava';
import { limits } from '../../protocol/limits.ts';
import { givePageMemory, pageMemoryBytes, takePageMemory } from '../../transfer/page-memory.ts';

test('little content gets no more memory than it needs, and more gets that of a whole page', (t) => {
  for (const bytes of [1, 1_000, limits.fileChunkBytes]) {
    t.is(takePageMemory(bytes).length, bytes);
    t.is(pageMemoryBytes(bytes), bytes);
  }
  for (const bytes of [limits.fileChunkBytes + 1, limits.pageContentBytes]) {
    t.is(takePageMemory(bytes).length, limits.pageContentBytes);
    t.is(pageMemoryBytes(bytes), limits.pageContentBytes);
  }
});

test('that of a whole page is used again, and nothing else in its place', (t) => {
  const whole = takePageMemory(limits.pageContentBytes);
  givePageMemory(whole);
  givePageMemory(takePageMemory(10));
  t.is(takePageMemory(limits.pageContentBytes), whole);
  t.not(takePageMemory(limits.pageContentBytes), whole);
});
