import test from 'ava';
import { BenchCsvRenderer, csvLine } from '../../../client/measure/render-csv.ts';
import {
  BenchTextRenderer,
  barText,
  dataText,
  intervalText,
  summaryText,
} from '../../../client/measure/render-text.ts';
import { outputs } from '../helpers/outputs.ts';
import { bench, events, intervalOf, summaryOf } from './helpers.ts';

test('a bar grows by eighths, and not beyond its columns', (t) => {
  t.is(barText(0, 10), '');
  t.is(barText(0.5, 4), '██');
  t.is(barText(1 / 80, 10), '▏');
  t.is(barText(7, 3), '███');
  t.is(barText(-1, 3), '');
});

test('an interval is one line; only a terminal has a bar, and none is wider than it', (t) => {
  const event = intervalOf(0, { chunksRepeated: 2, omitted: true });
  const plain = intervalText(event, 1, 0);
  t.is(
    plain,
    '   0.0–1.0   s     1.0 MiB/s    8.39 Mbit/s  ping 0.50 ms, p99 12 ms  CPU 0.50/?  2 chunks repeated  (warm-up)',
  );
  t.true(intervalText(event, 1, 200).startsWith(`${plain}  ████`));
  for (const columns of [60, 80, 100, 120, 200]) {
    const line = intervalText(event, 1, columns);
    t.true(line.includes('█'), String(columns));
    t.true(line.length < columns, String(columns));
  }
  t.is(intervalText(event, 1, 20), plain);
});

test('the summary tells rate, latency, processors and the bottleneck with its reasons', (t) => {
  const event = summaryOf();
  t.is(
    summaryText(event, bench),
    `net: 2.0 MiB in 2.0 s, 1.0 MiB/s, 8.39 Mbit/s
  ping       p50 0.50 ms, p95 1.00 ms, p99 12 ms, max 20 ms (6)
  CPU        client 0.50, daemon unknown processors
bottleneck: network, 1.0 MiB/s
  of the time: sender thread 10 %, disk 0 %, waiting for the window 20 %, for the socket 90 %, for the rate 0 %, receiver thread 10 %, disk 0 %`,
  );
});

test('data that fits into memory is told to', (t) => {
  t.deepEqual(dataText('client', 0, 1024), []);
  t.regex(
    dataText('daemon', 1024, 4096)[0] ?? '',
    /1.0 KiB on the daemon's disk .*fits into memory/,
  );
  t.notRegex(dataText('daemon', 4096, 1024)[0] ?? '', /fits/);
});

test('text goes to stdout, what went wrong to stderr, and quiet is quiet', (t) => {
  const out = outputs();
  const renderer = new BenchTextRenderer(out, { quiet: false, verbose: false });
  for (const event of events) void renderer.show(event);
  void renderer.show({ type: 'error', failure: 'io', message: 'a\u001b[31mb', exitCode: 1 });
  t.is(out.stdout.text.split('\n').length, 2 + 5 + 1);
  t.false(out.stdout.text.includes('█'), 'no terminal, no bar');
  t.is(out.stderr.text, 'ferry: a\\u{1b}[31mb\n');
  const silent = outputs();
  const quiet = new BenchTextRenderer(silent, { quiet: true, verbose: false });
  for (const event of events) void quiet.show(event);
  quiet.note('never mind');
  t.is(silent.stdout.text + silent.stderr.text, '');
});

test('csv has one head, a row for each interval, one for the whole, and quotes', (t) => {
  const out = outputs();
  const renderer = new BenchCsvRenderer(out);
  for (const event of events) void renderer.show(event);
  const lines = out.stdout.text.split('\r\n');
  t.is(lines.length, 5);
  const columns = lines[0]?.split(',').length;
  t.is(lines[1]?.split(',').length, columns);
  t.true(
    lines[1]?.startsWith('interval,0,1,false,1048576,1048576,8388608,1048576,0,0,0.5,1,12.3,20,'),
  );
  t.true(lines[3]?.startsWith('summary,0,2,false,2097152,'));
  t.true(lines[3]?.endsWith(',"network, 1.0 MiB/s"'));
  t.is(csvLine(['a"b', 'c\nd', null, 1, true]), '"a""b","c\nd",,1,true\r\n');
});
