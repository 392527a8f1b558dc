/** Trees under TLS, whose records come on when the client has said that it must wait. */
import { mkdir, truncate, writeFile } from 'node:fs/promises';
import test from 'ava';
import { differences, MiB, randomBytes } from './helpers/files.ts';
import { setScene } from './helpers/scene.ts';
import { randomOf, seed } from './helpers/seed.ts';

const KiB = 1024;
const folders = 20;
const smallFiles = 100;
const largerFiles = 6;
const times = 3;

test('small files with larger ones among them come down under TLS, time after time', async (t) => {
  t.timeout(170_000);
  const scene = await setScene(t, { plain: false });
  const random = randomOf('tls-trees');
  const pool = randomBytes(seed, MiB);
  const content = (least: number, most: number): Buffer => {
    const size = least + Math.floor(random() * (most - least));
    const start = Math.floor(random() * (pool.length - size));
    return pool.subarray(start, start + size);
  };
  for (let i = 0; i < folders; i += 1) {
    const folder = scene.there('tree', `${i}`);
    await mkdir(folder, { recursive: true });
    for (let k = 0; k < smallFiles; k += 1) await writeFile(`${folder}/${k}`, content(0, 9 * KiB));
    for (let k = 0; k < largerFiles; k += 1) {
      await writeFile(`${folder}/larger-${k}`, content(64 * KiB, 300 * KiB));
    }
  }
  await writeFile(scene.there('tree', 'sparse'), 'begin');
  await truncate(scene.there('tree', 'sparse'), 50 * MiB);
  for (let time = 0; time < times; time += 1) {
    const target = scene.at(`got-${time}`);
    await scene.ferry([
      'download',
      '--retries',
      '0',
      '--timeout',
      '20s',
      scene.url('tree/'),
      target,
    ]);
    t.deepEqual(await differences(scene.there('tree'), target), [], `FERRY_TEST_SEED=${seed}`);
  }
});
