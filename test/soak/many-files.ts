/** A hundred thousand files in one folder, up, again, down, listed and removed, everything durable. */
import assert from 'node:assert/strict';
import { mkdir, readdir, writeFile } from 'node:fs/promises';
import { startDaemon } from '../system/helpers/daemon.ts';
import { runFerry } from '../system/helpers/ferry.ts';
import { tempFolder } from '../system/helpers/files.ts';

const count = 100_000;
const atOnce = 500;

/** Throws where anything is not as promised; gives a line that tells how long it took. */
export async function manyFiles(where: string): Promise<string> {
  const folder = await tempFolder(where);
  try {
    await mkdir(folder.at('served'));
    await mkdir(folder.at('flat'));
    for (let i = 0; i < count; i += atOnce) {
      const names = Array.from({ length: atOnce }, (_, j) => `${i + j}`);
      await Promise.all(names.map((name) => writeFile(folder.at('flat', name), name)));
    }
    const daemon = await startDaemon({ folder: folder.at('served') });
    const took: string[] = [];
    for (const [what, args] of [
      ['up', ['upload', '--json', folder.at('flat'), daemon.url()]],
      ['up again', ['upload', '--json', folder.at('flat'), daemon.url()]],
      ['down', ['download', '--json', daemon.url('flat'), folder.at('back')]],
      ['listed', ['ls', '--json', daemon.url('flat')]],
    ] as const) {
      const { code, stderr, summary } = await runFerry(args);
      assert.equal(code, 0, stderr);
      assert.equal(summary?.files, count);
      if (what === 'up again') assert.equal(summary.bytesSent, 0);
      took.push(`${what} ${summary.seconds.toFixed(1)} s`);
    }
    assert.equal((await readdir(folder.at('back', 'flat'))).length, count);
    assert.equal((await runFerry(['rm', '-r', daemon.url('flat')])).code, 0);
    assert.deepEqual(await daemon.stop(), { code: 0, signal: null });
    return `${count} files in one folder: ${took.join(', ')}`;
  } finally {
    await folder.remove();
  }
}
