import test from 'ava';
import { firstScarceOf, isScarce, openFilesLimit } from '../../../transfer/local/open-files.ts';

test('the limit of this process is known where the system tells it', (t) => {
  const files = openFilesLimit();
  t.is(files === undefined, process.platform !== 'linux');
  t.true(files === undefined || files > 10);
});

test('what waits leaves half of few files, and 256 of many', (t) => {
  t.deepEqual([100, 160, 512, 1_024, 20_000, Infinity].map(firstScarceOf), [
    50,
    80,
    256,
    768,
    19_744,
    Infinity,
  ]);
});

test('a low descriptor is not scarce, the last one is', (t) => {
  t.false(isScarce(3));
  t.is(isScarce((openFilesLimit() ?? 0) - 1), process.platform === 'linux');
});
