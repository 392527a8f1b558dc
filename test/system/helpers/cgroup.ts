/** Processes with little CPU, by a control group (version 1) that root makes for them. */
import { existsSync, mkdirSync, rmdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import type { ExecutionContext } from 'ava';
import { until } from './wait.ts';

const controller = '/sys/fs/cgroup/cpu';

export const hasCpuGroups: boolean =
  process.getuid?.() === 0 && existsSync(path.join(controller, 'cpu.cfs_quota_us'));

const periodUs = 100_000;
let count = 0;

/** Gives a function that leaves a process only this share of one processor, until the test is over. */
export function cpuShare(t: ExecutionContext, share: number): (pid: number) => void {
  count += 1;
  const group = path.join(controller, `ferry-test-${process.pid}-${count}`);
  mkdirSync(group);
  // Whoever is in it has to end first.
  t.teardown(() =>
    until('the control group is empty', () => {
      try {
        rmdirSync(group);
        return true;
      } catch {
        return false;
      }
    }),
  );
  writeFileSync(path.join(group, 'cpu.cfs_period_us'), String(periodUs));
  writeFileSync(path.join(group, 'cpu.cfs_quota_us'), String(Math.round(periodUs * share)));
  return (pid) => writeFileSync(path.join(group, 'cgroup.procs'), String(pid));
}
