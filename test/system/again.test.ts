/** A library call that failed has let go of everything: the same call at once afterwards carries on. */
import { existsSync, readdirSync, readlinkSync } from 'node:fs';
import { mkdir, writeFile } from 'node:fs/promises';
import test from 'ava';
import {
  connect,
  defaultTransferOptions,
  type FerryEvent,
  parseRemote,
} from '../../client/index.ts';
import { testConnect } from '../helpers/token.ts';
import { differences, MiB, randomBytes, writeRandomFile } from './helpers/files.ts';
import { Proxy } from './helpers/proxy.ts';
import { setScene } from './helpers/scene.ts';
import { randomOf, seed } from './helpers/seed.ts';
import { quickFolder } from './helpers/wait.ts';

const rounds = 8;
const lost = 5;

/** The exit code of downloading `tree` from there into `target`. */
async function download(url: string, target: string): Promise<number> {
  const options = { ...testConnect, retries: 0 };
  let ferry: Awaited<ReturnType<typeof connect>>;
  try {
    ferry = await connect(parseRemote(url), options);
  } catch (error) {
    return (error as { exitCode: number }).exitCode;
  }
  const said: FerryEvent[] = [];
  const sources = [{ path: 'tree', isFolder: false }];
  for await (const event of ferry.download(sources, target, defaultTransferOptions)) {
    said.push(event);
  }
  await ferry.close();
  const last = said.at(-1);
  return last?.type === 'summary' ? last.exitCode : -1;
}

/** What this process has open below `folder`, where the system tells. */
function openBelow(folder: string): string[] {
  const own = '/proc/self/fd';
  if (!existsSync(own)) return [];
  return readdirSync(own).flatMap((fd) => {
    try {
      const path = readlinkSync(`${own}/${fd}`);
      return path.startsWith(`${folder}/`) ? [path] : [];
    } catch {
      return []; // The one that the listing itself used.
    }
  });
}

test('a tree whose download broke anywhere can be asked for again at once', async (t) => {
  t.timeout(120_000);
  t.log(`FERRY_TEST_SEED=${seed}`);
  const random = randomOf('cuts');
  const scene = await setScene(t, { where: quickFolder });
  await mkdir(scene.there('tree', 'small'), { recursive: true });
  for (let i = 0; i < 24; i += 1) {
    await writeRandomFile(scene.there('tree', `large-${i}`), MiB / 4, i);
  }
  for (let i = 0; i < 300; i += 1) {
    await writeFile(scene.there('tree', 'small', `${i}`), randomBytes(i, 1_000));
  }
  const proxy = await Proxy.start(scene.daemon.port);
  t.teardown(() => proxy.close());
  let broken = 0;
  for (let round = 0; round < rounds; round += 1) {
    const afterBytes = 2_000 + Math.floor(random() * 6 * MiB);
    proxy.faults.cut = { direction: 'down', afterBytes };
    const target = scene.at(`target-${round}`);
    const first = await download(proxy.url(), target);
    t.deepEqual(openBelow(target), [], 'nothing is under way any more');
    proxy.faults.cut = undefined;
    t.true(first === 0 || first === lost, `cut after ${afterBytes}: ${first}`);
    if (first === lost) broken += 1;
    t.is(await download(proxy.url(), target), 0, `again, cut after ${afterBytes}`);
    t.deepEqual(await differences(scene.there('tree'), `${target}/tree`), []);
  }
  t.true(broken > rounds / 2, `${broken} downloads broke`);
});
