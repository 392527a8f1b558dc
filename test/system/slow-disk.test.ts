/** A share whose disk takes 500 ms for each open and each sync leaves others, and the network, alone. */
import { mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import test from 'ava';
import { connect, defaultTransferOptions, type Ferry, parseRemote } from '../../client/index.ts';
import { testConnect } from '../helpers/token.ts';
import { startDaemon } from './helpers/daemon.ts';
import { differences, tempFolder } from './helpers/files.ts';
import { quickFolder, until } from './helpers/wait.ts';

const preload = fileURLToPath(new URL('helpers/slow-share.js', import.meta.url));
/** Twice this many waits of 500 ms: one to open each, one to sync it. */
const slowFiles = 8;
const fastUploads = 10;
const stillMs = 50;

async function uploaded(
  ferry: Ferry,
  localPath: string,
  path: string,
): Promise<number | undefined> {
  const target = { path, isFolder: false };
  let code: number | undefined;
  for await (const event of ferry.upload([{ localPath }], target, defaultTransferOptions)) {
    if (event.type === 'summary') code = event.exitCode;
  }
  return code;
}

test('one slow disk: another share and the event loop do not notice', async (t) => {
  t.timeout(120_000);
  const folder = await tempFolder(quickFolder);
  t.teardown(() => folder.remove());
  const [slow, fast, delayFile] = [folder.at('slow'), folder.at('fast'), folder.at('delay')];
  for (const path of [slow, fast, folder.at('tree')]) await mkdir(path);
  for (let i = 0; i < slowFiles; i += 1) await writeFile(folder.at('tree', `${i}`), `file ${i}`);
  await writeFile(folder.at('file'), Buffer.alloc(300_000, 'content'));
  const daemon = await startDaemon({
    args: ['--share', `slow=${slow}`, '--share', `fast=${fast}`],
    nodeArguments: ['--import', preload],
    env: { SLOW_SHARE: slow, LOOP_DELAY_FILE: delayFile },
  });
  t.teardown(async () => void (await daemon.stop()));
  const delayMs = async (): Promise<number> => {
    await rm(delayFile, { force: true });
    process.kill(daemon.pid, 'SIGUSR2');
    let text = '';
    await until('the delay is told', async () => {
      text = await readFile(delayFile, 'utf8').catch(() => '');
      return text !== '';
    });
    return Number(text);
  };
  const remote = parseRemote(daemon.url());
  const [one, other] = [await connect(remote, testConnect), await connect(remote, testConnect)];
  const uploadFast = async (round: string): Promise<void> => {
    for (let i = 0; i < fastUploads; i += 1) {
      t.is(await uploaded(one, folder.at('file'), `fast/${round}-${i}`), 0);
    }
  };
  await delayMs();
  await uploadFast('alone');
  const aloneMs = await delayMs();
  let slowIsDone = false;
  const uploadingSlow = uploaded(other, folder.at('tree'), 'slow/tree').finally(() => {
    slowIsDone = true;
  });
  await uploadFast('beside');
  const besideMs = await delayMs();
  t.false(slowIsDone, 'the slow one is still at work');
  t.is(await uploadingSlow, 0);
  t.log(
    `p99 of the event loop: ${aloneMs.toFixed(1)} ms alone, ${besideMs.toFixed(1)} ms beside it`,
  );
  // On a busy machine it waits for the processor alone, too.
  t.true(besideMs < Math.max(stillMs, 2 * aloneMs));
  t.deepEqual(await differences(folder.at('tree'), `${slow}/tree/tree`), []);
  for (const ferry of [one, other]) await ferry.close();
});
