/**
 * Many clients that do random things to a few names of one daemon, while their connections are cut.
 * What they saw goes into a history, which is checked in the end.
 */
import { mkdir, readdir, readFile, utimes, writeFile } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import {
  connect,
  defaultTransferOptions,
  type Ferry,
  FerryError,
  type FerryEvent,
  parseRemote,
} from '../../../client/index.ts';
import { testConnect } from '../../helpers/token.ts';
import { startDaemon } from './daemon.ts';
import { randomBytes, tempFolder } from './files.ts';
import { type Content, History } from './history.ts';
import { Proxy } from './proxy.ts';
import { randomOf, seed } from './seed.ts';
import { quickFolder } from './wait.ts';

export interface CrowdSettings {
  readonly clients: number;
  readonly durationMs: number;
}

export interface CrowdResult {
  readonly operations: number;
  readonly unknown: number;
  readonly cuts: number;
  readonly reads: number;
  readonly problems: readonly string[];
}

const names = ['a', 'b', 'c', 'd/a', 'd/b', 'e/a', 'e/b', 'e/c'];
const folders = ['d', 'e'];
const largestBytes = 300_000;
const proxies = 8;
const cutEveryMs = 60;
/** A slow machine goes on until there is a history worth checking. */
const operationsLeast = 300;

const marker = 12;

/** A content that tells its number, and is right in every byte. */
function contentOf(number: number): Buffer {
  const bytes = randomBytes(`${seed} ${number}`, sizeOf(number));
  bytes.write(String(number).padStart(marker, '0'), 0, 'latin1');
  return bytes;
}

function sizeOf(number: number): number {
  return marker + ((Math.imul(number, 0x9e37_79b1) >>> 0) % largestBytes);
}

/** Which content these bytes are; throws when they are none, whole. */
function numberOf(bytes: Buffer): number {
  const number = Number(bytes.toString('latin1', 0, marker));
  if (!Number.isSafeInteger(number) || !contentOf(number).equals(bytes)) {
    throw new Error(`${bytes.length} bytes are no whole content`);
  }
  return number;
}

/** Failures after which nothing has changed, for sure. */
const refusals = new Set(['not-found', 'exists', 'wrong-kind', 'not-empty', 'busy']);

class Crowd {
  readonly history = new History();
  readonly problems: string[] = [];
  operations = 0;
  unknown = 0;
  #contents = 0;

  nextContent(): number {
    this.#contents += 1;
    return this.#contents;
  }
}

class Client {
  readonly #crowd: Crowd;
  readonly #ferry: Ferry;
  readonly #folder: string;
  readonly #random: () => number;

  constructor(crowd: Crowd, ferry: Ferry, folder: string, random: () => number) {
    this.#crowd = crowd;
    this.#ferry = ferry;
    this.#folder = folder;
    this.#random = random;
  }

  #any<T>(of: readonly T[]): T {
    return of[Math.floor(this.#random() * of.length)] as T;
  }

  /** One thing, whichever it is. */
  async act(): Promise<void> {
    this.#crowd.operations += 1;
    const name = this.#any(names);
    const act = this.#any([
      () => this.#upload(name),
      () => this.#upload(name),
      () => this.#download(name),
      () => this.#download(name),
      () => this.#stat(name),
      () => this.#remove(name),
      () => this.#rename(name, this.#any(names)),
      () => this.#mkdir(this.#any(folders)),
      () => this.#list(),
    ]);
    await act();
  }

  /** Runs a change of names; `changes` tells what it does when it is done. */
  async #change(
    changes: readonly { readonly name: string; readonly content: Content | 'moved' }[],
    run: () => Promise<string | undefined>,
  ): Promise<void> {
    const from = performance.now();
    const failure = await run();
    if (failure !== undefined && refusals.has(failure)) return;
    const outcome = failure === undefined ? 'done' : 'unknown';
    if (outcome === 'unknown') this.#crowd.unknown += 1;
    const to = outcome === 'done' ? performance.now() : Infinity;
    for (const change of changes) this.#crowd.history.changed({ ...change, outcome, from, to });
  }

  async #upload(name: string): Promise<void> {
    const content = this.#crowd.nextContent();
    const file = `${this.#folder}/up`;
    await writeFile(file, contentOf(content));
    // Two contents of one size must not be taken for one.
    await utimes(file, content, content);
    await this.#change([{ name, content }], () =>
      failureOf(
        this.#ferry.upload(
          [{ localPath: file }],
          { path: name, isFolder: false },
          defaultTransferOptions,
        ),
      ),
    );
  }

  async #download(name: string): Promise<void> {
    const file = `${this.#folder}/down-${this.#crowd.operations}`;
    const from = performance.now();
    const failure = await failureOf(
      this.#ferry.download([{ path: name, isFolder: false }], file, defaultTransferOptions),
    );
    const to = performance.now();
    if (failure === 'not-found') {
      this.#crowd.history.read({ name, content: undefined, from, to });
    }
    if (failure !== undefined) return;
    try {
      this.#crowd.history.read({ name, content: numberOf(await readFile(file)), from, to });
    } catch (error) {
      this.#crowd.problems.push(`${name}: ${(error as Error).message}`);
    }
  }

  async #stat(name: string): Promise<void> {
    const from = performance.now();
    try {
      const { mtimeNs, size } = await this.#ferry.stat(name);
      const content = Number(mtimeNs / 1_000_000_000n);
      if (sizeOf(content) !== size) this.#crowd.problems.push(`${name} has the size of another`);
      this.#crowd.history.read({ name, content, from, to: performance.now() });
    } catch (error) {
      if (nameOf(error) !== 'not-found') return;
      this.#crowd.history.read({ name, content: undefined, from, to: performance.now() });
    }
  }

  #remove(name: string): Promise<void> {
    return this.#change([{ name, content: undefined }], () =>
      outcomeOf(this.#ferry.remove(name, { recursive: false })),
    );
  }

  async #rename(name: string, to: string): Promise<void> {
    if (name === to) return;
    const changes = [
      { name, content: undefined },
      { name: to, content: 'moved' },
    ] as const;
    await this.#change(changes, () => outcomeOf(this.#ferry.rename(name, to)));
  }

  async #mkdir(path: string): Promise<void> {
    await outcomeOf(this.#ferry.mkdir(path, { parents: true }));
  }

  async #list(): Promise<void> {
    const from = performance.now();
    const found = new Map<string, number>();
    try {
      for await (const entry of this.#ferry.list('', { recursive: true })) {
        if (entry.kind === 'file') found.set(entry.path, Number(entry.mtimeNs / 1_000_000_000n));
      }
    } catch {
      return; // Broken off, a listing says nothing.
    }
    const to = performance.now();
    for (const name of names)
      this.#crowd.history.read({ name, content: found.get(name), from, to });
  }
}

function nameOf(error: unknown): string {
  if (error instanceof FerryError) return error.failure;
  throw error;
}

async function outcomeOf(run: Promise<void>): Promise<string | undefined> {
  try {
    await run;
    return undefined;
  } catch (error) {
    return nameOf(error);
  }
}

/** How a transfer of one file ended: undefined when it is stored. */
async function failureOf(events: AsyncIterable<FerryEvent>): Promise<string | undefined> {
  let failure: string | undefined;
  for await (const event of events) if (event.type === 'error') failure = event.failure;
  return failure;
}

export async function playCrowd({ clients, durationMs }: CrowdSettings): Promise<CrowdResult> {
  const folder = await tempFolder(quickFolder);
  const served = folder.at('served');
  await mkdir(served);
  for (const name of folders) await mkdir(`${served}/${name}`);
  const daemon = await startDaemon({ folder: served });
  const ways = await Promise.all(Array.from({ length: proxies }, () => Proxy.start(daemon.port)));
  const crowd = new Crowd();
  const random = randomOf('crowd');
  const descriptors = async (): Promise<number> => (await readdir(`/proc/${daemon.pid}/fd`)).length;
  let cuts = 0;
  let isOver = false;
  try {
    const before = await descriptors().catch(() => 0);
    let connected = 0;
    let onConnected = (): void => undefined;
    const allConnected = new Promise<void>((resolve) => {
      onConnected = resolve;
    });
    const cutting = (async () => {
      await allConnected;
      while (!isOver) {
        await sleep(cutEveryMs * 2 * random());
        (ways[Math.floor(random() * proxies)] as Proxy).cutNow(random() < 0.5 ? 'reset' : 'end');
        cuts += 1;
      }
    })();
    await Promise.all(
      Array.from({ length: clients }, async (_, i) => {
        const own = folder.at(`client-${i}`);
        await mkdir(own);
        // Who does not try again does not learn what became of a change.
        const retries = i % 4 === 0 ? 0 : testConnect.retries;
        const way = ways[i % proxies] as Proxy;
        const ferry = await connect(parseRemote(way.url()), { ...testConnect, retries });
        connected += 1;
        if (connected === clients) onConnected();
        await allConnected;
        const client = new Client(crowd, ferry, own, randomOf(`client ${i}`));
        const untilMs = performance.now() + durationMs;
        while (performance.now() < untilMs || crowd.operations < operationsLeast)
          await client.act();
        await ferry.close();
      }),
    );
    isOver = true;
    await cutting;
    await lookAtLast(crowd, served);
    await until2s(async () => (await descriptors().catch(() => 0)) <= before + 4, crowd);
    const ended = await daemon.stop();
    if (ended.code !== 0) crowd.problems.push(`the daemon exits ${ended.code}`);
    const { operations, unknown, history, problems } = crowd;
    const all = [...problems, ...history.problems()];
    return { operations, unknown, cuts, reads: history.readings.length, problems: all };
  } finally {
    isOver = true;
    await daemon.kill9();
    await Promise.all(ways.map((way) => way.close()));
    await folder.remove();
  }
}

/** When all is quiet, what lies on the disk is read once more. */
async function lookAtLast({ history, problems }: Crowd, served: string): Promise<void> {
  for (const name of names) {
    const from = performance.now();
    try {
      const bytes = await readFile(`${served}/${name}`).catch(() => undefined);
      const content = bytes === undefined ? undefined : numberOf(bytes);
      history.read({ name, content, from, to: from });
    } catch (error) {
      problems.push(`at last ${name}: ${(error as Error).message}`);
    }
  }
}

/** Descriptors are back where they were two seconds after all have gone. */
async function until2s(isTrue: () => Promise<boolean>, { problems }: Crowd): Promise<void> {
  const deadline = performance.now() + 2000;
  while (!(await isTrue())) {
    if (performance.now() > deadline) {
      problems.push('the daemon keeps descriptors open');
      return;
    }
    await sleep(20);
  }
}
