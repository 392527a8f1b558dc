import test from 'ava';
import fc from 'fast-check';
import { latencyOf, percentile } from '../../../client/measure/latency.ts';

test('percentiles are by nearest rank', (t) => {
  const hundred = Array.from({ length: 100 }, (_, i) => i + 1);
  t.deepEqual(
    [50, 95, 99, 100].map((percent) => percentile(hundred, percent)),
    [50, 95, 99, 100],
  );
  const cases: [number[], number, number][] = [
    [[7], 1, 7],
    [[7], 99, 7],
    [[1, 2], 50, 1],
    [[1, 2], 51, 2],
    [[1, 2, 3, 4], 75, 3],
    [[15, 20, 35, 40, 50], 30, 20],
    [[15, 20, 35, 40, 50], 40, 20],
    [[], 50, 0],
  ];
  for (const [values, percent, expected] of cases) {
    t.is(percentile(values, percent), expected, `${percent} of ${values.join(' ')}`);
  }
});

test('latencies in any order, none of which is nothing', (t) => {
  t.is(latencyOf([]), null);
  t.deepEqual(latencyOf([3, 1.23456, 2]), { count: 3, p50: 2, p95: 3, p99: 3, max: 3 });
});

test('at least the given part of all values is not above a percentile, which is one of them', (t) => {
  const values = fc.array(fc.double({ min: 0, max: 1e6, noNaN: true }), { minLength: 1 });
  const property = fc.property(values, fc.integer({ min: 1, max: 100 }), (some, percent) => {
    const sorted = some.toSorted((a, b) => a - b);
    const found = percentile(sorted, percent);
    t.true(sorted.includes(found));
    const notAbove = sorted.filter((value) => value <= found).length;
    t.true(notAbove / sorted.length >= percent / 100 - 1e-9);
  });
  fc.assert(property, { numRuns: 500 });
});
