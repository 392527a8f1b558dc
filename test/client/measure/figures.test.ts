import test from 'ava';
import {
  busiest,
  noFigures,
  noSample,
  type Sample,
  share,
  since,
  sumSamples,
} from '../../../client/measure/figures.ts';
import { type BenchSettings, shareOf } from '../../../client/measure/settings.ts';

function sampleOf(bytes: number, busyMs: number, aliveMs: number): Sample {
  const end = { ...noFigures, elapsedMs: 10, bytes, diskMs: 2 };
  const up = { bytes, near: end, far: end, nearDataBytes: 5, farDataBytes: 7 };
  return {
    directions: { ...noSample.directions, up },
    threads: [{ busyMs, aliveMs }],
    daemon: { busyMs, aliveMs, cpuMs: busyMs, memoryBytes: 64 },
  };
}

test('samples of several clients add up; of the daemon the latest word counts', (t) => {
  const sum = sumSamples([sampleOf(3, 1, 10), sampleOf(4, 2, 20)]);
  t.is(sum.directions.up.bytes, 7);
  t.is(sum.directions.up.near.elapsedMs, 20);
  t.is(sum.directions.up.far.diskMs, 4);
  t.is(sum.threads.length, 2);
  t.is(sum.daemon?.aliveMs, 20);
  t.deepEqual(sumSamples([]), noSample);
});

test('between two samples lies what was added, but content on disks is what it is', (t) => {
  const between = since(sampleOf(30, 9, 40), sampleOf(10, 4, 30));
  t.is(between.directions.up.bytes, 20);
  t.deepEqual(between.threads, [{ busyMs: 5, aliveMs: 10 }]);
  t.deepEqual(between.daemon, { busyMs: 5, aliveMs: 10, cpuMs: 5, memoryBytes: 64 });
  t.is(between.directions.up.farDataBytes, 7);
  t.is(since(noSample, noSample).daemon, undefined);
});

test('shares lie between nothing and all', (t) => {
  t.deepEqual([share(1, 4), share(5, 4), share(-1, 4), share(1, 0)], [0.25, 1, 0, 0]);
  t.is(busiest([]), 0);
});

const settings: BenchSettings = {
  mode: 'disk-write',
  directions: ['up'],
  path: '',
  folder: '/',
  clients: 2,
  connections: 3,
  durationMs: undefined,
  bytes: 100,
  chunkBytes: 65_536,
  writeBytes: undefined,
  bytesPerSecond: 61,
  omitMs: 0,
  intervalMs: 1000,
  checksums: true,
  minBytesPerSecond: undefined,
};

test('streams share what is asked for, and disks', (t) => {
  t.deepEqual(shareOf(settings), { bytes: 17, bytesPerSecond: 11, fileBytes: 715_784_192 });
  const many = shareOf({ ...settings, clients: 256, connections: 64, bytes: undefined });
  t.is(many.bytes, undefined);
  t.is(many.fileBytes % 65_536, 0);
  t.true(many.fileBytes * 256 * 64 <= 4 * 1024 ** 3);
});
