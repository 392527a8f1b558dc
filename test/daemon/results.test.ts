import test from 'ava';
import { OperationResults, pageResultBytes } from '../../daemon/results.ts';

function id(number: number): Uint8Array {
  const bytes = new Uint8Array(16);
  new DataView(bytes.buffer).setUint32(0, number);
  return bytes;
}

test('work is done once, and its result told as often as it is asked for', async (t) => {
  const results = new OperationResults();
  let done = 0;
  const work = async (): Promise<number> => (done += 1);
  t.is(await results.once(id(1), work), 1);
  t.is(await results.once(id(1), work), 1);
  t.is(await results.once(id(2), work), 2);
  t.is(await results.get(id(1)), 1);
  t.is(results.get(id(3)), undefined);
});

test('who asks while the work is under way waits for the same result', async (t) => {
  const results = new OperationResults();
  let finish: (value: string) => void = () => undefined;
  const first = results.once(id(1), () => new Promise<string>((resolve) => (finish = resolve)));
  const second = results.once(id(1), () => Promise.resolve('again'));
  finish('once');
  t.deepEqual(await Promise.all([first, second]), ['once', 'once']);
});

test('a failure nobody waits for is no unhandled rejection, and is told to who asks', async (t) => {
  const results = new OperationResults();
  void results.once(id(1), () => Promise.reject(new Error('no'))).catch(() => undefined);
  await new Promise((resolve) => setImmediate(resolve));
  await t.throwsAsync(
    results.once(id(1), () => Promise.resolve(1)),
    { message: 'no' },
  );
});

test('results are forgotten after ten minutes', async (t) => {
  const results = new OperationResults();
  const { now } = performance;
  const at = now.call(performance);
  const clock = (minutes: number): void => {
    performance.now = () => at + minutes * 60_000;
  };
  try {
    clock(0);
    results.keep(id(1), Promise.resolve('old'));
    clock(9.9);
    t.truthy(results.get(id(1)));
    clock(10.1);
    t.is(results.get(id(1)), undefined);
  } finally {
    performance.now = now;
  }
});

test('a result that takes much takes the place of many', (t) => {
  const results = new OperationResults();
  const MiB = 1024 * 1024;
  const result = Promise.resolve();
  results.keep(id(0), result);
  for (let i = 1; i <= 16; i += 1) results.keep(id(i), result, MiB);
  t.is(results.get(id(0)), undefined);
  t.truthy(results.get(id(1)));
  // The same one again counts once.
  for (let i = 0; i < 20; i += 1) results.keep(id(16), result, MiB);
  t.truthy(results.get(id(2)));
  results.keep(id(17), result, 8 * MiB);
  t.is(results.get(id(8)), undefined);
  t.truthy(results.get(id(9)));
});

test("who does much pushes out what is his own, and nobody else's", (t) => {
  const results = new OperationResults();
  const result = Promise.resolve();
  const of = (owner: number, number: number): Uint8Array =>
    Buffer.concat([Buffer.from([owner]), id(number)]);
  results.keep(of(1, 0), result);
  for (let i = 0; i < 100; i += 1) results.keep(of(2, i), result, 1024 * 1024);
  t.truthy(results.get(of(1, 0)));
  t.is(results.get(of(2, 0)), undefined);
  t.is(results.get(of(2, 83)), undefined);
  t.truthy(results.get(of(2, 99)));
  t.is(results.get(of(1, 99)), undefined);
  // One that has most now gives way in its turn.
  for (let i = 0; i < 9; i += 1) results.keep(of(3, i), result, 1024 * 1024);
  t.truthy(results.get(of(3, 8)));
  t.truthy(results.get(of(2, 99)));
  t.truthy(results.get(of(1, 0)));
});

test('of a page the reasons count, as long as they are', (t) => {
  const answers = Array.from({ length: 256 }, () => 'refused');
  const failures = answers.map(() => ({ message: 'x'.repeat(1_000) }));
  t.true(pageResultBytes({ answers, failures: [] }) > 256 * 8);
  t.true(pageResultBytes({ answers, failures }) > 256 * 1_000);
});

test('only so many results are kept, the oldest go first', (t) => {
  const results = new OperationResults();
  const most = 65_536;
  const result = Promise.resolve();
  for (let i = 0; i < most + 10; i += 1) results.keep(id(i), result);
  t.is(results.get(id(0)), undefined);
  t.is(results.get(id(9)), undefined);
  t.truthy(results.get(id(10)));
  t.truthy(results.get(id(most + 9)));
});
