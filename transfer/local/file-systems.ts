/** What is to be known of the file system that a folder lies on, and of what waits to be written. */
import { fstatSync, readFileSync, statfsSync } from 'node:fs';
import type { Directory } from './folder.ts';

/** Numbers of file systems in statfs(2). */
export const ext4 = 0xef53;
const inMemory: readonly number[] = [0x0102_1994, 0x8584_58f6]; // tmpfs, ramfs

/** The number of the file system; 0 for one that does not say. */
export function fileSystemOf({ base, fd }: Directory): number {
  try {
    const { type } = statfsSync(base);
    // What comes over 9p has the number of what it lies on elsewhere; ext4 itself lies on a disk.
    return type === ext4 && majorOf(fstatSync(fd, { bigint: true }).dev) === 0n ? 0 : type;
  } catch {
    return 0;
  }
}

/** Whether it has no disk to wait for. */
export function isInMemory(type: number): boolean {
  return inMemory.includes(type);
}

/** Kind of a device; 0 for what is none, makedev(3). */
function majorOf(device: bigint): bigint {
  return ((device >> 8n) & 0xfffn) | ((device >> 32n) & 0xffff_f000n);
}

/** What all programs wrote and no disk has yet, proc(5); NaN where that is not told. */
export function dirtyBytes(): number {
  try {
    const text = readFileSync('/proc/meminfo', 'latin1');
    const kibOf = (name: string): number =>
      Number(new RegExp(`^${name}:\\s+(\\d+) kB`, 'm').exec(text)?.[1] ?? Number.NaN);
    return (kibOf('Dirty') + kibOf('Writeback')) * 1024;
  } catch {
    return Number.NaN;
  }
}
