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
export async function connectionsFor(
  { options, session }: Context,
  sizeBytes: number,
): Promise<number> {
  if (options.connections !== undefined) return options.connections;
  if (sizeBytes < severalFromBytes) return 1;
  return (await session.isFurtherThan(severalFromMs)) ? several : 1;
}

/** Jobs in which it was told. */
const told = new WeakSet<Job>();

/** Tells once of a file that gets fewer connections than were asked for: the daemon lets no more in. */
export function tellFewer({ options, job }: Context, connections: number, path: string): void {
  if (options.connections === undefined || connections >= options.connections) return;
  if (told.has(job)) return;
  told.add(job);
  const message = `The daemon lets ${connections} of ${options.connections} connections in.`;
  job.emit({ type: 'warning', message, path });
}
