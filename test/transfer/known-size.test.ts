import test from 'ava';
import fc from 'fast-check';
import { KnownSize } from '../../transfer/known-size.ts';

const chunkBytes = 8;

test('the lengths of a run are checked as those of its chunks one by one', (t) => {
  const lengths = fc.oneof(
    { weight: 9, arbitrary: fc.constant(chunkBytes) },
    fc.integer({ min: 1, max: chunkBytes + 1 }),
  );
  const runs = fc.array(fc.tuple(fc.nat(8), fc.array(lengths, { minLength: 1, maxLength: 9 })), {
    maxLength: 4,
  });
  const sizes = fc.option(fc.nat(16 * chunkBytes), { nil: undefined });
  const property = fc.property(sizes, runs, fc.nat(16 * chunkBytes), (size, arrived, endBytes) => {
    const [byRun, byOne] = [new KnownSize(chunkBytes, size), new KnownSize(chunkBytes, size)];
    for (const [first, run] of arrived) {
      const contents = run.map((length) => new Uint8Array(length));
      const ofOne = faultOf(() => {
        for (const [i, length] of run.entries()) byOne.checkLength(first + i, length);
      });
      t.is(
        faultOf(() => byRun.checkLengths(first, contents)),
        ofOne,
      );
      if (ofOne !== undefined) return;
    }
    t.is(
      faultOf(() => byRun.endAt(endBytes)),
      faultOf(() => byOne.endAt(endBytes)),
    );
  });
  fc.assert(property, { numRuns: 1000 });
});

function faultOf(step: () => unknown): string | undefined {
  try {
    step();
    return undefined;
  } catch (error) {
    return (error as Error).message;
  }
}
