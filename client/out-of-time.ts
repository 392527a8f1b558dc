/** The end of the time that a transfer may take. */
import { FerryError } from '../protocol/errors.ts';

/** Aborts `stop` when the time is over; undefined: never. The timer is to be cleared at the end. */
export function stopAfter(
  maxDurationMs: number | undefined,
  stop: AbortController,
): NodeJS.Timeout | undefined {
  if (maxDurationMs === undefined) return undefined;
  return setTimeout(() => {
    stop.abort(
      new FerryError(
        'timeout',
        'The time allowed with --max-duration is over: run the same command again to carry on.',
      ),
    );
  }, maxDurationMs);
}
