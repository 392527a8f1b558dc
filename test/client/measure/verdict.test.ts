import test from 'ava';
import fc from 'fast-check';
import { noFigures, noSample, type Sample } from '../../../client/measure/figures.ts';
import {
  type Bottleneck,
  bottleneckOf,
  bottlenecks,
  type Shares,
  sharesOf,
  verdictText,
} from '../../../client/measure/verdict.ts';

const idle: Shares = {
  paced: 0,
  senderDisk: 0,
  senderThread: 0,
  window: 0,
  socket: 0,
  receiverThread: 0,
  receiverDisk: 0,
};

const table: [string, Partial<Shares>, Bottleneck][] = [
  ['a rate that is asked for', { paced: 0.95, senderThread: 0.1 }, 'offered load'],
  [
    'a slow disk that receives',
    { receiverDisk: 0.99, socket: 0.9, senderThread: 0.2 },
    'receiver disk',
  ],
  ['a slow disk that sends', { senderDisk: 0.98, receiverThread: 0.3 }, 'sender disk'],
  ['a sender that computes', { senderThread: 1, receiverThread: 0.6, socket: 0.3 }, 'sender CPU'],
  [
    'a receiver that computes',
    { receiverThread: 0.97, senderThread: 0.7, socket: 0.8 },
    'receiver CPU',
  ],
  ['a slow way', { socket: 0.97, senderThread: 0.1, receiverThread: 0.1 }, 'network'],
  ['a long way', { window: 0.9, socket: 0.2, receiverThread: 0.2 }, 'window'],
  ['parts that take turns', { senderDisk: 0.4, senderThread: 0.3, receiverDisk: 0.3 }, 'unclear'],
  ['nothing at all', {}, 'unclear'],
  // Both wait for the disk: the thread that waits beside it is less busy than the disk is.
  [
    'a fast disk near its end',
    { receiverDisk: 0.92, receiverThread: 0.8, socket: 0.8 },
    'receiver disk',
  ],
];

for (const [name, shares, expected] of table) {
  test(`${name}: ${expected}`, (t) => {
    t.is(bottleneckOf({ ...idle, ...shares }), expected);
  });
}

test('a part that is never busy is never the bottleneck', (t) => {
  const share = fc.double({ min: 0, max: 1, noNaN: true });
  const shares = fc.record({
    paced: share,
    senderDisk: share,
    senderThread: share,
    window: share,
    socket: share,
    receiverThread: share,
    receiverDisk: share,
  });
  const parts = {
    paced: 'offered load',
    senderDisk: 'sender disk',
    senderThread: 'sender CPU',
    receiverThread: 'receiver CPU',
    receiverDisk: 'receiver disk',
    window: 'window',
    socket: 'network',
  } as const;
  const names = fc.constantFrom(...(Object.keys(parts) as (keyof typeof parts)[]));
  const property = fc.property(shares, names, (some, name) => {
    const found = bottleneckOf({ ...some, [name]: 0 });
    t.not(found, parts[name]);
    t.true(bottlenecks.includes(found));
  });
  fc.assert(property, { numRuns: 1000 });
});

test('shares are taken of the end that has the role', (t) => {
  const near = {
    ...noFigures,
    elapsedMs: 1000,
    diskMs: 100,
    windowMs: 200,
    socketMs: 300,
    pacedMs: 400,
  };
  const far = {
    ...noFigures,
    elapsedMs: 2000,
    diskMs: 1800,
    windowMs: 20,
    socketMs: 40,
    pacedMs: 60,
  };
  const figures = { bytes: 1, near, far, nearDataBytes: 0, farDataBytes: 0 };
  const sample: Sample = {
    directions: { up: figures, down: figures },
    threads: [
      { busyMs: 100, aliveMs: 1000 },
      { busyMs: 700, aliveMs: 1000 },
    ],
    daemon: { busyMs: 900, aliveMs: 1000, cpuMs: 0, memoryBytes: 0 },
  };
  t.deepEqual(sharesOf(sample, 'up'), {
    paced: 0.4,
    senderDisk: 0.1,
    senderThread: 0.7,
    window: 0.2,
    socket: 0.3,
    receiverThread: 0.9,
    receiverDisk: 0.9,
  });
  t.deepEqual(sharesOf(sample, 'down'), {
    paced: 0.03,
    senderDisk: 0.9,
    senderThread: 0.9,
    window: 0.01,
    socket: 0.02,
    receiverThread: 0.7,
    receiverDisk: 0.1,
  });
  t.deepEqual(sharesOf(noSample, 'up'), idle);
});

test('a verdict is the part and the rate', (t) => {
  t.is(verdictText('receiver disk', 412_345_678), 'receiver disk, 393.2 MiB/s');
  t.is(verdictText('unclear', 1024), 'no single part, 1.0 KiB/s');
});
