/** Waiting for something to become true, where there is no event for it. */
import { accessSync, constants } from 'node:fs';
import { tmpdir } from 'node:os';
import { setTimeout as sleep } from 'node:timers/promises';

/** Memory where the system has a folder for it: as quick as the tests can be. */
export const quickFolder: string = isWritable('/dev/shm') ? '/dev/shm' : tmpdir();

function isWritable(folder: string): boolean {
  try {
    accessSync(folder, constants.W_OK);
    return true;
  } catch {
    return false;
  }
}

const pollMs = 2;

/** Settles when `isTrue` is; throws when that takes too long. */
export async function until(
  what: string,
  isTrue: () => boolean | Promise<boolean>,
  timeoutMs = 60_000,
): Promise<void> {
  const deadline = performance.now() + timeoutMs;
  while (!(await isTrue())) {
    if (performance.now() > deadline) throw new Error(`It took too long: ${what}.`);
    await sleep(pollMs);
  }
}
