import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, readdir, writeFile } from 'node:fs/promises';
import test from 'ava';
import { MiB } from './helpers/files.ts';
import { killMatrix, matrixLine, type Victim } from './helpers/kill-matrix.ts';
import type { Direction } from './helpers/proxy.ts';
import { setScene } from './helpers/scene.ts';
import { quickFolder } from './helpers/wait.ts';

const sizeBytes = 40 * MiB + 12_345;
const segmentBytes = 8 * MiB;
const inFlightBytes = 16 * MiB;
const moments = 20;
/** Of the moments drawn over the measured time, some of them twice, so many must meet the transfer. */
const insideAtLeast = 15;

for (const direction of ['up', 'down'] satisfies Direction[]) {
  for (const victim of ['client', 'daemon', 'both'] satisfies Victim[]) {
    test.serial(
      `promises 2 and 3: kill -9 of ${victim}, ${direction}: the same command carries on`,
      async (t) => {
        t.timeout(170_000);
        const settings = { victim, direction, sizeBytes, moments } as const;
        const result = await killMatrix({ ...settings, rate: '60M', lanes: 4, where: quickFolder });
        t.log(matrixLine(settings, result));
        t.deepEqual(result.problems, []);
        t.true(result.inside >= insideAtLeast, `${result.inside} moments were inside`);
        t.true(result.maxResentBytes <= segmentBytes + inFlightBytes);
        // An upload is throttled before the wire, so that little is ever on its way.
        if (direction === 'up') t.true(result.medianResentBytes <= segmentBytes);
      },
    );
  }
}

test('what a process leaves that was killed between its rename and its tidying is cleared away', async (t) => {
  const scene = await setScene(t, { where: quickFolder });
  await writeFile(scene.there('file'), 'content');
  const [key, folder] = ['0'.repeat(32), scene.at('local')];
  for (const root of [scene.served, folder]) {
    await mkdir(`${root}/.chunkferry`, { recursive: true });
    await writeFile(`${root}/.chunkferry/${key}.journal`, 'its data has its name');
  }
  // A lock that outlived its process.
  const script = `require('net').createServer().listen('${key}.lock', () => console.log('held'))`;
  const holder = spawn(process.execPath, ['-e', script], { cwd: `${folder}/.chunkferry` });
  await once(holder.stdout, 'data');
  holder.kill('SIGKILL');
  await once(holder, 'exit');
  await scene.ferry(['download', scene.url('file'), `${folder}/`]);
  t.deepEqual(await readdir(folder), ['file']);
  await scene.daemon.kill9();
  await scene.restart();
  t.deepEqual(await readdir(`${scene.served}/.chunkferry`), ['lock']);
});
