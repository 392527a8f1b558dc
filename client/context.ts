/** What all parts of one transfer job share. */

import { Throttle } from '../transfer/throttle.ts';
import type { Job } from './job.ts';
import type { Session } from './session.ts';
import type { TransferOptions } from './transfer-options.ts';

export interface Context {
  readonly session: Session;
  readonly options: TransferOptions;
  readonly job: Job;
  /** The one rate limit of the job. */
  readonly throttle: Throttle | undefined;
}

export function newContext(session: Session, options: TransferOptions, job: Job): Context {
  const { bytesPerSecond } = options;
  const throttle = bytesPerSecond === undefined ? undefined : new Throttle(bytesPerSecond);
  return { session, options, job, throttle };
}

/** Below this size one connection is done before others have got going. */
const severalFromBytes = 256 * 1024 * 1024;
/** On a shorter way one connection fills the link. */
const severalFromMs = 10;
const several = 4;

/** How many connections a file of this size gets. */
export function connectionsFor({ options, session }: Context, sizeBytes: number): number {
  if (options.connections !== undefined) return options.connections;
  const isFar = session.roundTripMs >= severalFromMs;
  return isFar && sizeBytes >= severalFromBytes ? several : 1;
}
