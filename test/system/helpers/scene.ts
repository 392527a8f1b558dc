/** A daemon on a folder of its own, with room beside it, that is taken down after the test. */
import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { mkdir, readdir } from 'node:fs/promises';
import type { ExecutionContext } from 'ava';
import { type DaemonProcess, type DaemonSettings, startDaemon } from './daemon.ts';
import { grown, openFiles } from './descriptors.ts';
import { type FerryResult, type FerrySettings, runFerry } from './ferry.ts';
import { type TempFolder, tempFolder } from './files.ts';
import { failedPrograms } from './processes.ts';
import { until } from './wait.ts';

export const isRoot: boolean = process.getuid?.() === 0;
export const isLinux: boolean = process.platform === 'linux';

/**
 * Runs a program as a root whom file modes bind like anybody else. It needs no second user, who might
 * not even be allowed to read the programs under test.
 */
export const boundByModes: readonly string[] = [
  'setpriv',
  '--inh-caps=-dac_override,-dac_read_search',
  '--bounding-set=-dac_override,-dac_read_search',
];

/** In memory where there is such a disk: how fast the disk syncs is not what these tests are about. */
const fastDisk: string | undefined = existsSync('/dev/shm') ? '/dev/shm' : undefined;

/** The oracle of THREATS.md says 2 s; a loaded machine gets more. */
const settleMs = 10_000;

export interface Scene {
  readonly folder: TempFolder;
  /** What the daemon serves as `/`. */
  readonly served: string;
  /** The daemon of the moment. */
  readonly daemon: DaemonProcess;
  /** A path beside what is served. */
  at(...names: string[]): string;
  /** A path in what is served. */
  there(...names: string[]): string;
  url(path?: string): string;
  /** `ferry ...args --json`, which must exit with `code`. */
  ferry(args: readonly string[], code?: number, settings?: FerrySettings): Promise<FerryResult>;
  /** Starts the daemon again, on the same port, after it was stopped or killed. */
  restart(): Promise<DaemonProcess>;
}

export interface SceneSettings extends Omit<DaemonSettings, 'folder' | 'port'> {
  /** The disk that everything is on; by default one in memory. */
  readonly where?: string;
  /** Whether a peer that is no program breaks something off for good. */
  readonly leavesPartials?: boolean;
}

/** Sets a scene for one test. The daemon must end well, without a word that is no log record. */
export async function setScene(
  t: ExecutionContext,
  { where, leavesPartials = false, ...settings }: SceneSettings = {},
): Promise<Scene> {
  const folder = await tempFolder(where ?? fastDisk);
  t.teardown(() => folder.remove());
  const served = folder.at('served');
  await mkdir(served);
  const failedBefore = failedPrograms();
  let daemon = await startDaemon({ ...settings, folder: served });
  t.teardown(async () => {
    // The test is over for ava, so these throw.
    const left = await openedSince(daemon);
    assert.deepEqual(await daemon.stop(), { code: 0, signal: null }, 'the daemon ends well');
    assert.deepEqual(left, [], 'the daemon has closed what it opened');
    checkLog(daemon);
    await checkStaging(served, leavesPartials || failedPrograms() > failedBefore);
  });
  return {
    folder,
    served,
    get daemon() {
      return daemon;
    },
    at: (...names) => folder.at(...names),
    there: (...names) => folder.at('served', ...names),
    url: (path = '') => daemon.url(path),
    ferry: (args, code = 0, more = {}) => ferryExits(t, args, code, more),
    async restart() {
      const { port } = daemon;
      daemon = await startDaemon({ ...settings, folder: served, port });
      return daemon;
    },
  };
}

/** What a daemon whose clients are gone has still open of what it opened; nothing but a share's own folders. */
async function openedSince({ pid, openAtFirst }: DaemonProcess): Promise<string[]> {
  let left: string[] = [];
  await until(
    'descriptors are back',
    async () => {
      left = grown(openAtFirst, await openFiles(pid));
      return left.length === 0;
    },
    settleMs,
  ).catch(() => undefined);
  return left;
}

/** A daemon that has stopped leaves nothing in staging, but the partials of what was broken off. */
async function checkStaging(served: string, leavesPartials: boolean): Promise<void> {
  const names = await readdir(`${served}/.chunkferry`).catch((): string[] => []);
  const partial = /\.(data|journal)$/;
  const left = leavesPartials ? names.filter((name) => !partial.test(name)) : names;
  assert.deepEqual(left, [], 'staging is empty');
}

/** Nothing on stderr but log records, and nothing unexpected among them. */
export function checkLog({ stray, logs }: DaemonProcess): void {
  assert.deepEqual(stray, [], 'the daemon says nothing beside its log');
  const errorLevel = 50;
  const errors = logs.filter(({ level }) => (level as number) >= errorLevel);
  assert.deepEqual(errors, [], 'the daemon meets nothing unexpected');
}

/** Runs `ferry ...args --json`, which must exit with `code`, say so, and show no stack. */
export async function ferryExits(
  t: ExecutionContext,
  args: readonly string[],
  code = 0,
  settings: FerrySettings = {},
): Promise<FerryResult> {
  const [command = '', ...rest] = args;
  const result = await runFerry([command, '--json', ...rest], settings);
  const errors = result.events.filter(({ type }) => type === 'error').map((e) => JSON.stringify(e));
  t.is(result.code, code, [`ferry ${args.join(' ')}`, result.stderr, ...errors].join('\n'));
  if (code !== 2 || result.summary !== undefined) t.is(result.summary?.exitCode, code);
  t.notRegex(result.stderr, /^\s+at /m, 'no stack');
  return result;
}
