/** Sparse files: what is a hole here becomes a hole there, and takes next to nothing on the wire. */
import { open, rm, stat } from 'node:fs/promises';
import test from 'ava';
import { limits } from '../../protocol/limits.ts';
import { firstDifference, MiB, randomBytes } from './helpers/files.ts';
import { interrupt } from './helpers/interrupt.ts';
import { type Scene, setScene } from './helpers/scene.ts';

const { fileChunkBytes: chunkBytes } = limits;
const sizeBytes = 256 * MiB + 777;
/** Where there is content: a chunk each, but the first one lies across two. */
const places = [5 * chunkBytes + 100, 20 * MiB, 200 * MiB];

async function writeImage(file: string): Promise<void> {
  const handle = await open(file, 'w');
  await handle.truncate(sizeBytes);
  for (const at of places) await handle.write(randomBytes(at, chunkBytes), 0, chunkBytes, at);
  await handle.close();
}

/** Four chunks have content, and the last one is short. */
const contentBytes = 4 * chunkBytes + 777;

const ways = {
  up: (scene: Scene) => ({
    source: scene.at('image'),
    target: scene.there('image'),
    folder: scene.served,
    command: (url: (path: string) => string) => ['upload', scene.at('image'), url('image')],
  }),
  down: (scene: Scene) => ({
    source: scene.there('image'),
    target: scene.at('image'),
    folder: scene.at(),
    command: (url: (path: string) => string) => ['download', url('image'), scene.at('image')],
  }),
};

/** A chunk of content in whole pages, wherever it begins, and some for the file's own account. */
const storedBytes = 8 * chunkBytes;

for (const [way, endsOf] of Object.entries(ways)) {
  for (const connections of [1, 4]) {
    const over = connections === 1 ? 'one connection' : `${connections} connections`;
    test(`a sparse file arrives sparse, ${way}, over ${over}, after an interruption, too`, async (t) => {
      const scene = await setScene(t);
      const { source, target, folder, command: plain } = endsOf(scene);
      const command = (url: (path: string) => string): string[] => {
        const [name = '', ...paths] = plain(url);
        return [name, '--connections', String(connections), ...paths];
      };
      await writeImage(source);
      const whole = await scene.ferry(command((path) => scene.url(path)));
      t.is(whole.summary?.bytesSent, contentBytes);
      t.is(await firstDifference(source, target), undefined);
      const { blocks } = await stat(target);
      t.true(blocks * 512 <= storedBytes, `${blocks} blocks`);

      await rm(target);
      await interrupt(scene, { command, folder, chunks: 1_024 });
      const rest = await scene.ferry(command((path) => scene.url(path)));
      // Over one it is the first 64 MiB that came.
      if (connections === 1) t.is(rest.summary?.bytesSent, chunkBytes + 777);
      t.is(await firstDifference(source, target), undefined);
      const { blocks: after } = await stat(target);
      t.true(after * 512 <= storedBytes, `${after} blocks`);
    });
  }
}
