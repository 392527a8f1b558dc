import test from 'ava';
import { InvalidArgumentError } from 'commander';
import {
  parseCount,
  parseDuration,
  parseRate,
  parseTimeout,
} from '../../../client/commands/values.ts';

test('durations', (t) => {
  const table = { '90': 90_000, '1.5': 1_500, '90s': 90_000, '30m': 1_800_000, '2h': 7_200_000 };
  for (const [text, ms] of Object.entries(table)) t.is(parseDuration(text), ms);
  t.is(parseDuration('1h30m'), 5_400_000);
  t.is(parseDuration('500ms'), 500);
  t.is(parseDuration('1d'), 86_400_000);
  t.is(parseDuration('0'), 0);
  for (const text of ['', 's', '-1', '1x', '1 s', '1e3', '0x10', '1.2.3s', 'Infinity']) {
    t.throws(() => parseDuration(text), { instanceOf: InvalidArgumentError }, text);
  }
});

test('a timeout is more than nothing and no more than a timer takes', (t) => {
  t.is(parseTimeout('1ms'), 1);
  t.throws(() => parseTimeout('0'), { instanceOf: InvalidArgumentError });
  t.throws(() => parseTimeout('25d'), { instanceOf: InvalidArgumentError });
});

test('rates are 1024-based and need their unit', (t) => {
  t.is(parseRate('500k'), 512_000);
  t.is(parseRate('1.5M'), 1_572_864);
  t.is(parseRate('2MiB/s'), 2_097_152);
  t.is(parseRate('1G'), 1_073_741_824);
  t.is(parseRate('0'), 0);
  for (const text of ['', '1000', '0.5k', '1T', '-1k', 'k', '1 k', '1kB']) {
    t.throws(() => parseRate(text), { instanceOf: InvalidArgumentError }, text);
  }
});

test('counts have their bounds', (t) => {
  const parse = parseCount(1, 16);
  t.is(parse('16'), 16);
  for (const text of ['0', '17', '1.5', '', 'x', '1e1']) {
    t.throws(() => parse(text), { instanceOf: InvalidArgumentError }, text);
  }
});
