/** How an attempt went, as a value that tests compare. */

import type { FailureName } from '../../../protocol/errors.ts';
import { FerryError } from '../../../protocol/errors.ts';

/** The failure that `work` ends with; undefined when it goes well. Anything else is thrown on. */
export async function failureOf(work: Promise<unknown>): Promise<FailureName | undefined> {
  try {
    await work;
    return undefined;
  } catch (error) {
    if (error instanceof FerryError) return error.failure;
    throw error;
  }
}

/** Waits until something holds, for things that take a few turns of the event loop. */
export async function until(isSo: () => boolean, what = 'it'): Promise<void> {
  const deadline = performance.now() + 20_000;
  while (!isSo()) {
    if (performance.now() > deadline) throw new Error(`Waited in vain for ${what}.`);
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
}

/** A few turns of the event loop: time for what should not happen to happen. */
export async function turns(count = 20): Promise<void> {
  for (let i = 0; i < count; i += 1) await new Promise((resolve) => setImmediate(resolve));
}
