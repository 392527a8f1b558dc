/**
 * kill −9 at moments drawn over a measured transfer, and the same command again: what came of it.
 *
 * While it goes on a reader looks at the name: it must show the whole old or the whole new content.
 */
import { chmod, mkdir, open, readdir, rm, stat, utimes, writeFile } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { type DaemonProcess, startDaemon } from './daemon.ts';
import { type FerryProcess, type FerryResult, startFerry } from './ferry.ts';
import {
  differences,
  firstDifference,
  MiB,
  randomBytes,
  type TempFolder,
  tempFolder,
  writeRandomFile,
} from './files.ts';
import { type Direction, Proxy } from './proxy.ts';
import { randomOf, seed } from './seed.ts';
import { until } from './wait.ts';

export type Victim = 'client' | 'daemon' | 'both';

export interface MatrixSettings {
  readonly victim: Victim;
  readonly direction: Direction;
  readonly sizeBytes: number;
  /** `--bwlimit`; without it as fast as it goes. */
  readonly rate?: string;
  readonly moments: number;
  /** Moments at once, each with a daemon and a proxy of its own. */
  readonly lanes: number;
  /** The disk that everything is on. */
  readonly where: string;
}

/** What came of one moment. */
export interface Moment {
  readonly atMs: number;
  /** The kill met the transfer: it had begun, and had not come to its end. */
  readonly inside: boolean;
  /** Content that crossed the network in both runs beyond the file's size. */
  readonly resentBytes: number;
  /** Sentences about what is wrong. */
  readonly problems: readonly string[];
}

export interface MatrixResult {
  readonly seed: number;
  /** From the first byte of content to the end, uninterrupted. */
  readonly transferMs: number;
  readonly moments: readonly Moment[];
  readonly inside: number;
  readonly maxResentBytes: number;
  readonly medianResentBytes: number;
  readonly problems: readonly string[];
}

const oldBytes = 300_017;
const oldMode = 0o600;
const newMode = 0o640;
/** As long ago as that, in seconds since 1970: not now, when the copy is made. */
const newTime = 1_600_000_000.123_456;
const readerMs = 20;

/** Runs one row of the matrix: one victim, one direction, all moments. */
export async function killMatrix(settings: MatrixSettings): Promise<MatrixResult> {
  const { victim, direction, sizeBytes, moments: count, lanes, where } = settings;
  const folder = await tempFolder(where);
  try {
    const stages = await Promise.all(
      Array.from({ length: lanes }, (_, lane) => Stage.set(folder, settings, lane)),
    );
    try {
      let transferMs = await (stages[0] as Stage).measure();
      const random = randomOf(`${victim} ${direction}`);
      // One in each part of the time, anywhere within it: evenly spread, and still random.
      const drawn = Array.from({ length: count }, (_, i) => (i + random()) / count);
      const again = [...drawn];
      const moments: Moment[] = [];
      await Promise.all(
        stages.map(async (stage) => {
          for (let share = drawn.pop(); share !== undefined; share = drawn.pop()) {
            const moment = await stage.interrupt(share * transferMs);
            moments.push(moment);
            if (moment.inside) continue;
            // The machine is quicker than it was: the next moments are drawn over its new time.
            transferMs = await stage.measure();
            if (again.pop() !== undefined) drawn.push(share);
          }
        }),
      );
      return summed(moments, transferMs, sizeBytes);
    } finally {
      await Promise.all(stages.map((stage) => stage.strike()));
    }
  } finally {
    await folder.remove();
  }
}

function summed(moments: readonly Moment[], transferMs: number, sizeBytes: number): MatrixResult {
  const resent = moments.map(({ resentBytes }) => resentBytes).sort((a, b) => a - b);
  return {
    seed,
    transferMs,
    moments,
    inside: moments.filter(({ inside }) => inside).length,
    maxResentBytes: resent.at(-1) ?? sizeBytes,
    medianResentBytes: resent[Math.floor(resent.length / 2)] ?? sizeBytes,
    problems: moments.flatMap(({ problems, atMs }) =>
      problems.map((problem) => `at ${Math.round(atMs)} ms: ${problem}`),
    ),
  };
}

/** One line for people. */
export function matrixLine(
  { victim, direction }: Pick<MatrixSettings, 'victim' | 'direction'>,
  result: MatrixResult,
): string {
  const { moments, inside, transferMs, maxResentBytes, medianResentBytes } = result;
  const mib = (bytes: number): string => (bytes / MiB).toFixed(1);
  return `kill -9 of ${victim}, ${direction}: ${inside} of ${moments.length} inside ${Math.round(transferMs)} ms, resent at most ${mib(maxResentBytes)} MiB, in the median ${mib(medianResentBytes)} MiB (FERRY_TEST_SEED=${result.seed})`;
}

/** A daemon, a proxy, and the two ends of a transfer. */
class Stage {
  readonly #settings: MatrixSettings;
  readonly #served: string;
  readonly #local: string;
  readonly #oldContent: Buffer = randomBytes('old', oldBytes);
  #daemon: DaemonProcess;
  readonly #proxy: Proxy;
  #count = 0;

  private constructor(
    settings: MatrixSettings,
    served: string,
    local: string,
    daemon: DaemonProcess,
    proxy: Proxy,
  ) {
    this.#settings = settings;
    this.#served = served;
    this.#local = local;
    this.#daemon = daemon;
    this.#proxy = proxy;
  }

  static async set(folder: TempFolder, settings: MatrixSettings, lane: number): Promise<Stage> {
    const [served, local] = [folder.at(`served-${lane}`), folder.at(`local-${lane}`)];
    await Promise.all([mkdir(served), mkdir(local)]);
    const daemon = await startDaemon({ folder: served });
    const stage = new Stage(settings, served, local, daemon, await Proxy.start(daemon.port));
    await writeRandomFile(stage.#source, settings.sizeBytes, 'new');
    await chmod(stage.#source, newMode);
    await utimes(stage.#source, newTime, newTime);
    return stage;
  }

  get #isUpload(): boolean {
    return this.#settings.direction === 'up';
  }

  get #source(): string {
    return `${this.#isUpload ? this.#local : this.#served}/source`;
  }

  #target(name: string): string {
    return `${this.#isUpload ? this.#served : this.#local}/${name}`;
  }

  #content(): number {
    return this.#proxy.contentBytes(this.#settings.direction);
  }

  /** Starts the command: the same one each time. */
  #start(name: string): FerryProcess {
    const { rate } = this.#settings;
    const limit = rate === undefined ? [] : ['--bwlimit', rate];
    // A client that outlives its daemon gives up at once, so that the same command is run again.
    const options = ['--json', '--retries', '0', ...limit];
    return startFerry(
      this.#isUpload
        ? ['upload', ...options, this.#source, this.#proxy.url(name)]
        : ['download', ...options, this.#proxy.url('source'), this.#target(name)],
    );
  }

  /**
   * Milliseconds from the first content to the end, uninterrupted. A daemon that sends is through when
   * its last content has left: to kill it later interrupts nothing.
   */
  async measure(): Promise<number> {
    const before = this.#content();
    const name = `measured-${this.#count}`;
    const ferry = this.#start(name);
    await until('content flows', () => this.#content() > before);
    const startedAtMs = performance.now();
    const { victim, sizeBytes } = this.#settings;
    if (victim === 'daemon' && !this.#isUpload) {
      await until('all content passed', () => this.#content() >= before + sizeBytes);
    } else await ferry.result;
    const tookMs = performance.now() - startedAtMs;
    const { code, stderr } = await ferry.result;
    if (code !== 0) throw new Error(`The uninterrupted run failed: ${stderr}`);
    await rm(this.#target(name));
    return tookMs;
  }

  async interrupt(atMs: number): Promise<Moment> {
    this.#count += 1;
    const name = `file-${this.#count}`;
    const target = this.#target(name);
    // Every other time the file replaces one.
    const replaces = this.#count % 2 === 0;
    if (replaces) await writeFile(target, this.#oldContent, { mode: oldMode });
    const reader = new NameReader(target, replaces ? this.#oldContent : undefined, this.#source);
    try {
      const { sizeBytes } = this.#settings;
      const before = this.#content();
      const first = await this.#killedRun(name, atMs);
      const firstBytes = this.#content() - before;
      if (this.#settings.victim !== 'client') {
        this.#daemon = await startDaemon({ folder: this.#served, port: this.#daemon.port });
      }
      const second = await this.#start(name).result;
      const secondBytes = this.#content() - before - firstBytes;
      const problems = await this.#problems(target, second, secondBytes);
      problems.push(...(await reader.stop()));
      const inside = first.summary?.exitCode !== 0 && firstBytes > 0;
      return {
        atMs,
        inside,
        resentBytes: Math.max(0, firstBytes + secondBytes - sizeBytes),
        problems,
      };
    } finally {
      await reader.stop();
      await rm(target, { force: true });
    }
  }

  /** Runs the command until its moment; settles when everything that was sent has passed. */
  async #killedRun(name: string, atMs: number): Promise<FerryResult> {
    const { victim } = this.#settings;
    const before = this.#content();
    const ferry = this.#start(name);
    let ended = false;
    const result = ferry.result.finally(() => {
      ended = true;
    });
    await until('content flows', () => ended || this.#content() > before);
    await Promise.race([sleep(atMs), result]);
    if (victim !== 'daemon') ferry.kill('SIGKILL');
    if (victim !== 'client') await this.#daemon.kill9();
    const killed = await result;
    await until('connections end', () => this.#proxy.connections.every((link) => !link.isOpen));
    return killed;
  }

  async #problems(target: string, run: FerryResult, sentBytes: number): Promise<string[]> {
    if (run.code !== 0) return [`the same command exits ${run.code}: ${said(run)}`];
    const found = await differences(this.#source, target);
    const told = run.summary?.bytesSent;
    if (told !== sentBytes) found.push(`${sentBytes} bytes crossed, bytesSent is ${told}`);
    const staged = await readdir(`${this.#served}/.chunkferry`);
    if (staged.some((name) => name !== 'lock')) found.push(`staging keeps ${staged.join(', ')}`);
    const left = await readdir(this.#local);
    if (left.includes('.chunkferry')) {
      const kept = await readdir(`${this.#local}/.chunkferry`);
      found.push(`the client leaves its staging folder with ${kept.join(', ')}`);
    }
    return found;
  }

  async strike(): Promise<void> {
    await this.#daemon.stop();
    await this.#proxy.close();
  }
}

function said({ events, stderr }: FerryResult): string {
  const errors = events
    .filter(({ type }) => type === 'error')
    .map((event) => JSON.stringify(event));
  return [...errors, stderr].join(' ');
}

/** Looks at a name again and again, as any other program might. */
class NameReader {
  readonly #path: string;
  readonly #oldContent: Buffer | undefined;
  /** A file with the new content. */
  readonly #newPath: string;
  readonly #problems = new Set<string>();
  readonly #reading: Promise<void>;
  #stopped = false;

  constructor(file: string, oldContent: Buffer | undefined, newPath: string) {
    this.#path = file;
    this.#oldContent = oldContent;
    this.#newPath = newPath;
    this.#reading = this.#read();
  }

  async #read(): Promise<void> {
    let isNew = false;
    while (!this.#stopped) {
      const shown = await this.#look(isNew);
      if (isNew && shown !== 'new') this.#problems.add('the name shows the new content no longer');
      else if (shown === 'other') this.#problems.add('the name shows what is neither old nor new');
      isNew = shown === 'new';
      await sleep(readerMs);
    }
  }

  /** What the name shows; the new content is compared once only. */
  async #look(wasNew: boolean): Promise<'old' | 'new' | 'other'> {
    const handle = await open(this.#path).catch((error: NodeJS.ErrnoException) => {
      if (error.code === 'ENOENT') return undefined;
      throw error;
    });
    if (handle === undefined) return this.#oldContent === undefined ? 'old' : 'other';
    try {
      const { size } = await handle.stat();
      if (size === this.#oldContent?.length) {
        return this.#oldContent.equals(await handle.readFile()) ? 'old' : 'other';
      }
      if (size !== (await stat(this.#newPath)).size) return 'other';
      if (wasNew) return 'new';
    } finally {
      await handle.close();
    }
    // It shows the new file, and no other can come.
    return (await firstDifference(this.#path, this.#newPath)) === undefined ? 'new' : 'other';
  }

  async stop(): Promise<string[]> {
    this.#stopped = true;
    await this.#reading;
    return [...this.#problems];
  }
}
