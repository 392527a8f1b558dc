import test from 'ava';
import { FramePace } from '../../transfer/frame-pace.ts';

/** Bytes come at a rate, a second's worth at a time; gives after how many seconds it is too slow. */
function endsAfter(pace: FramePace, bytesPerSecond: number, startMs: number): number | undefined {
  let pending = 0;
  for (let second = 1; second <= 300; second += 1) {
    pace.heard(pending + bytesPerSecond);
    pending = (pending + bytesPerSecond) % 65_568;
    pace.parsed(pending);
    if (pace.isTooSlow(startMs + second * 1000)) return second;
  }
  return undefined;
}

test('a byte a second is too slow, 20 KB a second is not', (t) => {
  for (const [rate, end] of [
    [1, 30],
    [1_023, 30],
    [1_100, undefined],
    [20_000, undefined],
  ] as const) {
    const pace = new FramePace(60_000, 1_024);
    const startMs = Math.ceil(performance.now());
    pace.restart(startMs);
    t.is(endsAfter(pace, rate, startMs), end, `${rate} bytes a second`);
    t.is(pace.movedAtMs > startMs + 240_000, end === undefined, 'it is found to move');
  }
});

test('who has nothing to say is not slow, and may begin late', (t) => {
  const pace = new FramePace(2_000, 1_024);
  const startMs = Math.ceil(performance.now());
  t.false(pace.isTooSlow(startMs + 5_000));
  pace.heard(10);
  pace.parsed(10);
  t.false(pace.isTooSlow(startMs + 5_900));
  t.true(pace.isTooSlow(startMs + 6_000));
});
