/** Many at once: clients, uploads to one name, connections for one file. */
import { mkdir, readFile, utimes, writeFile } from 'node:fs/promises';
import test from 'ava';
import { connect, defaultTransferOptions, type Ferry, parseRemote } from '../../client/index.ts';
import { testConnect } from '../helpers/token.ts';
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

/** How the transfer of one file ended: undefined when it went well. */
async function failureOf(events: ReturnType<Ferry['upload']>): Promise<string | undefined> {
  let failure: string | undefined;
  for await (const event of events) if (event.type === 'error') failure = event.failure;
  return failure;
}

const options = { ...defaultTransferOptions, overwrite: 'always' } as const;

test('promise 2: two uploads to one name at once, a hundred rounds: one of them, whole', async (t) => {
  t.timeout(170_000);
  const scene = await setScene(t, { where: quickFolder });
  const remote = parseRemote(scene.daemon.url());
  const ferries = [await connect(remote, testConnect), await connect(remote, testConnect)];
  const target = { path: 'file', isFolder: false };
  let both = 0;
  for (let round = 1; round <= 100; round += 1) {
    const contents = ['a', 'b'].map((who) => randomBytes(`${who} ${round}`, 200_000 + round));
    const failures = await Promise.all(
      ferries.map(async (ferry, i) => {
        const localPath = scene.at(`${i}`);
        await writeFile(localPath, contents[i] as Buffer);
        await utimes(localPath, 2 * round + i, 2 * round + i);
        return await failureOf(ferry.upload([{ localPath }], target, options));
      }),
    );
    t.true(failures.includes(undefined), `one succeeds: ${failures.join(' ')}`);
    t.true(failures.every((failure) => failure === undefined || /busy|fenced/.test(failure)));
    const shown = await readFile(scene.there('file'));
    const whole = contents.findIndex((content) => content.equals(shown));
    t.true(whole >= 0, `round ${round}: the name shows one of them, whole`);
    t.is(failures[whole], undefined, 'and that one was told so');
    if (failures.every((failure) => failure === undefined)) both += 1;
  }
  t.log(`in ${both} rounds both came to an end, one after the other`);
  for (const ferry of ferries) await ferry.close();
});

test('promise 2: what is downloaded while its file is replaced is one version, whole', async (t) => {
  t.timeout(170_000);
  const scene = await setScene(t, { where: quickFolder });
  const remote = parseRemote(scene.daemon.url());
  const [writer, reader] = [await connect(remote, testConnect), await connect(remote, testConnect)];
  const contents = [1, 2].map((seed) => randomBytes(seed, 3 * MiB + seed));
  const target = { path: 'file', isFolder: false };
  await mkdir(scene.at('got'));
  for (const [i, content] of contents.entries()) await writeFile(scene.at(`${i}`), content);
  const replace = async (i: number): Promise<void> => {
    const failure = await failureOf(
      writer.upload([{ localPath: scene.at(`${i}`) }], target, options),
    );
    t.is(failure, undefined);
  };
  await replace(0);
  let isOver = false;
  let replaced = 0;
  const replacing = (async () => {
    for (let i = 1; !isOver; i += 1) {
      await replace(i % 2);
      replaced += 1;
    }
  })();
  for (let round = 0; round < 30; round += 1) {
    const got = scene.at('got', `${round}`);
    t.is(await failureOf(reader.download([target], got, options)), undefined);
    const shown = await readFile(got);
    t.true(
      contents.some((content) => content.equals(shown)),
      'one version, whole',
    );
  }
  isOver = true;
  await replacing;
  t.true(replaced > 3);
  for (const ferry of [writer, reader]) await ferry.close();
});

for (const direction of ['up', 'down'] satisfies Direction[]) {
  // Number 0 carries the questions; 1 speaks for the whole, the others just help.
  for (const [name, mayBeCut] of [
    ['the one that speaks for the whole', (connection: number) => connection === 1],
    ['one that just helps', (connection: number) => connection > 1],
  ] as const) {
    test(`one file over four connections, ${name} cut, ${direction}`, async (t) => {
      t.timeout(60_000);
      const scene = await setScene(t, { where: quickFolder });
      const sizeBytes = 72 * MiB + 11;
      // How many chunks a connection carries is chance: the first of them that has work enough is cut.
      const chunks = new Map<number, number>();
      let isCut = false;
      const proxy = await FrameProxy.start(scene.daemon.port, ({ type, connection }) => {
        if (type !== frameTypes.chunk) return 'pass';
        const count = (chunks.get(connection) ?? 0) + 1;
        chunks.set(connection, count);
        if (isCut || !mayBeCut(connection) || count < 60) return 'pass';
        isCut = true;
        return 'cut';
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
      t.true(isCut, 'the connection was cut in its work');
      t.true(chunks.size >= 4, 'all of them had a part in it');
      t.true((summary?.bytesSent ?? Infinity) <= sizeBytes + 24 * MiB);
    });
  }
}
