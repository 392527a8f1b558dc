/** Every operation on a path, while somebody swaps folders and files for links; see races.ts. */
import { existsSync } from 'node:fs';
import test from 'ava';
import { races, runRace } from '../transfer/local/helpers/races.ts';

const raceMs = 2000;
// Elsewhere links are only looked for: docs/security.md says so.
const testHeld = existsSync('/proc/self/fd') ? test.serial : test.serial.skip;

for (const [name, race] of Object.entries(races)) {
  testHeld(`promise 7: a swapped folder does not lead out: ${name}`, async (t) => {
    t.timeout(60_000);
    const { rounds, leaks, canary, naiveWasFooled } = await runRace(race, raceMs);
    t.log(`${rounds} rounds`);
    t.deepEqual(leaks, []);
    t.is(canary, undefined, 'the canary is as it was');
    t.true(naiveWasFooled, 'the control is led out');
  });
}
