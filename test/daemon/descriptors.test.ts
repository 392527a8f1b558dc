import test from 'ava';
import fc from 'fast-check';
import { fitDescriptors } from '../../daemon/descriptors.ts';
import { daemonLimits, defaultLimits } from '../../daemon/limits.ts';

test('where there is room, the limits are what they are', (t) => {
  t.deepEqual(fitDescriptors(defaultLimits, 65_536, 4), defaultLimits);
});

test('all that may be open together stays below the limit', (t) => {
  const few = fc.integer({ min: 1, max: 1_000_000 });
  fc.assert(
    fc.property(few, few, few, fc.integer({ min: 200, max: 100_000 }), (a, b, c, files) => {
      const wanted = daemonLimits({ connections: a, pendingConnections: b, transfers: c });
      const fitted = fitDescriptors(wanted, files, 1);
      const { connections, pendingConnections, transfers } = fitted;
      t.true(connections + pendingConnections + 2 * transfers < files);
      for (const name of ['connections', 'pendingConnections', 'transfers'] as const) {
        t.true(fitted[name] >= 1 && fitted[name] <= wanted[name], name);
      }
    }),
  );
});

test('the usual 1,024 files leave the usual number of connections', (t) => {
  const { connections, pendingConnections } = fitDescriptors(defaultLimits, 1_024, 1);
  t.deepEqual([connections, pendingConnections], [256, 64]);
});
