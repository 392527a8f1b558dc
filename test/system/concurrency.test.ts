/** Many at once: clients, uploads to one name, connections for one file. */
import { readFile } from 'node:fs/promises';
import test from 'ava';
import { runFerry } from './helpers/ferry.ts';
import { differences, MiB, randomBytes, writeRandomFile } from './helpers/files.ts';
import { FrameProxy, frameTypes } from './helpers/frame-proxy.ts';
import type { Direction } from './helpers/proxy.ts';
import { setScene } from './helpers/scene.ts';
import { quickFolder } from './helpers/wait.ts';

test('twenty clients at once, up and down: each gets what it came for', async (t) => {
  t.timeout(170_000);
  const scene = await setScene(t, { where: quickFolder });
  const clients = Array.from({ length: 20 }, (_, i) => i);
  const bytesOf = (i: number): number => 2 * MiB + i * 100_003;
  for (const i of clients) {
    await writeRandomFile(i % 2 === 0 ? scene.at(`${i}`) : scene.there(`${i}`), bytesOf(i), i);
  }
  const results = await Promise.all(
    clients.map((i) =>
      scene.ferry(
        i % 2 === 0
          ? ['upload', scene.at(`${i}`), scene.url(`${i}`)]
          : ['download', scene.url(`${i}`), scene.at(`${i}`)],
      ),
    ),
  );
  for (const i of clients) {
    t.deepEqual(await differences(scene.at(`${i}`), scene.there(`${i}`)), []);
    t.is(results[i]?.summary?.bytesSent, bytesOf(i));
  }
});

test('promise 2: two uploads to one name at once: one of them, whole, each time', async (t) => {
  t.timeout(170_000);
  const scene = await setScene(t, { where: quickFolder });
  const contents = ['a', 'b'].map((seed) => randomBytes(seed, 9 * MiB + 1));
  await writeRandomFile(scene.at('a'), 9 * MiB + 1, 'a');
  await writeRandomFile(scene.at('b'), 9 * MiB + 1, 'b');
  const exits: string[] = [];
  for (let round = 0; round < 8; round += 1) {
    const name = `file-${round % 4}`;
    const results = await Promise.all(
      ['a', 'b'].map((source) =>
        runFerry(['upload', '--json', '--bwlimit', '60M', scene.at(source), scene.url(name)]),
      ),
    );
    const codes = results.map(({ code }) => code);
    exits.push(codes.join(' '));
    t.true(codes.includes(0), `one succeeds: ${codes.join(' ')}`);
    t.true(
      codes.every((code) => code === 0 || code === 11),
      codes.join(' '),
    );
    const shown = await readFile(scene.there(name));
    const whole = contents.findIndex((content) => content.equals(shown));
    t.true(whole >= 0, 'the name shows one of them, whole');
    // Where only one succeeded, it is that one's.
    if (codes[1] === 11) t.is(whole, 0);
    if (codes[0] === 11) t.is(whole, 1);
  }
  t.log(`exit codes of the rounds: ${exits.join(', ')}`);
});

for (const direction of ['up', 'down'] satisfies Direction[]) {
  // Number 0 carries the questions; 1 speaks for the whole, 3 just helps.
  for (const victim of [1, 3]) {
    test(`one file over four connections, number ${victim} of them cut, ${direction}`, async (t) => {
      t.timeout(60_000);
      const scene = await setScene(t, { where: quickFolder });
      const sizeBytes = 72 * MiB + 11;
      let chunks = 0;
      const used = new Set<number>();
      const proxy = await FrameProxy.start(scene.daemon.port, ({ type, connection }) => {
        if (type !== frameTypes.chunk) return 'pass';
        used.add(connection);
        if (connection === victim) chunks += 1;
        return connection === victim && chunks === 60 ? 'cut' : 'pass';
      });
      t.teardown(() => proxy.close());
      const isUpload = direction === 'up';
      const [source, target] = isUpload
        ? [scene.at('source'), scene.there('file')]
        : [scene.there('file'), scene.at('target')];
      await writeRandomFile(source, sizeBytes);
      const { summary } = await scene.ferry(
        isUpload
          ? ['upload', '--connections', '4', source, proxy.url('file')]
          : ['download', '--connections', '4', proxy.url('file'), target],
      );
      t.deepEqual(await differences(source, target), []);
      t.true(chunks >= 60, 'the connection was cut in its work');
      t.true(used.size >= 4, 'all of them had a part in it');
      t.true((summary?.bytesSent ?? Infinity) <= sizeBytes + 24 * MiB);
    });
  }
}
