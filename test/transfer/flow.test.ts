import test from 'ava';
import fc from 'fast-check';
import { ProtocolError } from '../../protocol/errors.ts';
import { ReceiveWindow, SendWindow } from '../../transfer/flow.ts';
import { turns } from './helpers/outcome.ts';

const microtasks = async (): Promise<void> => {
  for (let i = 0; i < 10; i += 1) await Promise.resolve();
};

test('a send window starts what fits at once, and the rest when credit comes', async (t) => {
  const window = new SendWindow(100);
  const started: string[] = [];
  void window.reserve(60).then(() => started.push('a'));
  void window.reserve(40).then(() => started.push('b'));
  void window.reserve(1).then(() => started.push('c'));
  await microtasks();
  t.deepEqual(started, ['a', 'b']);
  t.is(window.inFlightBytes, 100);
  window.credit(60);
  await microtasks();
  t.deepEqual(started, ['a', 'b', 'c']);
  t.is(window.inFlightBytes, 41);
});

test('a send window lets one frame of any size go when nothing is in flight', async (t) => {
  const window = new SendWindow(10);
  await window.reserve(1_000);
  let second = false;
  void window.reserve(1).then(() => {
    second = true;
  });
  window.credit(999);
  await microtasks();
  t.true(second, 'one byte in flight and one more are within the limit');
});

test('a send window serves in the order of the calls, so a large frame is not starved by small ones', async (t) => {
  const window = new SendWindow(100);
  const started: string[] = [];
  await window.reserve(90);
  void window.reserve(50).then(() => started.push('large'));
  void window.reserve(5).then(() => started.push('small'));
  await microtasks();
  t.deepEqual(started, [], 'the small one would fit, but waits its turn');
  window.credit(90);
  await microtasks();
  t.deepEqual(started, ['large', 'small']);
});

test('bytes given back start those who wait', async (t) => {
  const window = new SendWindow(100);
  await window.reserve(100);
  let started = false;
  void window.reserve(30).then(() => {
    started = true;
  });
  window.giveBack(100);
  await microtasks();
  t.true(started);
  t.is(window.inFlightBytes, 30);
});

test('a credit that falls, or confirms more than was sent, is a protocol error', async (t) => {
  const window = new SendWindow(100);
  await window.reserve(50);
  t.throws(() => window.credit(51), { instanceOf: ProtocolError });
  window.credit(50);
  t.throws(() => window.credit(49), { instanceOf: ProtocolError });
  t.notThrows(() => window.credit(50), 'the same again is no lie');
});

test('after a failure everybody who waits and everybody who comes fails', async (t) => {
  const window = new SendWindow(10);
  await window.reserve(10);
  const waiting = window.reserve(1);
  window.fail(new Error('gone'));
  await t.throwsAsync(waiting, { message: 'gone' });
  await t.throwsAsync(window.reserve(1), { message: 'gone' });
});

test('a receive window refuses what exceeds it, but takes one frame of any size when empty', (t) => {
  const told: number[] = [];
  const window = new ReceiveWindow(100, 1000, (consumed) => told.push(consumed));
  window.received(500);
  t.throws(() => window.received(1), { instanceOf: ProtocolError });
  const other = new ReceiveWindow(100, 1000, () => undefined);
  other.received(60);
  other.received(40);
  t.throws(() => other.received(1), { instanceOf: ProtocolError });
});

test('credit is told at a quarter of the window at the latest, and when everything is done', (t) => {
  const told: number[] = [];
  const window = new ReceiveWindow(100, 1000, (consumed) => told.push(consumed));
  window.received(100);
  window.consumed(24);
  t.deepEqual(told, []);
  window.consumed(1);
  t.deepEqual(told, [25]);
  window.consumed(10);
  t.deepEqual(told, [25]);
  window.consumed(65);
  t.deepEqual(told, [25, 100]);
});

test('a peer that keeps less on its way than it may hears at a quarter of that', (t) => {
  const told: number[] = [];
  const window = new ReceiveWindow(1000, 200, (consumed) => told.push(consumed));
  window.agree(400);
  window.received(400);
  window.consumed(99);
  t.deepEqual(told, []);
  window.consumed(1);
  t.deepEqual(told, [100]);
});

test('two windows joined: the limit is never exceeded, nothing waits for ever, all in order', async (t) => {
  await fc.assert(
    fc.asyncProperty(
      fc.integer({ min: 0, max: 200 }),
      fc.integer({ min: 1, max: 300 }),
      fc.array(fc.integer({ min: 1, max: 250 }), { minLength: 1, maxLength: 40 }),
      fc.array(fc.nat({ max: 5 }), { minLength: 1, maxLength: 40 }),
      async (limitBytes, creditBytes, frames, choices) => {
        const send = new SendWindow(limitBytes);
        const wire: number[] = [];
        const sent: number[] = [];
        const credits: number[] = [];
        const receive = new ReceiveWindow(limitBytes, creditBytes, (consumed) =>
          credits.push(consumed),
        );
        let arrivedBytes = 0;
        let doneBytes = 0;
        const all = frames.map(async (bytes, i) => {
          await send.reserve(bytes);
          sent.push(i);
          wire.push(bytes);
        });
        // The link and the reader do their steps in an order of their own, then whatever is left.
        for (let step = 0; sent.length < frames.length || wire.length > 0; step += 1) {
          const choice = choices[step % choices.length] as number;
          await microtasks();
          if (choice < 2 && wire.length > 0) {
            const bytes = wire.shift() as number;
            receive.received(bytes);
            arrivedBytes += bytes;
          } else if (choice < 4 && doneBytes < arrivedBytes) {
            const bytes = Math.min(arrivedBytes - doneBytes, 1 + choice * 20);
            receive.consumed(bytes);
            doneBytes += bytes;
          } else {
            const credit = credits.shift();
            if (credit !== undefined) send.credit(credit);
            else if (wire.length > 0) {
              const bytes = wire.shift() as number;
              receive.received(bytes);
              arrivedBytes += bytes;
            } else if (doneBytes < arrivedBytes) {
              receive.consumed(arrivedBytes - doneBytes);
              doneBytes = arrivedBytes;
            } else if (step > 10_000) {
              throw new Error('Nobody can move.');
            }
          }
          const largest = Math.max(...frames);
          if (send.inFlightBytes > Math.max(limitBytes, largest))
            throw new Error('Too much in flight.');
        }
        await Promise.all(all);
        t.deepEqual(sent, [...frames.keys()]);
      },
    ),
    { numRuns: 150 },
  );
  await turns(1);
});

test('giving back in any order leaves the window as if those bytes had never been asked for', async (t) => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.record({ bytes: fc.integer({ min: 1, max: 50 }), keep: fc.boolean() }), {
        maxLength: 30,
      }),
      async (wishes) => {
        const window = new SendWindow(64);
        let kept = 0;
        let consumed = 0;
        await Promise.all(
          wishes.map(async ({ bytes, keep }) => {
            await window.reserve(bytes);
            if (keep) {
              kept += bytes;
              await Promise.resolve();
              consumed += bytes;
              window.credit(consumed);
            } else {
              window.giveBack(bytes);
            }
          }),
        );
        t.is(window.inFlightBytes, 0);
        t.is(consumed, kept);
      },
    ),
    { numRuns: 200 },
  );
});
