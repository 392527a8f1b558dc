import test from 'ava';
import fc from 'fast-check';
import { PageQueue } from '../../client/page-queue.ts';
import { encodeFrame, type FrameOf } from '../../protocol/frames.ts';
import { headerBytes } from '../../protocol/header.ts';

type Entries = FrameOf<'entries'>;

function pageOf(count: number, name: string): Entries {
  const entries = Array.from({ length: count }, (_, i) => ({
    path: `${name}-${i}`,
    kind: 'file' as const,
    size: i,
    mtimeNs: BigInt(i),
    mode: 0o644,
    contentType: '',
  }));
  return { type: 'entries', request: 3, last: false, entries };
}

const payloadBytes = (page: Entries): number => encodeFrame(page).length - headerBytes;

test('pages come out as they went in, in their order, with their bytes', (t) => {
  const steps = fc.array(
    fc.oneof(
      fc.record({
        count: fc.integer({ min: 0, max: 1024 }),
        times: fc.integer({ max: 20, min: 1 }),
      }),
      fc.constant('shift' as const),
    ),
  );
  fc.assert(
    fc.property(steps, (all) => {
      const queue = new PageQueue<Entries>();
      const expected: Entries[] = [];
      const checkNext = (): void => {
        const page = expected.shift();
        const next = queue.shift();
        t.deepEqual(next, page && { page, bytes: payloadBytes(page) });
      };
      for (const [i, step] of all.entries()) {
        for (let j = 0; step !== 'shift' && j < step.times; j += 1) {
          const page = pageOf(step.count, `${i}-${j}`);
          queue.push(page, payloadBytes(page));
          expected.push(page);
        }
        if (step === 'shift') checkNext();
      }
      while (expected.length > 0) checkNext();
      t.is(queue.shift(), undefined);
    }),
    { numRuns: 15 },
  );
});

test('a window of pages takes about as much memory as it took on its way', (t) => {
  const queue = new PageQueue<Entries>();
  const page = pageOf(1_000, 'entry');
  const before = process.memoryUsage();
  const bytes = payloadBytes(page);
  let queuedBytes = 0;
  for (; queuedBytes < 16 * 1024 * 1024; queuedBytes += bytes) queue.push(page, bytes);
  const after = process.memoryUsage();
  const grownBytes = after.arrayBuffers - before.arrayBuffers;
  t.true(grownBytes < 3 * queuedBytes, `${grownBytes}`);
  let takenBytes = 0;
  for (let next = queue.shift(); next !== undefined; next = queue.shift()) takenBytes += next.bytes;
  t.is(takenBytes, queuedBytes);
});
