/**
 * Where the hostile peers meet the real daemon, and the oracle that holds whatever they do:
 *
 *   O1  a canary tree outside of the share is unchanged
 *   O2  a name holds the whole old or the whole new content
 *   O3  a healthy transfer beside it finishes with the right checksum
 *   O4  memory grows by at most 64 MiB, descriptors come back to where they were
 *   O5  a peer gets one error or none: no stack, no absolute path, no token in it
 *   O6  no uncaught exception, no warning: nothing but log records, none of them an error
 *   O7  staging holds nothing but partials with their journals
 *   O8  at most one log line a connection, control characters escaped
 */
import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { lstat, mkdir, readdir, readFile, readlink, symlink, writeFile } from 'node:fs/promises';
import path from 'node:path';
import type { ExecutionContext } from 'ava';
import { testToken } from '../../helpers/token.ts';
import {
  type DaemonProcess,
  type DaemonSettings,
  startDaemon,
} from '../../system/helpers/daemon.ts';
import { randomBytes, type TempFolder, tempFolder } from '../../system/helpers/files.ts';
import { until } from '../../system/helpers/wait.ts';
import { fetchFile, HalfUpload, upload } from './dances.ts';
import { type Greeting, Peer } from './peer.ts';
import { isWhole } from './whole.ts';

const MiB = 1024 * 1024;
const grownBytesMost = 64 * MiB;
/** Whatever came before; a daemon that starts takes 70 MiB. */
const residentBytesMost = 200 * MiB;
/** The oracle says 2 s; a loaded machine gets more. */
const settleMs = 10_000;
/** The smallest that an offer may name: this side's checksums are slow. */
const smallChunk = 1024;
/** Between two chunks of the healthy transfer. */
const stepMs = 1_000;
/** Half of them come step by step: enough for the longest attack. */
const healthyChunks = isWhole ? 7_200 : 40;
const stagingName = '.chunkferry';
const infoLevel = 30;
const errorLevel = 50;
const unsafe = /[\u0000-\u001f\u007f-\u009f\u200b-\u200f\u202a-\u202e\u2066-\u2069]/u;

/** Every name below a folder with its kind, mode, time and content, staging left out. */
export async function pictureOf(folder: string): Promise<Map<string, string>> {
  const picture = new Map<string, string>();
  const walk = async (below: string): Promise<void> => {
    for (const name of (await readdir(path.join(folder, below))).sort()) {
      if (name === stagingName) continue;
      const at = path.join(below, name);
      const full = path.join(folder, at);
      const { mode, mtimeNs } = await lstat(full, { bigint: true });
      const stats = await lstat(full);
      const content = stats.isFile()
        ? createHash('sha256')
            .update(await readFile(full))
            .digest('hex')
        : stats.isSymbolicLink()
          ? await readlink(full)
          : '';
      // A folder's time changes with what it holds, which is seen by itself.
      const time = stats.isDirectory() ? '' : mtimeNs;
      picture.set(at, `${mode.toString(8)} ${time} ${content}`);
      if (stats.isDirectory()) await walk(at);
    }
  };
  await walk('');
  return picture;
}

export function changes(before: Map<string, string>, after: Map<string, string>): string[] {
  const names = new Set([...before.keys(), ...after.keys()]);
  return [...names].filter((name) => before.get(name) !== after.get(name)).sort();
}

async function makeCanary(folder: string): Promise<void> {
  await mkdir(path.join(folder, 'inner'), { recursive: true });
  await writeFile(path.join(folder, 'secret'), 'secret', { mode: 0o600 });
  await writeFile(path.join(folder, 'inner', 'file'), 'inner');
  await symlink('secret', path.join(folder, 'link'));
}

/** Resident memory of a process, and how many descriptors it has; undefined without /proc. */
async function usage(pid: number): Promise<{ bytes: number; descriptors: number } | undefined> {
  if (!existsSync(`/proc/${pid}/fd`)) return undefined;
  const status = await readFile(`/proc/${pid}/status`, 'utf8');
  const kib = /VmRSS:\s+(\d+) kB/.exec(status)?.[1] ?? '0';
  return { bytes: Number(kib) * 1024, descriptors: (await readdir(`/proc/${pid}/fd`)).length };
}

export interface Stand {
  /** Names in the share that the peers may make or change, with all below; by default none. */
  readonly touches?: readonly string[] | 'everything but warm';
  /** Connections that others than these peers open, for the count of log lines. */
  readonly connections?: number;
}

export class Ground {
  readonly folder: TempFolder;
  readonly daemon: DaemonProcess;
  readonly #dial: typeof Peer.dial;
  readonly #neighbour: Peer;
  #rounds = 0;
  #peers: Peer[] = [];
  #connections = 0;
  #baseline: { bytes: number; descriptors: number } | undefined;
  #canary = new Map<string, string>();

  private constructor(
    folder: TempFolder,
    daemon: DaemonProcess,
    dial: typeof Peer.dial,
    neighbour: Peer,
  ) {
    this.folder = folder;
    this.daemon = daemon;
    this.#dial = dial;
    this.#neighbour = neighbour;
  }

  /** Starts a daemon, and leaves it warm. It speaks TLS, as strangers find it, unless said otherwise. */
  static async start({
    plain = false,
    ...settings
  }: Omit<DaemonSettings, 'folder'> = {}): Promise<Ground> {
    const folder = await tempFolder(existsSync('/dev/shm') ? '/dev/shm' : undefined);
    await mkdir(folder.at('served'));
    await makeCanary(folder.at('canary'));
    const daemon = await startDaemon({ ...settings, plain, folder: folder.at('served') });
    const dial = plain ? Peer.dial : Peer.dialSecure;
    const neighbour = await (await dial(daemon.port)).greet();
    const ground = new Ground(folder, daemon, dial, neighbour);
    await ground.#warm();
    return ground;
  }

  /** Large and small transfers first: what grows once for good must not look like a leak. */
  async #warm(): Promise<void> {
    const content = randomBytes('warm', 2 * MiB);
    for (let i = 0; i < 3; i += 1) {
      await upload(this.#neighbour, 'warm', content);
      await fetchFile(this.#neighbour, 'warm');
    }
    this.#baseline = await usage(this.daemon.pid);
    this.#canary = await pictureOf(this.folder.at('canary'));
  }

  served(...names: string[]): string {
    return this.folder.at('served', ...names);
  }

  /** A connection on which nothing was said. */
  async stranger(localAddress?: string): Promise<Peer> {
    const peer = await this.#dial(this.daemon.port, localAddress);
    this.#peers.push(peer);
    this.#connections += 1;
    return peer;
  }

  /** A connection with a proved token. */
  async peer(greeting: Greeting = {}): Promise<Peer> {
    return await (await this.stranger()).greet(greeting);
  }

  /** Runs one attack beside a healthy transfer, then asks the oracle. */
  async stands(t: ExecutionContext, attack: () => Promise<void>, stand: Stand = {}): Promise<void> {
    this.#rounds += 1;
    const logged = this.daemon.logs.length;
    const startBytes = (await usage(this.daemon.pid))?.bytes ?? 0;
    const before = await pictureOf(this.served());
    const content = randomBytes(`neighbour ${this.#rounds}`, healthyChunks * smallChunk + 1);
    const healthy = new HalfUpload(this.#neighbour, 'neighbour', content, smallChunk);
    await healthy.begin();
    const pulse = setInterval(() => healthy.step(), stepMs);
    try {
      await attack();
    } catch (error) {
      // What it left must not fail the tests that follow.
      for (const { socket } of this.#peers.splice(0)) socket.destroy();
      await healthy.finish().catch(() => undefined);
      throw error;
    } finally {
      clearInterval(pulse);
    }
    await healthy.finish();
    t.true(content.equals(await readFile(this.served('neighbour'))), 'O3 the healthy transfer');
    await Promise.all(this.#peers.map((peer) => peer.leave()));
    await this.#settled(t, startBytes);
    const { touches = [] } = stand;
    const touched = new Set(['neighbour', ...(touches === 'everything but warm' ? [] : touches)]);
    const isTouched = (name: string): boolean =>
      touches === 'everything but warm'
        ? name !== 'warm'
        : touched.has(name.split(path.sep)[0] ?? name);
    const changed = changes(before, await pictureOf(this.served()));
    t.deepEqual(
      changed.filter((name) => !isTouched(name)),
      [],
      'O2 nothing else changed',
    );
    t.deepEqual(changes(this.#canary, await pictureOf(this.folder.at('canary'))), [], 'O1 canary');
    this.#checkSpeech(t);
    this.#connections += stand.connections ?? 0;
    this.#checkLog(t, logged);
    this.#peers = [];
    this.#connections = 0;
  }

  /** O4 and O7. */
  async #settled(t: ExecutionContext, startBytes: number): Promise<void> {
    const baseline = this.#baseline;
    if (baseline !== undefined) {
      await until(
        'O4 descriptors come back to where they were',
        async () => ((await usage(this.daemon.pid))?.descriptors ?? 0) <= baseline.descriptors,
        settleMs,
      );
      const bytes = (await usage(this.daemon.pid))?.bytes ?? 0;
      const grown = bytes - startBytes;
      t.true(grown <= grownBytesMost, `O4 memory grew by ${Math.round(grown / MiB)} MiB`);
      t.true(bytes <= residentBytesMost, `O4 memory is ${Math.round(bytes / MiB)} MiB`);
    }
    const staged = await readdir(this.served(stagingName)).catch((): string[] => []);
    const orphans = staged.filter((name) => {
      const [, key, kind] = /^(.+)\.(data|journal)$/.exec(name) ?? [];
      const other = kind === 'data' ? 'journal' : 'data';
      return name !== 'lock' && !(key !== undefined && staged.includes(`${key}.${other}`));
    });
    t.deepEqual(orphans, [], 'O7 staging');
  }

  /** O5. */
  #checkSpeech(t: ExecutionContext): void {
    for (const { failures, messages } of this.#peers) {
      t.true(failures.length <= 1, `O5 one error: ${JSON.stringify(failures)}`);
      for (const message of messages) {
        t.false(message.includes(this.folder.path), `O5 an absolute path: ${message}`);
        t.false(message.includes(testToken), 'O5 the token');
        t.notRegex(message, /\n|^\s+at |\.js:\d/m, 'O5 a stack');
      }
    }
  }

  /** O6 and O8. */
  #checkLog(t: ExecutionContext, from: number): void {
    t.deepEqual(this.daemon.stray, [], 'O6 nothing but log records');
    const records = this.daemon.logs.slice(from);
    const level = (record: Readonly<Record<string, unknown>>): number => record['level'] as number;
    t.deepEqual(
      records.filter((record) => level(record) >= errorLevel),
      [],
      'O6 no error',
    );
    const written = this.daemon.lines.slice(from).join('');
    t.false(written.includes(testToken), 'O8 no token in the log');
    t.false(unsafe.test(written), 'O8 escaped');
    const warned = records.filter((record) => level(record) > infoLevel);
    t.true(warned.length <= this.#connections, `O8 one line: ${JSON.stringify(warned)}`);
  }

  /** Stops the daemon, which must end well. */
  async end(): Promise<void> {
    // A test that failed leaves peers behind, who would keep this process alive.
    for (const { socket } of [this.#neighbour, ...this.#peers]) socket.destroy();
    const { code } = await this.daemon.stop();
    await this.folder.remove();
    if (code !== 0) throw new Error(`ferryd ended with ${code}.`);
  }
}
