import test from 'ava';
import {
  bytesText,
  countText,
  localTimeText,
  modeText,
  timestamp,
  timeText,
} from '../../client/render-units.ts';

test('sizes have steps of 1024', (t) => {
  const table: readonly (readonly [number, string])[] = [
    [0, '0 B'],
    [1023, '1023 B'],
    [1024, '1.0 KiB'],
    [1024 ** 2 - 1, '1.0 MiB'],
    [1.5 * 1024 ** 3, '1.5 GiB'],
    [2 ** 53 - 1, '8.0 PiB'],
  ];
  for (const [bytes, text] of table) t.is(bytesText(bytes), text);
});

test('times, counts', (t) => {
  t.is(timeText(0), '0:00');
  t.is(timeText(59.6), '1:00');
  t.is(timeText(3599), '59:59');
  t.is(timeText(90_061), '25:01:01');
  t.is(countText(1, 'file'), '1 file');
  t.is(countText(0, 'file'), '0 files');
});

test('modes as ls shows them', (t) => {
  t.is(modeText('file', 0o644), '-rw-r--r--');
  t.is(modeText('directory', 0o1777), 'drwxrwxrwt');
  t.is(modeText('file', 0o4755), '-rwsr-xr-x');
  t.is(modeText('file', 0o6644), '-rwSr-Sr--');
  t.is(modeText('link', 0o777), 'lrwxrwxrwx');
  t.is(modeText('unreadable', 0), '?---------');
});

test('times keep their nanoseconds, before 1970 too', (t) => {
  t.is(timestamp(0n), '1970-01-01T00:00:00.000000000Z');
  t.is(timestamp(1_700_000_000_123_456_789n), '2023-11-14T22:13:20.123456789Z');
  t.is(timestamp(-1n), '1969-12-31T23:59:59.999999999Z');
  t.is(timestamp(2n ** 63n - 1n), '2262-04-11T23:47:16.854775807Z');
  t.is(timestamp(-(2n ** 63n)), '1677-09-21T00:12:43.145224192Z');
  t.regex(localTimeText('2023-11-14T22:13:20.123456789Z'), /^2023-11-1[45] \d\d:\d\d:20$/);
});
