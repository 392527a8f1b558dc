import test from 'ava';
import { InvalidArgumentError } from 'commander';
import { parseBytes, parseExpiry } from '../../daemon/units.ts';

test('bytes, 1024-based', (t) => {
  for (const [text, bytes] of [
    ['1', 1],
    ['64k', 65_536],
    ['10M', 10_485_760],
    ['1.5G', 1_610_612_736],
    ['2TiB', 2 * 1024 ** 4],
  ] as const) {
    t.is(parseBytes(text), bytes);
  }
  for (const bad of ['', '0', '-1', 'G', '1 G', '1x', '1e3', '99999999T', '0.5']) {
    t.throws(() => parseBytes(bad), { instanceOf: InvalidArgumentError }, bad);
  }
});

test('a moment to come', (t) => {
  const now = Date.UTC(2026, 10, 23);
  t.is(parseExpiry('90m', now), now + 90 * 60_000);
  t.is(parseExpiry('30d', now), Date.UTC(2026, 11, 23));
  t.is(parseExpiry('2027-01-01', now), Date.UTC(2027, 0, 1));
  t.is(parseExpiry('2027-01-01T12:00:00Z', now), Date.UTC(2027, 0, 1, 12));
  for (const bad of ['', '0d', '-1d', '30', 'soon', '2026-11-22', '2027-13-01', '999999999999d']) {
    t.throws(() => parseExpiry(bad, now), { instanceOf: InvalidArgumentError }, bad);
  }
});
