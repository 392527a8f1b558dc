import test from 'ava';
import { BufferPool } from '../../transfer/buffer-pool.ts';
import { transferLimits } from '../../transfer/limits.ts';

test('what was given back is taken again, when it has the size', (t) => {
  const pool = new BufferPool(300);
  const memory = pool.take(100) as Uint8Array<ArrayBuffer>;
  pool.give(memory);
  t.not(pool.take(99), memory);
  t.is(pool.take(100), memory);
  t.not(pool.take(100), memory);
  t.is(pool.take(2), undefined, 'all is in use');
  t.is(pool.take(1)?.byteLength, 1);
});

test('what is idle gives way to another size', (t) => {
  const pool = new BufferPool(300);
  const memory = [100, 100, 100].map((bytes) => pool.take(bytes) as Uint8Array<ArrayBuffer>);
  for (const one of memory) pool.give(one);
  t.is(pool.take(250)?.byteLength, 250);
  t.is(pool.take(100), undefined);
});

test('what would only be nice to have leaves half of the pool to others', (t) => {
  const pool = new BufferPool(100);
  t.is(pool.takeSpare(51), undefined);
  t.is(pool.takeSpare(30)?.byteLength, 30);
  t.is(pool.takeSpare(30), undefined);
  t.is(pool.take(70)?.byteLength, 70, 'it counts');
});

test('the least is never refused, and counts', (t) => {
  const pool = new BufferPool(100);
  const least = [pool.takeLeast(80), pool.takeLeast(80)];
  t.is(pool.take(1), undefined);
  for (const memory of least) pool.give(memory);
  t.is(pool.take(100)?.byteLength, 100);
});

test('a pool that becomes smaller takes its part when something is given back', (t) => {
  const pool = new BufferPool(200);
  const [one, other] = [
    pool.take(100) as Uint8Array<ArrayBuffer>,
    pool.take(100) as Uint8Array<ArrayBuffer>,
  ];
  pool.resize(100);
  pool.give(one);
  t.is(pool.take(100), undefined);
  pool.give(other);
  t.is(pool.take(100)?.byteLength, 100);
  pool.resize(200);
  t.is(pool.take(100)?.byteLength, 100);
});

test('what is promised leaves less for others, and whoever has more is told', (t) => {
  const pool = new BufferPool(100);
  pool.promise(60);
  t.is(pool.take(50), undefined);
  const memory = pool.take(40) as Uint8Array<ArrayBuffer>;
  pool.takeLeast(60);
  t.false(pool.isOver);
  pool.takeLeast(1);
  t.true(pool.isOver);
  pool.give(memory);
  t.false(pool.isOver);
  pool.promise(-60);
  t.is(pool.take(39)?.byteLength, 39);
});

test('memory is made when much is taken first, once, and used while it has room', (t) => {
  const { sendBatchBytes: much } = transferLimits;
  const made: ArrayBuffer[] = [];
  const pool = new BufferPool(3 * much, (bytes) => {
    const memory = new ArrayBuffer(bytes);
    made.push(memory);
    return memory;
  });
  pool.give(pool.takeLeast(2 * much));
  pool.give(pool.take(much - 1) as Uint8Array<ArrayBuffer>);
  t.is(made.length, 0);
  const isMade = (part: Uint8Array | undefined): boolean => part?.buffer === made[0];
  const part = pool.take(much) as Uint8Array<ArrayBuffer>;
  t.true(isMade(part));
  const small = pool.takeLeast(much / 2);
  t.true(isMade(small));
  const more = pool.takeLeast(3 * much);
  t.false(isMade(more), 'there was no room in it');
  for (const each of [part, small, more]) pool.give(each);
  t.true(isMade(pool.take(2.5 * much)), 'what was idle gave way');
  t.is(made.length, 1);
});
