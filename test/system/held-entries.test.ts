/** What a client remembers of a daemon's entries has a bound, here a small one. */
import { mkdir, writeFile } from 'node:fs/promises';
import test from 'ava';
import { newContext } from '../../client/context.ts';
import { Download } from '../../client/download.ts';
import { defaultTransferOptions, parseRemote } from '../../client/index.ts';
import { Job } from '../../client/job.ts';
import { Session } from '../../client/session.ts';
import { Verification } from '../../client/verify.ts';
import { TransferError } from '../../protocol/errors.ts';
import { MemoryStorage } from '../../transfer/memory-storage.ts';
import { testConnect } from '../helpers/token.ts';
import { setScene } from './helpers/scene.ts';

const isLimit = { instanceOf: TransferError, message: /\(entriesHeld\)/ };

test('entriesHeld: a comparison remembers so many entries, a download so many folders', async (t) => {
  const scene = await setScene(t);
  for (let i = 0; i < 10; i += 1) {
    await mkdir(scene.there('tree', `folder-${i}`), { recursive: true });
    await writeFile(scene.there('tree', `file-${i}`), '');
  }
  await mkdir(scene.at('empty'));
  const session = new Session(parseRemote(scene.daemon.url()), testConnect);
  const context = newContext(session, defaultTransferOptions, new Job());
  await t.throwsAsync(new Verification(context, 19).run(scene.at('empty'), 'tree'), isLimit);
  await t.throwsAsync(new Verification(context, 20).run(scene.at('empty'), 'tree'), {
    message: /20 differences/,
  });
  const entry = { path: '', kind: 'directory', size: 0, mtimeNs: 0n, mode: 0o755 } as const;
  const part = { path: 'tree', entry: { ...entry, contentType: '' }, target: '', label: '' };
  const download = async (mostFolders: number): Promise<void> => {
    const storage = new MemoryStorage();
    await new Download(context, 1, mostFolders).run([{ ...part, storage }]);
  };
  await t.throwsAsync(download(10), isLimit);
  await download(11);
  await session.close();
});
