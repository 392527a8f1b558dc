/** Races of every path operation, and a crowd of clients whose connections are cut, for long. */
import assert from 'node:assert/strict';
import { playCrowd } from '../system/helpers/crowd.ts';
import { seed } from '../system/helpers/seed.ts';
import { races, runRace } from '../transfer/local/helpers/races.ts';

const raceMs = 10_000;
const crowdMs = 60_000;

/** Throws where anything leads out; gives a line that tells what was tried. */
export async function longRaces(): Promise<string> {
  let tries = 0;
  for (const [name, race] of Object.entries(races)) {
    const { rounds, leaks, canary, naiveWasFooled } = await runRace(race, raceMs);
    assert.deepEqual({ name, leaks, canary }, { name, leaks: [], canary: undefined });
    assert.ok(naiveWasFooled, `${name}: the control is led out`);
    tries += rounds;
  }
  return `${Object.keys(races).length} operations raced a swapped folder, ${tries} times in all: nothing led out`;
}

/** Throws where a history does not add up. */
export async function longCrowd(): Promise<string> {
  const { problems, operations, unknown, reads, cuts } = await playCrowd({
    clients: 64,
    durationMs: crowdMs,
  });
  assert.deepEqual(problems, [], `FERRY_TEST_SEED=${seed}`);
  return `64 clients: ${operations} operations, ${unknown} of unknown outcome, ${reads} reads, ${cuts} cuts: their history adds up (FERRY_TEST_SEED=${seed})`;
}
