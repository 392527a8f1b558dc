/** After work, and a stop, nothing of a daemon and its clients is left in the process. */
import { createHook } from 'node:async_hooks';
import { readdirSync } from 'node:fs';
import { mkdir, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { setTimeout as sleep } from 'node:timers/promises';
import test from 'ava';
import { connect, defaultTransferOptions, parseRemote } from '../../client/index.ts';
import { startDaemon } from '../../daemon/daemon.ts';
import { createLog } from '../../daemon/log.ts';
import { defaultSettings } from '../../daemon/settings.ts';
import { provideToken, testConnect, testToken } from '../helpers/token.ts';
import { turns } from '../transfer/helpers/outcome.ts';

/** Timers that wait, those that would keep no process alive among them. */
const timers = new Set<number>();
createHook({
  init: (id, type) => void (type === 'Timeout' && timers.add(id)),
  destroy: (id) => void timers.delete(id),
}).enable();

/** Everything that keeps a process alive, all timers, and every open descriptor where the system tells. */
function resources(): string[] {
  let descriptors: string[] = [];
  try {
    descriptors = readdirSync('/proc/self/fd').map(() => 'descriptor');
  } catch {
    // Only Linux tells.
  }
  const waiting = Array.from({ length: timers.size }, () => 'timer');
  return [...process.getActiveResourcesInfo(), ...waiting, ...descriptors].sort();
}

const patienceMs = 10_000;

/** Waits until it is so, or for long enough; the timer of the wait itself is gone when it looks. */
async function settled(isSo: () => boolean): Promise<void> {
  const deadline = performance.now() + patienceMs;
  do {
    await sleep(2);
    await turns();
  } while (!isSo() && performance.now() < deadline);
}

async function workOnce(folder: string, lines: string[]): Promise<void> {
  const log = createLog('debug', 'json', (line) => void lines.push(line));
  const shares = [{ name: '', folder: `${folder}/served`, readOnly: false, portableNames: false }];
  const settings = { ...defaultSettings, shares, plain: true, port: 0, grants: [] };
  const daemon = await startDaemon(settings, `${folder}/state`, log, () => 0);
  const remote = parseRemote(`ferry+tcp://127.0.0.1:${daemon.address.port}/`);
  const ferries = await Promise.all(Array.from({ length: 4 }, () => connect(remote, testConnect)));
  await Promise.all(
    ferries.map(async (ferry, i) => {
      const target = { path: `up-${i}`, isFolder: false };
      const sources = [{ localPath: `${folder}/source` }];
      const up = ferry.upload(sources, target, defaultTransferOptions);
      for await (const event of up) if (event.type === 'error') throw new Error(event.message);
      const down = ferry.download([target], `${folder}/down-${i}`, defaultTransferOptions);
      for await (const event of down) if (event.type === 'error') throw new Error(event.message);
      for await (const { path } of ferry.list('', { recursive: true })) void path;
    }),
  );
  // One leaves without a word, the daemon stops under another one.
  for (const ferry of ferries.slice(1)) await ferry.close();
  await daemon.stop();
  await ferries[0]?.close();
}

test('no descriptor, timer, socket, token or staging is left', async (t) => {
  const folder = await mkdtemp(`${tmpdir()}/chunkferry-`);
  t.teardown(() => rm(folder, { recursive: true }));
  await mkdir(`${folder}/served`);
  provideToken(`${folder}/state`);
  await writeFile(`${folder}/source`, Buffer.alloc(1_000_000, 'source'));
  const lines: string[] = [];
  // What is loaded or opened once and for all is there after the first time.
  await workOnce(folder, lines);
  await rm(`${folder}/served/up-0`);
  await settled(() => !resources().includes('FSReqCallback'));
  const before = resources();
  await workOnce(folder, lines);
  const isBack = (): boolean => resources().join() === before.join();
  await settled(isBack);
  t.deepEqual(resources(), before);
  t.true(lines.length > 0);
  t.false(lines.join('').includes(testToken));
  t.deepEqual(await readdir(`${folder}/served/.chunkferry`), []);
});
