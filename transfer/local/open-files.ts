/** How many files this process may have open, and whether what waits for the disk leaves room for the rest. */
import { readFileSync } from 'node:fs';

/** What waits leaves so many to connections, to large files, to folders on the way; half where there are few. */
const leftMost = 256;

/** How many files this process may open; undefined where the system does not tell. */
export function openFilesLimit(): number | undefined {
  let limits: string;
  try {
    limits = readFileSync('/proc/self/limits', 'utf8');
  } catch {
    return undefined;
  }
  const [, soft] = /^Max open files\s+(\d+)/m.exec(limits) ?? [];
  return soft === undefined ? undefined : Number(soft);
}

/** Looked up beforehand: that takes a descriptor, too. */
const firstScarce = firstScarceOf(openFilesLimit() ?? Infinity);

/**
 * Whether so many files are open that none should stay so which need not. A new descriptor has the lowest
 * free number: `fd`, just opened, tells of all of them, whoever in this process has them.
 */
export function isScarce(fd: number): boolean {
  return fd >= firstScarce;
}

/** The lowest descriptor that is scarce where so many files may be open. */
export function firstScarceOf(limit: number): number {
  return Math.max(Math.floor(limit / 2), limit - leftMost);
}
