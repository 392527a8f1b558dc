import test from 'ava';
import { limits } from '../../../protocol/limits.ts';
import { decode, encode } from '../helpers/wire.ts';

test('a page of failures fits into a frame, however long their messages are', (t) => {
  const failures = Array.from({ length: limits.pageFiles }, (_, index) => ({
    index,
    failure: 'io' as const,
    message: 'x'.repeat(2000),
  }));
  const frame = decode(encode({ type: 'results', request: 1, failures }))[0];
  const arrived = frame?.type === 'results' ? frame.failures : [];
  t.deepEqual(
    arrived.map(({ index }) => index),
    failures.map(({ index }) => index),
  );
  t.is(arrived[0]?.message.length, limits.messageBytes);
  t.is(arrived.at(-1)?.message, '');
});
