/** What a process keeps in memory, by the kernel's own account. */
import { existsSync, readFileSync } from 'node:fs';
import { open } from 'node:fs/promises';
import { limits } from '../../../protocol/limits.ts';

/** The most that it ever had, or since `forgetPeak`; NaN where the process is gone. */
export function peakOf(pid: number): number {
  return statusOf(pid, 'VmHWM');
}

/** What it has now; NaN where the process is gone, or the system tells nothing. */
export function residentOf(pid: number): number {
  return existsSync(`/proc/${pid}/status`) ? statusOf(pid, 'VmRSS') : Number.NaN;
}

function statusOf(pid: number, name: string): number {
  const status = readFileSync(`/proc/${pid}/status`, 'utf8');
  return 1024 * Number(new RegExp(`^${name}:\\s+(\\d+) kB$`, 'm').exec(status)?.[1]);
}

/** Makes the peak begin anew. */
export async function forgetPeak(pid: number): Promise<void> {
  const file = await open(`/proc/${pid}/clear_refs`, 'w');
  await file.write('5');
  await file.close();
}

/** A file with little content on the disk, but some in each chunk: chunks of zeros would not travel. */
export async function writeSparse(file: string, sizeBytes: number): Promise<void> {
  const handle = await open(file, 'w');
  await handle.truncate(sizeBytes);
  const mark = Uint8Array.of(1);
  for (let at = 0; at < sizeBytes; at += limits.fileChunkBytes) await handle.write(mark, 0, 1, at);
  await handle.close();
}
