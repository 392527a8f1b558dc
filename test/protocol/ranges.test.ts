import test from 'ava';
import fc from 'fast-check';
import { RangeSet, unbounded } from '../../protocol/ranges.ts';

/** Numbers stay below this, so that a Set of them is a model of the ranges. */
const top = 40;
const all = Array.from({ length: top }, (_, i) => i);

interface Both {
  readonly ranges: RangeSet;
  readonly model: Set<number>;
}

type Step = (both: Both) => void;

const span = fc.tuple(fc.nat(top), fc.nat(top));

const steps: fc.Arbitrary<Step> = fc.oneof(
  span.map(
    ([start, end]): Step =>
      ({ ranges, model }) => {
        ranges.add(start, end);
        for (const i of all) if (i >= start && i < end) model.add(i);
      },
  ),
  span.map(
    ([start, end]): Step =>
      ({ ranges, model }) => {
        ranges.remove(start, end);
        for (const i of all) if (i >= start && i < end) model.delete(i);
      },
  ),
  fc.integer({ min: 1, max: 10 }).map(
    (count): Step =>
      ({ ranges, model }) => {
        const taken = ranges.takeFirst(count);
        if (taken === undefined) return;
        for (let i = taken.start; i < taken.end; i += 1) model.delete(i);
      },
  ),
  fc.constant<Step>(({ ranges, model }) => {
    ranges.clear();
    model.clear();
  }),
);

/** The sorted, disjoint, untouching ranges of a set of numbers. */
function rangesOf(model: ReadonlySet<number>): { start: number; end: number }[] {
  const starts = all.filter((i) => model.has(i) && !model.has(i - 1));
  return starts.map((start) => ({
    start,
    end: all.find((i) => i > start && !model.has(i)) ?? top,
  }));
}

test('a RangeSet behaves like a Set of numbers', (t) => {
  const property = fc.property(fc.array(steps, { maxLength: 30 }), span, (some, [start, end]) => {
    const both: Both = { ranges: new RangeSet(), model: new Set() };
    for (const step of some) step(both);
    const { ranges, model } = both;
    const expected = rangesOf(model);
    t.deepEqual([...ranges], expected);
    t.is(ranges.size, model.size);
    t.is(ranges.empty, model.size === 0);
    t.is(ranges.rangeCount, expected.length);
    const within = all.filter((i) => i >= start && i < end);
    t.is(
      ranges.hasAll(start, end),
      within.every((i) => model.has(i)),
    );
    t.is(ranges.has(start), model.has(start));
    const gaps = new Set(within.filter((i) => !model.has(i)));
    t.deepEqual([...ranges.gaps(start, end)], rangesOf(gaps));
    const held = new Set(within.filter((i) => model.has(i)));
    t.deepEqual([...ranges.within(start, end)], rangesOf(held));
    t.deepEqual([...new RangeSet(ranges)], expected);
  });
  fc.assert(property, { numRuns: 2000 });
});

test('takeFirst gives the front, at most as much as was asked for', (t) => {
  const ranges = new RangeSet([
    { start: 2, end: 6 },
    { start: 8, end: 9 },
  ]);
  t.deepEqual(ranges.takeFirst(3), { start: 2, end: 5 });
  t.deepEqual(ranges.takeFirst(3), { start: 5, end: 6 });
  t.deepEqual(ranges.takeFirst(3), { start: 8, end: 9 });
  t.is(ranges.takeFirst(3), undefined);
});

test('"to the end" is a range like any other', (t) => {
  const ranges = new RangeSet([{ start: 3, end: unbounded }]);
  t.true(ranges.has(unbounded - 1));
  t.false(ranges.has(unbounded));
  t.deepEqual(ranges.takeFirst(2), { start: 3, end: 5 });
  ranges.remove(10, unbounded);
  t.deepEqual([...ranges], [{ start: 5, end: 10 }]);
  t.deepEqual([...new RangeSet().gaps(7, unbounded)], [{ start: 7, end: unbounded }]);
});

test('ranges that were taken out do not change with the set', (t) => {
  const ranges = new RangeSet([{ start: 0, end: 4 }]);
  const before = [...ranges];
  ranges.add(4, 9);
  ranges.takeFirst(2);
  t.deepEqual(before, [{ start: 0, end: 4 }]);
});

test('a set may be changed while it is walked', (t) => {
  const ranges = new RangeSet([
    { start: 0, end: 1 },
    { start: 2, end: 3 },
    { start: 4, end: 5 },
  ]);
  const seen: number[] = [];
  for (const { start, end } of ranges) {
    seen.push(start);
    ranges.remove(start, end);
  }
  t.deepEqual(seen, [0, 2, 4]);
  t.true(ranges.empty);
});
