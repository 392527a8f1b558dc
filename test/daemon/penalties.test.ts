import test from 'ava';
import { Penalties } from '../../daemon/penalties.ts';

test('each failure of an address doubles its delay, up to the limit; others have their own', (t) => {
  const penalties = new Penalties({ penaltyMs: 1_500 });
  const delays = Array.from({ length: 5 }, () => penalties.failed('a'));
  t.deepEqual(delays, [250, 500, 1_000, 1_500, 1_500]);
  t.is(penalties.failed('b'), 250);
  penalties.clear('a');
  t.is(penalties.failed('a'), 250);
});

test('the table is bounded: who failed longest ago is forgotten first', (t) => {
  const penalties = new Penalties({ penaltyMs: 60_000 });
  penalties.failed('old');
  penalties.failed('kept');
  for (let i = 0; i < 4_095; i += 1) {
    penalties.failed(`${i}`);
    if (i === 2_000) penalties.failed('kept');
  }
  t.is(penalties.failed('old'), 250, 'forgotten');
  t.is(penalties.failed('kept'), 1_000, 'remembered');
});
