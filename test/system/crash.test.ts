/**
 * THREATS, resume and crash: kill −9 at every write, fsync and rename of a small upload; run again, it is
 * resumed, right, and staging is empty.
 */
import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import type { ExecutionContext } from 'ava';
import {
  connect,
  defaultTransferOptions,
  type FerryEvent,
  parseRemote,
  type SummaryEvent,
} from '../../client/index.ts';
import { testConnect } from '../helpers/token.ts';
import { type DaemonProcess, startDaemon } from './helpers/daemon.ts';
import { differences, randomBytes, type TempFolder, tempFolder } from './helpers/files.ts';
import { heldBytes, journalRecords, partialIn } from './helpers/partials.ts';
import { callCounts, injecting, oneThread, testWithStrace, tracing } from './helpers/trace.ts';
import { quickFolder } from './helpers/wait.ts';

/** Whatever changes the disk. Small contents go by write, which sockets use, too: what follows it stands for it. */
const calls =
  'pwrite64 pwritev fsync fdatasync rename renameat link unlink mkdir ftruncate fchmod utimensat'.split(
    ' ',
  );
const oldContent = randomBytes('old', 100_000);
const files = { 'new/one': 300, 'new/two': 5000, large: 3 * 65_536 + 99 } as const;

interface Lane {
  readonly folder: TempFolder;
  readonly state: string;
}

async function newLane(t: ExecutionContext): Promise<Lane> {
  const folder = await tempFolder(quickFolder);
  t.teardown(() => folder.remove());
  await mkdir(folder.at('tree', 'new'), { recursive: true });
  for (const [name, bytes] of Object.entries(files)) {
    await writeFile(folder.at('tree', name), randomBytes(name, bytes));
  }
  return { folder, state: folder.at('state') };
}

/** Uploads all of it, as the command does; gives the events. */
async function upload(daemon: DaemonProcess, from: string): Promise<FerryEvent[]> {
  const events: FerryEvent[] = [];
  const remote = parseRemote(daemon.url());
  const options = { ...testConnect, retries: 0 };
  try {
    const ferry = await connect(remote, options);
    const sources = [{ localPath: `${from}/` }];
    const target = { path: '', isFolder: true };
    for await (const event of ferry.upload(sources, target, defaultTransferOptions)) {
      events.push(event);
    }
    await ferry.close();
  } catch {
    // The daemon died before it had answered.
  }
  return events;
}

const summaryOf = (events: readonly FerryEvent[]): SummaryEvent | undefined =>
  events.find((event): event is SummaryEvent => event.type === 'summary');

/** A served folder with an old file, as each attempt begins. */
async function freshShare({ folder }: Lane, name: string): Promise<string> {
  const served = folder.at(name);
  await mkdir(served);
  await writeFile(`${served}/large`, oldContent);
  return served;
}

async function countCalls(lane: Lane): Promise<{ first: number; last: number; call: string }[]> {
  const served = await freshShare(lane, 'counted');
  const trace = lane.folder.at('trace');
  const through = tracing(calls, trace);
  // What it makes at its very first start is not part of an upload.
  await (await startDaemon({ folder: served, state: lane.state })).stop();
  const daemon = await startDaemon({ folder: served, state: lane.state, through, env: oneThread });
  const before = await callCounts(trace);
  await upload(daemon, lane.folder.at('tree'));
  const after = await callCounts(trace);
  await daemon.stop();
  return [...after].map(([call, last]) => ({ call, first: (before.get(call) ?? 0) + 1, last }));
}

/** Kills at the n-th call, starts again, uploads again; gives what is wrong. */
async function killAt(lane: Lane, call: string, at: number): Promise<string[]> {
  const { folder, state } = lane;
  const tree = folder.at('tree');
  const served = await freshShare(lane, `${call}-${at}`);
  const fault = `${call}:signal=KILL:when=${at}`;
  const through = injecting(fault, folder.at(`trace-${call}-${at}`));
  const killed = await startDaemon({ folder: served, state, through, env: oneThread });
  const first = await upload(killed, tree);
  const problems: string[] = [];
  // What it acknowledged is there, and what it had not yet done is whole or absent.
  const told = new Set(
    first.flatMap((event) =>
      event.type === 'file' && event.outcome === 'stored' ? [event.path] : [],
    ),
  );
  const { signal } = await killed.kill9();
  if (summaryOf(first)?.exitCode === 0) problems.push('the upload was not interrupted');
  if (signal !== 'SIGKILL') problems.push(`it ended by ${signal}`);
  for (const name of Object.keys(files)) {
    const shown = await readFile(`${served}/${name}`).catch(() => undefined);
    const isNew = shown?.equals(await readFile(`${tree}/${name}`)) === true;
    const isOld = name === 'large' ? shown?.equals(oldContent) === true : shown === undefined;
    if (!isNew && !isOld) problems.push(`${name} shows ${shown?.length} bytes`);
    if (!isNew && [...told].some((path) => path.endsWith(name))) {
      problems.push(`${name} was acknowledged, and is not there`);
    }
  }
  const partial = await partialIn(`${served}/.chunkferry`);
  const held = partial === undefined ? 0 : heldBytes(await journalRecords(partial.journal));

  const daemon = await startDaemon({ folder: served, state });
  const summary = summaryOf(await upload(daemon, tree));
  if (summary?.exitCode !== 0) problems.push(`again it exits ${summary?.exitCode}`);
  if ((summary?.bytesReused ?? 0) < held) problems.push(`${held} bytes were sent once more`);
  problems.push(...(await differences(tree, served)));
  const staged = (await readdir(`${served}/.chunkferry`)).filter((name) => name !== 'lock');
  if (staged.length > 0) problems.push(`staging keeps ${staged.join()}`);
  await daemon.stop();
  return problems.map((problem) => `${call} ${at}: ${problem}`);
}

testWithStrace('kill -9 at every write, fsync and rename of a small upload', async (t) => {
  t.timeout(170_000);
  const lanes = [await newLane(t), await newLane(t)];
  const [lane] = lanes as [Lane];
  const counted = await countCalls(lane);
  const moments = counted.flatMap(({ call, first, last }) =>
    Array.from({ length: Math.max(0, last - first + 1) }, (_, i) => ({ call, at: first + i })),
  );
  t.log(counted.map(({ call, first, last }) => `${call} ${first}-${last}`).join(', '));
  for (const call of ['fsync', 'rename', 'pwritev', 'fchmod']) {
    t.true(
      moments.some((moment) => moment.call === call),
      `${call} is among them`,
    );
  }
  const problems: string[] = [];
  const count = moments.length;
  await Promise.all(
    lanes.map(async (own) => {
      for (let next = moments.pop(); next !== undefined; next = moments.pop()) {
        problems.push(...(await killAt(own, next.call, next.at)));
      }
    }),
  );
  t.log(`${count} moments`);
  t.deepEqual(problems, []);
});
