import test from 'ava';
import { TransferError } from '../../protocol/errors.ts';
import { transferLimits } from '../../transfer/limits.ts';
import { OpenSegments } from '../../transfer/open-segments.ts';

const { openSegments, openSegmentsLeast, openSegmentsTotal } = transferLimits;
const isLimit = { instanceOf: TransferError, message: /\(openSegments\)/ };

test.serial('one transfer has at most so many; fewer again are never refused', (t) => {
  const open = new OpenSegments(0);
  open.set(openSegments);
  t.throws(() => open.set(openSegments + 1), isLimit);
  open.set(1);
  open.set(openSegments);
  open.close();
});

test.serial('what was there before counts once, and may go on', (t) => {
  const open = new OpenSegments(3 * openSegments);
  open.set(2 * openSegments);
  t.throws(() => open.set(3 * openSegments + 1), isLimit);
  open.close();
});

test.serial('all together have a limit, beyond which each has the least', (t) => {
  const many = Array.from({ length: openSegmentsTotal / openSegments }, () => new OpenSegments(0));
  for (const open of many) open.set(openSegments);
  const late = new OpenSegments(openSegmentsLeast);
  t.throws(() => late.set(openSegmentsLeast + 1), isLimit);
  t.throws(() => new OpenSegments(openSegmentsLeast + 1), isLimit);
  many[0]?.close();
  late.set(openSegmentsLeast + 1);
  for (const open of [late, ...many]) open.close();
  const again = new OpenSegments(openSegments);
  again.close();
});
