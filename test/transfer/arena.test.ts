import test from 'ava';
import fc from 'fast-check';
import { Arena } from '../../transfer/arena.ts';

const memoryBytes = 1_000_000;

test('parts lie apart in the memory, and all of it is there again in the end', (t) => {
  const step = fc.record({ bytes: fc.integer({ min: 1, max: 200_000 }), giveBack: fc.nat() });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
      const memory = new ArrayBuffer(memoryBytes);
      const arena = new Arena(memory);
      const lent: Uint8Array[] = [];
      for (const { bytes, giveBack } of steps) {
        const part = arena.take(bytes);
        if (part !== undefined) {
          t.is(part.buffer, memory);
          t.is(part.length, bytes);
          lent.push(part);
        } else if (lent.length > 0) {
          const [given] = lent.splice(giveBack % lent.length, 1);
          arena.give(given as Uint8Array);
        }
        const sorted = lent.toSorted((a, b) => a.byteOffset - b.byteOffset);
        for (const [i, { byteOffset }] of sorted.entries()) {
          const before = sorted[i - 1];
          if (before !== undefined) t.true(before.byteOffset + before.length <= byteOffset);
        }
      }
      for (const part of lent) arena.give(part);
      t.is(arena.take(memoryBytes - 5000)?.length, memoryBytes - 5000);
    }),
  );
});

test('what is full has no part, and memory of others is none of its own', (t) => {
  const arena = new Arena(new ArrayBuffer(10_000));
  t.not(arena.take(8192), undefined);
  t.is(arena.take(1), undefined);
  arena.give(new Uint8Array(4096));
  t.is(arena.take(1), undefined);
});
