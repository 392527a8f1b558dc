import test from 'ava';
import { toldLimits } from '../../protocol/frames/connection.ts';
import { limits, segmentBytes } from '../../protocol/limits.ts';
import { quoted, table } from './helpers/doc.ts';

test('the limits of the specification are those of the code', (t) => {
  const documented = table('Limits').map((row) => [
    quoted(row.get('Name') ?? '')[0],
    Number((row.get('Value') ?? '').replaceAll(',', '')),
  ]);
  t.deepEqual(documented, Object.entries(limits));
});

test('the limits that hello tells are marked in the specification', (t) => {
  const told = table('Limits').filter((row) => row.get('Told in') === 'hello');
  t.deepEqual(
    new Set(told.map((row) => quoted(row.get('Name') ?? '')[0] ?? '')),
    new Set<string>(toldLimits),
  );
});

test('a segment is 8 MiB of a file', (t) => {
  t.is(segmentBytes, 8 * 1024 * 1024);
});

test('what is full by its count fits into a frame', (t) => {
  t.true(27 + 16 * limits.ranges <= limits.controlBytes);
  t.true(12 + 8 * limits.checksums <= limits.controlBytes);
});
