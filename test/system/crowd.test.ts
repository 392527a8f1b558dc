/** Sixty-four clients at once, cut again and again: no read shows what a name cannot have had. */
import test from 'ava';
import { playCrowd } from './helpers/crowd.ts';
import { History } from './helpers/history.ts';
import { seed } from './helpers/seed.ts';

test('64 clients do random things while their connections are cut: their history is one', async (t) => {
  t.timeout(170_000);
  const result = await playCrowd({ clients: 64, durationMs: 12_000 });
  const { operations, unknown, cuts, reads, problems } = result;
  t.log(`${operations} operations, ${unknown} of unknown outcome, ${reads} reads, ${cuts} cuts`);
  t.log(`FERRY_TEST_SEED=${seed}`);
  t.deepEqual(problems.slice(0, 5), []);
  t.true(operations >= 300 && reads > 100 && cuts > 20);
});

test('the control: a history with a stale, a lost or an invented content is refused', (t) => {
  const done = { name: 'a', outcome: 'done' } as const;
  const refused = (content: number | undefined, tune: (history: History) => void): void => {
    const history = new History();
    tune(history);
    history.read({ name: 'a', content, from: 10, to: 11 });
    t.is(history.problems().length, 1);
  };
  const first = { ...done, content: 1, from: 1, to: 2 };
  const second = { ...done, content: 2, from: 3, to: 4 };
  refused(1, (history) => [first, second].forEach((change) => history.changed(change)));
  refused(undefined, (history) => history.changed(first));
  refused(2, (history) => history.changed(first));
  refused(2, (history) => history.changed({ ...second, from: 12, to: 13 }));

  const allowed = new History();
  allowed.changed(first);
  allowed.changed({ ...second, outcome: 'unknown', to: Infinity });
  for (const content of [1, 2, 1]) allowed.read({ name: 'a', content, from: 10, to: 11 });
  t.deepEqual(allowed.problems(), []);
});
