/**
 * The long runs, which `npm test` does in small: `npm run soak [MiB of the file] [moments]`.
 *
 * kill −9 of client, daemon and both, up and down, as fast as the machine goes, a resume of 1 TiB, and a hundred
 * thousand files in one folder, on the disk of the temporary folder (TMPDIR chooses another); races of
 * every path operation, a crowd of clients, and the hostile tests at full length. Ends with 1 when anything is not as promised.
 */
import { tmpdir } from 'node:os';
import { MiB } from '../system/helpers/files.ts';
import { killMatrix, matrixLine, type Victim } from '../system/helpers/kill-matrix.ts';
import type { Direction } from '../system/helpers/proxy.ts';
import { longCrowd, longRaces } from './attacks.ts';
import { firstByte } from './first-byte.ts';
import { longHostile } from './hostile.ts';
import { manyFiles } from './many-files.ts';

const defaultMiB = 1024;
const defaultMoments = 20;
/** One segment, and what may be in flight. */
const resentAtMostBytes = 8 * MiB + 16 * MiB;
/** Of the moments drawn so many must meet the transfer. */
const insideShare = 0.75;

async function soak(sizeBytes: number, moments: number): Promise<boolean> {
  let isWell = true;
  for (const direction of ['up', 'down'] satisfies Direction[]) {
    for (const victim of ['client', 'daemon', 'both'] satisfies Victim[]) {
      const settings = {
        victim,
        direction,
        sizeBytes,
        moments,
        lanes: 1,
        where: tmpdir(),
      } as const;
      const result = await killMatrix(settings);
      console.log(matrixLine(settings, result));
      for (const problem of result.problems) console.log(`  ${problem}`);
      isWell &&=
        result.problems.length === 0 &&
        result.inside >= insideShare * moments &&
        result.maxResentBytes <= resentAtMostBytes;
    }
  }
  return isWell;
}

const [mib = defaultMiB, moments = defaultMoments] = process.argv.slice(2).map(Number);
const isWell = await soak(mib * MiB + 12_345, moments);
console.log(await firstByte(tmpdir()));
console.log(await manyFiles(tmpdir()));
console.log(await longRaces());
console.log(await longCrowd());
console.log(await longHostile());
console.log(isWell ? 'All is as promised.' : 'Not all is as promised.');
process.exitCode = isWell ? 0 : 1;
