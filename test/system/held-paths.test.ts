/**
 * Promise 7, as the kernel sees it: whatever a client asks for, the daemon names a file of a share by a
 * folder that it holds open and one component, never by a path that somebody could bend.
 */
import { mkdir, readFile, symlink, writeFile } from 'node:fs/promises';
import { tempFolder, writeRandomFile } from './helpers/files.ts';
import { setScene } from './helpers/scene.ts';
import { testWithStrace, tracing } from './helpers/trace.ts';

/** A held folder, or one name in it. */
const held = /^\/proc\/self\/fd\/\d+(\/[^/]+)?$/;

testWithStrace('every path of a share is a held folder and one name', async (t) => {
  t.timeout(170_000);
  const folder = await tempFolder();
  t.teardown(() => folder.remove());
  const trace = folder.at('trace');
  const scene = await setScene(t, { through: tracing(['%file'], trace) });
  const { length: before } = await readFile(trace, 'latin1');
  await mkdir(scene.at('tree', 'sub'), { recursive: true });
  await writeFile(scene.at('tree', 'sub', 'small'), 'small');
  await writeRandomFile(scene.at('tree', 'large'), 300_000);
  await symlink('/etc', scene.there('out'));
  await scene.ferry(['upload', scene.at('tree'), scene.url('deep/in')]);
  await scene.ferry(['upload', '--checksum', scene.at('tree'), scene.url('deep/in')]);
  await scene.ferry(['verify', scene.at('tree'), scene.url('deep/in/tree')]);
  await scene.ferry(['download', scene.url('deep/in/tree'), scene.at('back')]);
  await scene.ferry(['ls', '-R', scene.url()]);
  await scene.ferry(['stat', scene.url('deep/in/tree/large')]);
  await scene.ferry(['mkdir', '-p', scene.url('made/deep')]);
  await scene.ferry(['mv', scene.url('deep/in/tree/large'), '/made/deep/large']);
  await scene.ferry(['mv', scene.url('deep/in'), '/made/in']);
  await scene.ferry(['rm', scene.url('made/deep/large')]);
  await scene.ferry(['rm', '-r', scene.url('made')]);
  await scene.ferry(['stat', scene.url('out/passwd')], 4);

  const lines = (await readFile(trace, 'latin1')).slice(before).split('\n');
  const paths = lines.flatMap((line) =>
    [...line.matchAll(/"((?:[^"\\]|\\.)*)"/g)].map(([, path = '']) => ({ path, line })),
  );
  const inShare = paths.filter(({ path }) => path.startsWith('/proc/self/fd/'));
  t.true(inShare.length > 50, `${inShare.length} calls`);
  t.deepEqual(
    inShare.filter(({ path }) => !held.test(path)).map(({ line }) => line),
    [],
  );
  // An empty path stands for the descriptor beside it.
  const bent = paths.filter(({ path }) => path.includes(scene.served) || !/^(\/|$)/.test(path));
  t.deepEqual(
    bent.map(({ line }) => line),
    [],
  );
});
