/** What is loaded where it is installed: the client is a bundle, and the package lies beside it. */
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { startDaemon } from './helpers/daemon.ts';
import { runFerry } from './helpers/ferry.ts';
import { firstDifference, MiB, tempFolder } from './helpers/files.ts';
import { testWithStrace, tracing } from './helpers/trace.ts';
import { quickFolder } from './helpers/wait.ts';

const hashesInPlace = async (trace: string): Promise<boolean> =>
  /openat\(.*xxhash\.wasm"/.test(await readFile(trace, 'latin1'));

testWithStrace(
  'both ends hash content where it lies, and load nothing for a question',
  async (t) => {
    const folder = await tempFolder(quickFolder);
    t.teardown(() => folder.remove());
    // More than may be on its way: a sender that finds no room needs no memory to hash in before it has credit.
    await writeFile(folder.at('file'), Buffer.alloc(48 * MiB, 'not zeros'));
    const served = folder.at('served');
    await mkdir(served);
    const traces = { daemon: folder.at('d'), ls: folder.at('l'), upload: folder.at('u') };
    const daemon = await startDaemon({
      folder: served,
      through: tracing(['openat'], traces.daemon),
    });
    t.teardown(() => daemon.stop());
    const through = (trace: string) => ({ through: tracing(['openat'], trace) });
    t.is((await runFerry(['ls', daemon.url()], through(traces.ls))).code, 0);
    t.false(await hashesInPlace(traces.ls));
    t.false(await hashesInPlace(traces.daemon));
    const upload = ['upload', folder.at('file'), daemon.url('file')];
    t.is((await runFerry(upload, through(traces.upload))).code, 0);
    t.is(await firstDifference(folder.at('file'), `${served}/file`), undefined);
    t.true(await hashesInPlace(traces.upload));
    await daemon.stop();
    t.true(await hashesInPlace(traces.daemon));
  },
);
