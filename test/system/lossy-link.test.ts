/** THREATS, network: a link that loses 30 % of its packets, with a round trip of 200 ms: slow, but whole. */
import { mkdir } from 'node:fs/promises';
import test from 'ava';
import { startDaemon } from './helpers/daemon.ts';
import { differences, MiB, tempFolder, writeRandomFile } from './helpers/files.ts';
import { hasLinks, LossyLink } from './helpers/lossy-link.ts';
import { checkLog, ferryExits } from './helpers/scene.ts';
import { seed } from './helpers/seed.ts';
import { quickFolder } from './helpers/wait.ts';

const lossPercent = 30;
const delayMs = 100;
const sizeBytes = process.env['FERRY_SOAK'] === undefined ? MiB / 2 + 7 : 8 * MiB + 7;
/** A first connection may be lost, too, and it takes many to come through. */
const patience = ['--retries', '100'];

(hasLinks ? test : test.skip)(
  'over a link with 30 % loss and 200 ms a file comes whole, up and down',
  async (t) => {
    t.timeout(1_800_000);
    t.log(`FERRY_TEST_SEED=${seed}`);
    const folder = await tempFolder(quickFolder);
    t.teardown(() => folder.remove());
    await mkdir(folder.at('served'));
    await writeRandomFile(folder.at('source'), sizeBytes, seed);
    await writeRandomFile(folder.at('served', 'remote'), sizeBytes, seed + 1);
    const link = await LossyLink.start({ lossPercent, delayMs, seed });
    t.teardown(() => link.close());
    const daemon = await startDaemon({
      folder: folder.at('served'),
      plain: false,
      args: ['--listen', `${link.farHost}:0`],
      through: link.far,
    });
    const through = { through: link.near };
    const up = ['upload', ...patience, folder.at('source'), daemon.url('file')];
    const down = ['download', ...patience, daemon.url('remote'), folder.at('back')];
    // Both at once: what they do is wait.
    const [{ summary: sent }, { summary: got }] = await Promise.all([
      ferryExits(t, up, 0, through),
      ferryExits(t, down, 0, through),
    ]);
    t.deepEqual(await differences(folder.at('source'), folder.at('served', 'file')), []);
    t.deepEqual(await differences(folder.at('served', 'remote'), folder.at('back')), []);
    t.deepEqual(await daemon.stop(), { code: 0, signal: null });
    checkLog(daemon);
    t.log(`up in ${sent?.seconds} s, down in ${got?.seconds} s; ${await link.close()}`);
  },
);
