import test from 'ava';
import { defaultPolicy } from '../../../protocol/frames/transfer.ts';
import { limits } from '../../../protocol/limits.ts';
import { specification } from '../helpers/doc.ts';
import { decode, encode } from '../helpers/wire.ts';

test('the longest lists of ranges and checksums travel', (t) => {
  const ranges = Array.from({ length: limits.ranges }, (_, i) => ({
    start: 2 * i,
    end: 2 * i + 1,
  }));
  const checksums = new BigUint64Array(limits.checksums).fill(7n);
  const frames = [
    { type: 'compare', request: 1, level: 'chunk', ranges },
    { type: 'sums', request: 1, level: 'chunk', first: 0, last: false, checksums },
  ] as const;
  for (const frame of frames) t.deepEqual(decode(encode(frame)), [frame]);
});

test('the default policy is the one that the specification names', (t) => {
  t.deepEqual(defaultPolicy, {
    overwrite: 'always',
    checksum: false,
    delta: false,
    fresh: false,
    modifyWindowNs: 10_000,
  });
  t.regex(specification, /default: `always`, three times no, 10,000/);
});
