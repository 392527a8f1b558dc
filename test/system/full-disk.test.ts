/** THREATS, resume and crash: no space and no inodes left, then freed, and resumed. */
import { mkdir, readdir, rm, writeFile } from 'node:fs/promises';
import type { ExecutionContext } from 'ava';
import { differences, writeRandomFile } from './helpers/files.ts';
import { type Scene, setScene } from './helpers/scene.ts';
import { runTool, testAsRoot } from './helpers/trace.ts';

/** A scene whose share is a small file system of its own. */
async function smallDisk(t: ExecutionContext, options: string): Promise<Scene> {
  const scene = await setScene(t);
  await scene.daemon.stop();
  runTool('mount', '-t', 'tmpfs', '-o', options, 'chunkferry', scene.served);
  t.teardown(() => runTool('umount', '-l', scene.served));
  await scene.restart();
  return scene;
}

testAsRoot(
  'no space left during a large file: exit 8, and resumed once there is room',
  async (t) => {
    const scene = await smallDisk(t, 'size=1m');
    await writeRandomFile(scene.there('in-the-way'), 600_000);
    await writeRandomFile(scene.at('file'), 700_000);
    const full = await scene.ferry(['upload', scene.at('file'), scene.url('file')], 8);
    t.deepEqual((await readdir(scene.served)).sort(), ['.chunkferry', 'in-the-way']);
    t.true(full.events.some((event) => event.type === 'error' && event.failure === 'no-space'));
    await rm(scene.there('in-the-way'));
    const { summary } = await scene.ferry(['upload', scene.at('file'), scene.url('file')]);
    t.true((summary?.bytesReused ?? 0) > 0, 'what had room is kept');
    t.deepEqual(await differences(scene.at('file'), scene.there('file')), []);
  },
);

testAsRoot('no inodes left during a page: what is named is whole, the rest failed', async (t) => {
  const scene = await smallDisk(t, 'size=1m,nr_inodes=16');
  await mkdir(scene.at('tree'));
  for (let i = 0; i < 30; i += 1) await writeFile(scene.at('tree', `${i}`), `content ${i}`);
  await scene.ferry(['upload', `${scene.at('tree')}/`, scene.url('tree/')], 23);
  const stored = await readdir(scene.there('tree')).catch(() => []);
  t.true(stored.length < 30);
  for (const name of stored) {
    t.deepEqual(await differences(scene.at('tree', name), scene.there('tree', name)), []);
  }
  runTool('mount', '-o', 'remount,nr_inodes=100', scene.served);
  await scene.ferry(['upload', `${scene.at('tree')}/`, scene.url('tree/')]);
  t.deepEqual(await differences(scene.at('tree'), scene.there('tree')), []);
  t.deepEqual(await readdir(scene.there('.chunkferry')), ['lock']);
});
