import test from 'ava';
import fc from 'fast-check';
import { throttledMs } from '../../transfer/local/cpu-quota.ts';
import { BusyClock } from '../../transfer/measure/busy-clock.ts';

/** A system with these files and no others. */
const reading =
  (files: Readonly<Record<string, string>>) =>
  (file: string): string =>
    files[file] ?? '';

const stat = (periods: number, throttled: number): string =>
  `nr_periods ${periods}\nnr_throttled ${throttled}\nthrottled_time 12\n`;

test('a quota is found in both versions of control groups, and in those above', (t) => {
  const second = reading({
    '/proc/self/cgroup': '0::/system.slice/ferryd.service\n',
    '/sys/fs/cgroup/cpu.stat': 'usage_usec 5\n',
    '/sys/fs/cgroup/system.slice/cpu.stat': stat(50, 40),
    '/sys/fs/cgroup/system.slice/cpu.max': '20000 200000\n',
    '/sys/fs/cgroup/system.slice/ferryd.service/cpu.stat': stat(10, 7),
    '/sys/fs/cgroup/system.slice/ferryd.service/cpu.max': 'max 100000\n',
  });
  t.is(throttledMs(second), 40 * 200);
  const first = reading({
    '/proc/self/cgroup': '9:memory:/other\n3:cpu,cpuacct:/docker/1f\n1:name=systemd:/x\n0::/\n',
    '/sys/fs/cgroup/memory/other/cpu.stat': stat(9, 9),
    '/sys/fs/cgroup/cpu,cpuacct/cpu.stat': stat(30, 3),
    '/sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us': '100000\n',
  });
  t.is(throttledMs(first), 3 * 100, 'a container sees its own group as the root');
});

test('without a quota, or where nothing can be read, nothing was kept from running', (t) => {
  t.is(throttledMs(reading({})), 0);
  const free = { '/proc/self/cgroup': '1:cpu:/\n', '/sys/fs/cgroup/cpu/cpu.stat': stat(0, 0) };
  t.is(throttledMs(reading(free)), 0);
  t.true(throttledMs() >= 0);
});

test('a thread is busy while it works or may not, never longer than it lives, and never less than before', (t) => {
  const ms = fc.nat({ max: 1000 });
  const steps = fc.array(fc.record({ active: ms, idle: ms, throttled: ms }), { minLength: 1 });
  fc.assert(
    fc.property(ms, ms, ms, steps, (active, idle, throttled, later) => {
      const now = { active, idle, throttled };
      const clock = new BusyClock({ loop: () => now, throttledMs: () => now.throttled });
      let before = { busyMs: active, aliveMs: active + idle };
      for (const step of later) {
        now.active += step.active;
        now.idle += step.idle;
        // The process may have been put into another group, that has counted less.
        now.throttled = Math.max(0, now.throttled + step.throttled - 300);
        const time = clock.read();
        const busyMs = time.busyMs - before.busyMs;
        t.true(busyMs >= step.active);
        t.true(busyMs >= Math.min(step.throttled - 300, step.active + step.idle));
        t.true(busyMs <= step.active + step.idle);
        t.is(time.aliveMs, now.active + now.idle);
        before = time;
      }
    }),
  );
});
