/** Keeps a peer from giving up while something silent and indivisible takes long. */
import type { Phase } from '../protocol/frames/transfer.ts';
import { atOnce } from './at-once.ts';
import { transferLimits } from './limits.ts';
import type { Request } from './request.ts';

/** As `whileWorking`, for what waits until content may pass; what need not is handed on as it is. */
export function whilePassing(
  requests: () => Iterable<Request>,
  passing: Promise<void>,
): Promise<void> {
  return passing === atOnce ? passing : whileWorking(requests, 'waiting', passing);
}

/** Awaits `work`, saying on each request how many seconds it has taken so far. */
export async function whileWorking<T>(
  requests: () => Iterable<Request>,
  phase: Phase,
  work: Promise<T>,
): Promise<T> {
  const startedAtMs = performance.now();
  const timer = setInterval(() => {
    const done = Math.round((performance.now() - startedAtMs) / 1000);
    for (const request of requests()) {
      request.progressed();
      request.say({ type: 'working', request: request.id, phase, done, total: 0 });
    }
  }, transferLimits.heartbeatMs);
  try {
    return await work;
  } finally {
    clearInterval(timer);
  }
}
