/** Promise 5: a source that changes never becomes a mixture. */
import { spawn } from 'node:child_process';
import { appendFileSync, closeSync, openSync, truncateSync, writeSync } from 'node:fs';
import { open, rename, rm, stat, truncate, utimes } from 'node:fs/promises';
import path from 'node:path';
import test from 'ava';
import { differences, MiB, randomBytes, writeRandomFile } from './helpers/files.ts';
import { FrameProxy, frameTypes } from './helpers/frame-proxy.ts';
import { interrupt } from './helpers/interrupt.ts';
import { appendBytes } from './helpers/partials.ts';
import type { Direction } from './helpers/proxy.ts';
import { type Scene, setScene } from './helpers/scene.ts';
import { quickFolder, until } from './helpers/wait.ts';

const sizeBytes = 24 * MiB + 999;
const killedAtChunks = 192;
const longAgo = 1_600_000_000.25;
const directions = ['up', 'down'] satisfies Direction[];

interface Ends {
  readonly source: string;
  readonly target: string;
  readonly command: (url: (path: string) => string) => string[];
}

async function endsOf(scene: Scene, direction: Direction, bytes: number): Promise<Ends> {
  const isUpload = direction === 'up';
  const source = isUpload ? scene.at('source') : scene.there('source');
  const target = isUpload ? scene.there('target') : scene.at('target');
  await writeRandomFile(source, bytes, 'first version');
  await utimes(source, longAgo, longAgo);
  const command = (url: (path: string) => string): string[] =>
    isUpload ? ['upload', source, url('target')] : ['download', url('source'), target];
  return { source, target, command };
}

/** What may happen to a source between two runs. */
const replacements: Readonly<Record<string, (source: string) => Promise<void>>> = {
  'another file of the same size, its mtime restored': async (source) => {
    await writeRandomFile(`${source}.new`, sizeBytes, 'second version');
    await utimes(`${source}.new`, longAgo, longAgo);
    await rename(`${source}.new`, source);
  },
  'one byte changed in place, mtime restored': async (source) => {
    const handle = await open(source, 'r+');
    await handle.write(Buffer.from([0x5a]), 0, 1, 5 * MiB + 1);
    await handle.close();
    await utimes(source, longAgo, longAgo);
  },
  'another file with a new mtime': async (source) => {
    await rm(source);
    await writeRandomFile(source, sizeBytes, 'second version');
  },
  'a longer file with the same beginning': async (source) => {
    await appendBytes(source, randomBytes('more', 3 * MiB));
  },
  'a shorter file with the same beginning': async (source) => {
    await truncate(source, 10 * MiB + 5);
    await utimes(source, longAgo, longAgo);
  },
  'an empty file': async (source) => {
    await truncate(source, 0);
  },
};

/** What may happen to it while it is read; at once, before anything else goes on. */
const changes: Readonly<Record<string, (source: string) => void>> = {
  grows: (source) => appendFileSync(source, randomBytes('more', MiB + 1)),
  shrinks: (source) => truncateSync(source, 3 * MiB + 7),
  'is rewritten in place': (source) => {
    const fd = openSync(source, 'r+');
    writeSync(fd, randomBytes('rewritten', 2 * MiB), 0, 2 * MiB, MiB);
    closeSync(fd);
  },
};

for (const direction of directions) {
  for (const [name, replace] of Object.entries(replacements)) {
    test(`promise 5: between two runs, ${direction}: ${name}`, async (t) => {
      const scene = await setScene(t, { where: quickFolder });
      const ends = await endsOf(scene, direction, sizeBytes);
      const folder = path.dirname(ends.target);
      await interrupt(scene, { ...ends, folder, chunks: killedAtChunks });
      await replace(ends.source);
      await scene.ferry(ends.command(scene.url));
      t.deepEqual(await differences(ends.source, ends.target), []);
    });
  }

  for (const [name, change] of Object.entries(changes)) {
    test(`promise 5: a source that ${name} during the transfer, ${direction}: the new version, whole`, async (t) => {
      const scene = await setScene(t, { where: quickFolder });
      let chunks = 0;
      const proxy = await FrameProxy.start(scene.daemon.port, ({ type }) => {
        if (type === frameTypes.chunk) chunks += 1;
        // The others are not even read by then: there are more of them than may be on their way.
        if (type === frameTypes.chunk && chunks === 40) change(ends.source);
        return 'pass';
      });
      t.teardown(() => proxy.close());
      const ends = await endsOf(scene, direction, 40 * MiB);
      await scene.ferry(ends.command((name) => proxy.url(name)));
      t.true(chunks > 40);
      t.deepEqual(await differences(ends.source, ends.target), []);
    });
  }

  test(`promise 5: a source that never stops changing, ${direction}: exit 24 and the old content`, async (t) => {
    const scene = await setScene(t, { where: quickFolder });
    const ends = await endsOf(scene, direction, 4 * MiB);
    await writeRandomFile(ends.target, 1000, 'old');
    // In a process of its own, which nothing else holds up.
    const script = `setInterval(() => require('fs').appendFileSync('${ends.source}', 'more'), 5)`;
    const changer = spawn(process.execPath, ['-e', script]);
    t.teardown(() => changer.kill('SIGKILL'));
    await until('it changes', async () => (await stat(ends.source)).size > 4 * MiB);
    const [command = '', ...rest] = ends.command(scene.url);
    await scene.ferry([command, '--bwlimit', '4M', ...rest], 24);
    t.is(changer.exitCode, null);
    t.is((await stat(ends.target)).size, 1000);
  });
}
