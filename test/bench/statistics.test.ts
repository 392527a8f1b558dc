import test from 'ava';
import { chart, markdown } from '../../bench/render.ts';
import { merged } from '../../bench/results.ts';
import { figuresOf, keepsFloor, type RowResult, ratios, spreadOf } from '../../bench/statistics.ts';

const sample = (seconds: number, cpuSeconds = 1) => ({
  seconds,
  clientCpuSeconds: cpuSeconds,
  serverCpuSeconds: cpuSeconds,
  clientPeakBytes: seconds * 1e6,
  serverPeakBytes: 2e6,
  output: '',
});

function rowOf(change: Partial<RowResult> = {}): RowResult {
  const figures = figuresOf('<rsync>', [sample(2)]);
  const even = { median: 1, least: 0.5, most: 2 };
  return {
    id: 'a',
    title: 'work & more',
    compared: 'seconds',
    floor: 1.25,
    aim: 1,
    bytes: 1,
    runs: 1,
    ours: figures,
    peer: figures,
    ratio: even,
    cpuRatio: even,
    measured: 'today',
    ...change,
  };
}

test('a spread has the middle of what was measured, and its ends', (t) => {
  t.deepEqual(spreadOf([3, 1, 2]), { median: 2, least: 1, most: 3 });
  t.deepEqual(spreadOf([4, 1, 3, 2]), { median: 2.5, least: 1, most: 4 });
  t.throws(() => spreadOf([]), { message: /Nothing/ });
});

test('ratios are taken run by run: a machine that slows down for both changes none', (t) => {
  const ours = [sample(1), sample(10)];
  const theirs = [sample(2), sample(20)];
  t.deepEqual(
    ratios(ours, theirs, ({ seconds }) => seconds),
    { median: 0.5, least: 0.5, most: 0.5 },
  );
});

test('figures count both ends, and the largest memory', (t) => {
  const { cpuSeconds, clientPeakBytes, bytesPerSecond } = figuresOf('x', [sample(1), sample(3)]);
  t.is(cpuSeconds.median, 2);
  t.is(clientPeakBytes, 3e6);
  t.is(bytesPerSecond, null);
});

test('of time less keeps the floor, of throughput more', (t) => {
  t.true(keepsFloor(rowOf()));
  t.false(keepsFloor(rowOf({ floor: 0.9 })));
  t.true(keepsFloor(rowOf({ compared: 'bytesPerSecond', floor: 0.9 })));
  t.false(keepsFloor(rowOf({ compared: 'bytesPerSecond', floor: 1.25 })));
  t.is(keepsFloor(rowOf({ floor: null })), undefined);
});

test('what was not measured anew stays, in the order of the table', (t) => {
  const one = (id: string, run: number) => ({ id, run });
  t.deepEqual(merged(['a', 'b', 'c'], [one('c', 1), one('a', 1)], [one('c', 2), one('b', 2)]), [
    one('a', 1),
    one('b', 2),
    one('c', 2),
  ]);
});

test('the page shows a floor that is not kept, the chart escapes names', (t) => {
  const rows = [rowOf({ floor: 0.5 })];
  t.regex(markdown({ rows, series: [] }, 'chart.svg'), /\| ≤ 0\.5 \| ≤ 1 \| \*\*no\*\* \|/);
  const svg = chart(rows);
  t.true(svg.includes('work &amp; more / &lt;rsync&gt;'));
  t.false(svg.includes('<rsync>'));
});
