/**
 * Path operations against a process that swaps a folder, and a file, for links to a canary tree and
 * back, as fast as it can. Each has a control: the same done by who checks a path and then uses it.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  appendFileSync,
  chmodSync,
  existsSync,
  linkSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  unlinkSync,
  writeFileSync,
} from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { checksum } from '../../../../protocol/checksum.ts';
import { TransferError } from '../../../../protocol/errors.ts';
import { defaultPolicy } from '../../../../protocol/frames/transfer.ts';
import { openLocalStorage } from '../../../../transfer/local/local-storage.ts';
import type { Storage } from '../../../../transfer/storage.ts';
import { quickFolder } from '../../../system/helpers/wait.ts';
import { offerOf, smallFile } from '../../helpers/stored-files.ts';

const secret = 'the secret of the canary';
const mine = 'mine';
/** In the canary tree only. */
const canaryOnly = 'canary-only';

/** What the flipper runs: it is told the folders, and swaps until it is killed. */
const flipper = `
const { renameSync, rmSync, symlinkSync, unlinkSync } = require('node:fs');
const attempt = (step) => { try { step(); return true; } catch { return false; } };
const swap = (at, aside, target) => {
  if (!attempt(() => renameSync(at, aside))) {
    // What the storage made anew meanwhile gives way.
    attempt(() => rmSync(aside, { recursive: true }));
    attempt(() => renameSync(at, aside));
  }
  attempt(() => symlinkSync(target, at));
  attempt(() => unlinkSync(at));
  attempt(() => renameSync(aside, at));
};
const sides = process.argv.slice(1);
process.stdout.write('ready');
for (;;) {
  for (const side of sides) {
    swap(side + '/root/flip', side + '/aside', side + '/canary');
    swap(side + '/root/leaf', side + '/leaf-aside', side + '/canary/inside');
  }
}`;

/** The control tries so often for each of our rounds, which do more. */
const naiveTries = 20;
const mostMs = 30_000;

export interface Race {
  /** Tries once; gives what it saw of the canary, if anything. Errors are answers. */
  readonly ours: (storage: Storage, round: number) => Promise<string | undefined>;
  /** The same, naively, in the folder `root`: checked first. */
  readonly naive: (root: string, round: number) => string | undefined;
}

export interface RaceResult {
  readonly rounds: number;
  /** What leaked out of the canary to the storage's caller. */
  readonly leaks: readonly string[];
  /** How the canary differs from what it was. */
  readonly canary: string | undefined;
  /** Whether the control was led out. */
  readonly naiveWasFooled: boolean;
}

interface Side {
  readonly root: string;
  readonly canary: string;
}

function makeSide(folder: string): Side {
  const [root, canary] = [`${folder}/root`, `${folder}/canary`];
  mkdirSync(`${root}/flip`, { recursive: true });
  mkdirSync(`${canary}/sub`, { recursive: true });
  for (const name of ['inside', canaryOnly, 'sub/deep']) writeFileSync(`${canary}/${name}`, secret);
  chmodSync(`${canary}/inside`, 0o600);
  return { root, canary };
}

/** Names, kinds, contents, modes and times: what the canary must keep. */
function snapshot(folder: string): string {
  const lines = readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .sort()
    .map((name) => {
      const stats = lstatSync(`${folder}/${name}`);
      const content = stats.isFile() ? readFileSync(`${folder}/${name}`, 'utf8') : '/';
      return `${name} ${stats.mode} ${stats.mtimeMs} ${content}`;
    });
  const { mode, mtimeMs } = lstatSync(folder);
  return [`${mode} ${mtimeMs}`, ...lines].join('\n');
}

/** Runs a race for so long. */
export async function runRace(race: Race, durationMs: number): Promise<RaceResult> {
  const folder = await mkdtemp(`${quickFolder}/chunkferry-`);
  const [ours, theirs] = [makeSide(`${folder}/ours`), makeSide(`${folder}/naive`)];
  const [ourCanary, theirCanary] = [snapshot(ours.canary), snapshot(theirs.canary)];
  const storage = await openLocalStorage({ root: ours.root, durability: 'none' });
  const sides = [`${folder}/ours`, `${folder}/naive`];
  const child = spawn(process.execPath, ['-e', flipper, ...sides], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  try {
    await once(child.stdout, 'data');
    const leaks: string[] = [];
    let rounds = 0;
    let naiveWasFooled = false;
    const beganAtMs = performance.now();
    const isOver = (): boolean => {
      const tookMs = performance.now() - beganAtMs;
      // Where the flipper gets little of a busy machine, both go on until the control has lost.
      return tookMs > durationMs && (naiveWasFooled || tookMs > mostMs);
    };
    while (!isOver()) {
      rounds += 1;
      const leak = await answered(() => race.ours(storage, rounds));
      if (leak !== undefined) leaks.push(leak);
      // Once led out it has shown what it had to, and may have destroyed what it is judged by.
      for (let i = 0; i < naiveTries && !naiveWasFooled; i += 1) {
        naiveWasFooled =
          caught(() => race.naive(theirs.root, rounds * naiveTries + i)) !== undefined;
      }
      naiveWasFooled ||= snapshot(theirs.canary) !== theirCanary;
    }
    const after = snapshot(ours.canary);
    const canary = after === ourCanary ? undefined : after;
    return { rounds, leaks, canary, naiveWasFooled };
  } finally {
    child.kill('SIGKILL');
    await once(child, 'exit');
    await storage.close();
    await rm(folder, { recursive: true });
  }
}

/** A TransferError is as good an answer as any here. */
async function answered<T>(step: () => Promise<T>): Promise<T | undefined> {
  try {
    return await step();
  } catch (error) {
    if (error instanceof TransferError) return undefined;
    throw error;
  }
}

function caught<T>(step: () => T): T | undefined {
  try {
    return step();
  } catch {
    return undefined; // The folder was away, or is a link just now.
  }
}

/** The check of who does not know better. */
function checked(root: string, path: string): string {
  let at = root;
  for (const name of path.split('/')) {
    at += `/${name}`;
    if (lstatSync(at, { throwIfNoEntry: false })?.isSymbolicLink() === true) {
      throw new Error(`${path} leads out.`);
    }
  }
  return at;
}

const refill = (storage: Storage): Promise<unknown> =>
  storage.putSmall('', [smallFile('flip/inside', mine), smallFile('leaf', mine)]);

function naiveRefill(root: string): void {
  mkdirSync(`${root}/flip`, { recursive: true });
  if (lstatSync(`${root}/flip`).isSymbolicLink()) return;
  appendFileSync(`${root}/leaf`, '');
}

async function readBy(storage: Storage, path: string): Promise<string | undefined> {
  const source = await storage.openSource(path);
  try {
    const buffer = Buffer.alloc(100);
    const text = buffer.toString('utf8', 0, await source.read(buffer, 0));
    return text === secret ? `content of ${path}` : undefined;
  } finally {
    await source.close();
  }
}

async function uploadLarge(storage: Storage, path: string): Promise<undefined> {
  const sink = await storage.openSink(path, offerOf(mine.length), false);
  try {
    const bytes = Buffer.from(mine);
    await sink.write(0, [bytes], [checksum(bytes)]);
    await sink.commit({ size: bytes.length, mtimeNs: 0n, mode: 0o644 });
  } finally {
    await sink.close();
  }
}

async function listedNames(storage: Storage, path: string, recursive: boolean): Promise<string> {
  const names: string[] = [];
  for await (const entries of storage.list(path, { recursive, contentTypes: false })) {
    names.push(...entries.map((entry) => entry.path));
  }
  return names.join();
}

const leakedName = (names: string): string | undefined =>
  names.includes(canaryOnly) ? `names: ${names}` : undefined;

/** Makes a folder in the canary's stead, and looks where it came to be. Nothing may pile up. */
function madeOutside(root: string, folder: string): string | undefined {
  mkdirSync(folder, { recursive: true });
  if (existsSync(`${root}/../canary/made`)) return 'a new folder';
  rmSync(`${root}/flip/made`, { recursive: true, force: true });
  return undefined;
}

function removeNaively(folder: string): void {
  for (const name of readdirSync(folder)) rmSync(`${folder}/${name}`, { recursive: true });
}

export const races: Readonly<Record<string, Race>> = {
  'upload of a page': {
    ours: async (storage) => void (await storage.putSmall('flip', [smallFile('inside', mine)])),
    naive(root) {
      writeFileSync(checked(root, 'flip/inside'), mine);
      return undefined;
    },
  },
  'upload of a large file': {
    ours: (storage) => uploadLarge(storage, 'flip/large'),
    naive(root) {
      writeFileSync(`${root}/staged`, mine);
      renameSync(`${root}/staged`, checked(root, 'flip/large'));
      return undefined;
    },
  },
  'download of a page': {
    async ours(storage) {
      await refill(storage);
      const read = await storage.readSmall('', ['flip/inside', 'leaf']);
      const texts = read.map((one) =>
        one instanceof TransferError ? '' : Buffer.from(one.content).toString(),
      );
      return texts.includes(secret) ? 'content of a page' : undefined;
    },
    naive: (root) =>
      readFileSync(checked(root, 'flip/inside'), 'utf8') === secret ? 'content' : undefined,
  },
  'download of a large file, and its checksums': {
    async ours(storage, round) {
      await refill(storage);
      return await readBy(storage, round % 2 === 0 ? 'leaf' : 'flip/inside');
    },
    naive: (root) =>
      readFileSync(checked(root, 'leaf'), 'utf8') === secret ? 'content' : undefined,
  },
  list: {
    ours: async (storage) => leakedName(await listedNames(storage, 'flip', false)),
    naive: (root) => leakedName(readdirSync(checked(root, 'flip')).join()),
  },
  'list -r': {
    ours: async (storage) => leakedName(await listedNames(storage, '', true)),
    naive(root) {
      const folders = readdirSync(root).filter((name) =>
        lstatSync(checked(root, name)).isDirectory(),
      );
      return leakedName(folders.flatMap((name) => readdirSync(`${root}/${name}`)).join());
    },
  },
  stat: {
    async ours(storage) {
      const { size } = await storage.stat('flip/inside');
      return size === secret.length ? 'a size' : undefined;
    },
    naive: (root) =>
      lstatSync(checked(root, 'flip/inside')).size === secret.length ? 'a size' : undefined,
  },
  'examine and touch': {
    async ours(storage) {
      const { entry } = smallFile('inside', secret);
      const [answer] = await storage.examine('flip', [entry], {
        ...defaultPolicy,
        overwrite: 'never',
      });
      await answered(() => storage.touch('leaf', { mtimeNs: 0n, mode: 0o777 }));
      await answered(() => storage.touch('flip/inside', { mtimeNs: 0n, mode: 0o777 }));
      // Nothing that the share has is called `inside`.
      return answer === 'unchanged' || answer === 'skipped' ? 'that a name is taken' : undefined;
    },
    naive(root) {
      naiveRefill(root);
      chmodSync(checked(root, 'leaf'), 0o777);
      return undefined;
    },
  },
  mkdir: {
    async ours(storage) {
      await storage.mkdir('flip/made', false);
      await storage.remove('flip/made', false);
      return undefined;
    },
    naive: (root) => madeOutside(root, checked(root, 'flip/made')),
  },
  'mkdir -p': {
    async ours(storage) {
      await storage.mkdir('flip/made/deep', true);
      await storage.remove('flip/made', true);
      return undefined;
    },
    naive: (root) => madeOutside(root, checked(root, 'flip/made/deep')),
  },
  remove: {
    async ours(storage) {
      await refill(storage);
      await answered(() => storage.remove('leaf', false));
      await storage.remove('flip/inside', false);
      return undefined;
    },
    naive(root) {
      naiveRefill(root);
      unlinkSync(checked(root, 'flip/inside'));
      return undefined;
    },
  },
  'remove -r': {
    async ours(storage) {
      await storage.putSmall('', [
        smallFile('flip/inside', mine),
        smallFile('flip/sub/deep', mine),
      ]);
      await storage.remove('flip', true);
      return undefined;
    },
    naive(root) {
      naiveRefill(root);
      removeNaively(checked(root, 'flip'));
      return undefined;
    },
  },
  'rename out of it': {
    async ours(storage) {
      await refill(storage);
      await storage.rename('flip/inside', 'got');
      const leak = await readBy(storage, 'got');
      await storage.remove('got', true);
      return leak;
    },
    naive(root) {
      renameSync(checked(root, 'flip/inside'), `${root}/got`);
      return undefined;
    },
  },
  'rename into it': {
    async ours(storage, round) {
      await storage.putSmall('', [smallFile('mine', mine)]);
      await storage.rename('mine', `flip/${round}`);
      return undefined;
    },
    naive(root, round) {
      writeFileSync(`${root}/mine`, mine);
      linkSync(`${root}/mine`, checked(root, `flip/${round}`));
      return undefined;
    },
  },
};
