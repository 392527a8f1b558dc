/** What an interrupted transfer left is damaged before the same command runs again. */
import { chmod, copyFile, mkdir, readdir, rm, stat, truncate, utimes } from 'node:fs/promises';
import path from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { differences, flipBit, MiB, randomBytes, writeRandomFile } from './helpers/files.ts';
import { interrupt } from './helpers/interrupt.ts';
import { appendBytes, heldBytes, journalRecords, type PartialFiles } from './helpers/partials.ts';
import type { Direction } from './helpers/proxy.ts';
import { boundByModes, isLinux, isRoot, type Scene, setScene } from './helpers/scene.ts';
import { randomOf, seed } from './helpers/seed.ts';
import { quickFolder } from './helpers/wait.ts';

const sizeBytes = 36 * MiB + 4321;
const segmentBytes = 8 * MiB;
/** The transfer is killed when its partial has come so far: two segments and a half. */
const killedAtChunks = 320;
const longAgo = 1_600_000_000;

const random = randomOf('damage');
const somewhere = (from: number, to: number): number => Math.floor(from + random() * (to - from));

/** Root may write what it likes: the programs run without that right. */
const bound = isRoot && isLinux ? { through: boundByModes } : {};

interface Damage {
  readonly name: string;
  /** Does it, and gives how much of the file the partial can still be believed to hold. */
  readonly strike: (partial: PartialFiles, held: number) => Promise<number>;
  /** Someone is told. */
  readonly warns?: boolean;
}

const damages: readonly Damage[] = [
  { name: 'nothing', strike: async (_, held) => held },
  {
    // The mode of the file to be, set by a commit that was killed before the rename.
    name: 'a mode that forbids writing',
    async strike({ data }, held) {
      await chmod(data, 0o444);
      return held;
    },
  },
  {
    name: 'one byte of a whole segment',
    async strike({ data }, held) {
      await flipBit(data, somewhere(0, segmentBytes));
      return held - 1;
    },
  },
  {
    name: 'one byte of an unfinished segment',
    async strike({ data }, held) {
      await flipBit(data, somewhere(held - (held % segmentBytes), held));
      return held - 1;
    },
  },
  {
    name: 'data cut short',
    warns: true,
    async strike({ data }, held) {
      const bytes = somewhere(1, held - MiB);
      await truncate(data, bytes);
      return bytes;
    },
  },
  {
    name: 'data lengthened',
    async strike({ data }, held) {
      await appendBytes(data, randomBytes('garbage', MiB + 7));
      return held;
    },
  },
  {
    // A commit that was killed before it could delete the journal looks the same.
    name: 'data gone',
    async strike({ data }) {
      await rm(data);
      return 0;
    },
  },
  {
    name: 'journal cut anywhere',
    async strike({ journal }) {
      await truncate(journal, somewhere(0, (await stat(journal)).size));
      return heldBytes(await journalRecords(journal));
    },
  },
  {
    name: 'one bit of the journal',
    async strike({ journal }) {
      const position = somewhere(0, (await stat(journal)).size);
      const records = await journalRecords(journal);
      await flipBit(journal, position);
      return heldBytes(records.filter(({ end }) => end <= position));
    },
  },
  {
    name: 'the first record of the journal',
    warns: true,
    async strike({ journal }) {
      await flipBit(journal, 20);
      return 0;
    },
  },
  {
    name: 'garbage behind the journal',
    warns: true,
    async strike({ journal }, held) {
      await appendBytes(journal, randomBytes('garbage', 1000));
      return held;
    },
  },
  {
    name: 'journal emptied',
    warns: true,
    async strike({ journal }) {
      await truncate(journal, 0);
      return 0;
    },
  },
  {
    name: 'journal gone',
    warns: true,
    async strike({ journal }) {
      await rm(journal);
      return 0;
    },
  },
];

for (const direction of ['up', 'down'] satisfies Direction[]) {
  test(`promises 3 and 4: a damaged partial is found out and mended, ${direction}`, async (t) => {
    t.timeout(170_000);
    t.log(`FERRY_TEST_SEED=${seed}`);
    const scene = await setScene(t, { where: quickFolder, ...bound });
    const ends = await endsOf(scene, direction);
    const partial = await interrupt(scene, { ...ends, chunks: killedAtChunks });
    const held = heldBytes(await journalRecords(partial.journal));
    const kept = { data: scene.at('kept.data'), journal: scene.at('kept.journal') };
    if (direction === 'up') await scene.daemon.kill9();
    await copyFile(partial.data, kept.data);
    await copyFile(partial.journal, kept.journal);
    for (const damage of damages) {
      await mkdir(path.dirname(partial.data), { recursive: true });
      await copyFile(kept.data, partial.data);
      await copyFile(kept.journal, partial.journal);
      const believable = await damage.strike(partial, held);
      if (direction === 'up') await scene.restart();
      await runAgain(t, scene, ends, damage, believable);
      if (direction === 'up') await scene.daemon.kill9();
      await rm(ends.target);
    }
    if (direction === 'up') await scene.restart();
  });
}

interface Ends {
  readonly source: string;
  readonly target: string;
  /** The folder that the target is in. */
  readonly folder: string;
  readonly command: (url: (path: string) => string) => string[];
}

async function endsOf(scene: Scene, direction: Direction): Promise<Ends> {
  const folder = direction === 'up' ? scene.served : scene.at('local');
  const source = direction === 'up' ? scene.at('source') : scene.there('source');
  const target = path.join(folder, 'target');
  await mkdir(folder, { recursive: true });
  await writeRandomFile(source, sizeBytes, 'source');
  await utimes(source, longAgo, longAgo);
  const command = (url: (path: string) => string): string[] =>
    direction === 'up' ? ['upload', source, url('target')] : ['download', url('source'), target];
  return { source, target, folder, command };
}

async function runAgain(
  t: ExecutionContext,
  scene: Scene,
  { source, target, folder, command }: Ends,
  { name, warns = false }: Damage,
  believable: number,
): Promise<void> {
  const { summary, events } = await scene.ferry(command(scene.url), 0, bound);
  const sent = summary?.bytesSent ?? Number.NaN;
  t.deepEqual(await differences(source, target), [], name);
  const lacking = sizeBytes - believable;
  t.true(sent >= lacking, `${name}: ${sent} bytes sent, ${lacking} were lacking`);
  t.true(sent <= lacking + segmentBytes, `${name}: ${sent} bytes sent, ${lacking} were lacking`);
  const staging = path.join(folder, '.chunkferry');
  const left = await readdir(staging).catch(() => [] as string[]);
  t.deepEqual(
    left.filter((file) => file !== 'lock'),
    [],
    `${name}: staging is clean`,
  );
  if (!warns) return;
  const warned =
    events.some(({ type }) => type === 'warning') ||
    scene.daemon.logs.some(({ event }) => event === 'partial-damaged');
  t.true(warned, `${name}: a warning`);
}
