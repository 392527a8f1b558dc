/**
 * Whether a quota keeps this process from running: that of a container, or of a service of systemd.
 *
 * What a control group may use of the processors is counted in periods of some 100 ms; once it is used
 * up, all of the group stands still until the next one (cgroups(7), and the kernel's documents
 * admin-guide/cgroup-v2 and scheduler/sched-bwc). A thread that stands still in a system call looks
 * idle from within, so only the system can tell.
 */
import { readFileSync } from 'node:fs';

const mountedAt = '/sys/fs/cgroup';

/** The text of a file, or nothing where it cannot be read. */
export type ReadText = (file: string) => string;

/** Milliseconds, all in all, of those periods in which a quota was used up; 0 where there is none. */
export function throttledMs(read: ReadText = readText): number {
  return Math.max(0, ...groups(read('/proc/self/cgroup')).map((group) => throttledIn(group, read)));
}

/** Folders of the groups that this process may be in, and of those above them. */
function groups(text: string): string[] {
  const folders = text.split('\n').flatMap((line) => {
    const [, controllers = '', path = ''] = /^\d+:([^:]*):(\/.*)$/.exec(line) ?? [];
    const isOne = path !== '' && (controllers === '' || controllers.split(',').includes('cpu'));
    return isOne ? upwards(`${mountedAt}${controllers && `/${controllers}`}`, path) : [];
  });
  return [...new Set(folders)];
}

/** A container may see its own group as the root, and still be told the path from outside. */
function upwards(root: string, path: string): string[] {
  const names = path.split('/').filter((name) => name !== '');
  return [root, ...names.map((_, i) => `${root}/${names.slice(0, i + 1).join('/')}`)];
}

function throttledIn(group: string, read: ReadText): number {
  const [, periods = 0] = /^nr_throttled (\d+)$/m.exec(read(`${group}/cpu.stat`)) ?? [];
  if (Number(periods) === 0) return 0;
  const [, second = read(`${group}/cpu.cfs_period_us`)] = read(`${group}/cpu.max`).split(' ');
  return (Number(periods) * Number(second)) / 1000;
}

function readText(file: string): string {
  try {
    return readFileSync(file, 'latin1');
  } catch {
    return '';
  }
}
