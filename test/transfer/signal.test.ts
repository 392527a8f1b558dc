import test from 'ava';
import { Signal } from '../../transfer/signal.ts';

test('a wake that comes before anybody waits is remembered, once', async (t) => {
  const signal = new Signal();
  signal.notify();
  signal.notify();
  await signal.wait();
  let woken = false;
  const second = signal.wait().then(() => {
    woken = true;
  });
  await Promise.resolve();
  t.false(woken);
  signal.notify();
  await second;
  t.true(woken);
});

test('everybody who waits is woken', async (t) => {
  const signal = new Signal();
  const all = Promise.all([signal.wait(), signal.wait(), signal.wait()]);
  signal.notify();
  await t.notThrowsAsync(all);
});
