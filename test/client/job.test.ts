import test from 'ava';
import type { FerryEvent } from '../../client/events.ts';
import { Job } from '../../client/job.ts';
import { TransferError } from '../../protocol/errors.ts';

/** One file of each outcome; gives what was told of them. */
async function told(job: Job): Promise<FerryEvent[]> {
  job.finished(() => ({ path: 'stored', outcome: 'stored', bytes: 1 }));
  job.finished(() => ({ path: 'unchanged', outcome: 'unchanged', bytes: 2 }));
  job.planned('planned', 3);
  job.fileFailed('failed', 4, new TransferError('permission', 'It may not be read.'));
  job.end(false);
  const events: FerryEvent[] = [];
  for await (const some of job.events()) events.push(...some);
  return events;
}

const pathsOf = (events: readonly FerryEvent[]): string[] =>
  events.flatMap((event) => (event.type === 'file' ? [`${event.path} ${event.outcome}`] : []));

test('each file that is done with is told of', async (t) => {
  const events = await told(new Job());
  const all = ['stored stored', 'unchanged unchanged', 'planned planned', 'failed failed'];
  t.deepEqual(pathsOf(events), all);
});

test('without events of files, failures and plans are told all the same, and all are counted', async (t) => {
  const events = await told(new Job(false));
  t.deepEqual(pathsOf(events), ['planned planned', 'failed failed']);
  t.is(events.filter(({ type }) => type === 'error').length, 1);
  const summary = events.at(-1);
  t.like(summary, { type: 'summary', files: 3, failed: 1, exitCode: 23, failedNames: ['failed'] });
});
