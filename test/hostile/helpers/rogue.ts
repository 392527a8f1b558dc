/** A daemon that has the right token, and says whatever it is told to. */
import { mkdir, readFile } from 'node:fs/promises';
import net from 'node:net';
import type { ExecutionContext } from 'ava';
import { testToken } from '../../helpers/token.ts';
import { type FerryResult, type FerrySettings, startFerry } from '../../system/helpers/ferry.ts';
import { type TempFolder, tempFolder } from '../../system/helpers/files.ts';
import * as bodies from './bodies.ts';
import { changes, pictureOf } from './ground.ts';
import { Peer } from './peer.ts';
import { Cursor, type FrameName, type HeardFrame } from './wire.ts';

/** What it says to a frame of a request. */
export type Answer = (guest: Peer, heard: HeardFrame) => void | Promise<void>;
/** Answers by the type of what was heard; nothing is said to others. */
export type Answers = Partial<Record<FrameName, Answer>>;

class Rogue {
  readonly #server: net.Server;
  readonly #guests = new Set<Peer>();
  /** Everything that was heard in requests. */
  readonly heard: HeardFrame[] = [];

  private constructor(answers: Answers) {
    this.#server = net.createServer({ noDelay: true }, (socket) => {
      const guest = new Peer(socket);
      this.#guests.add(guest);
      void this.#serve(guest, answers).catch(() => socket.destroy());
    });
  }

  static async start(answers: Answers): Promise<Rogue> {
    const rogue = new Rogue(answers);
    await new Promise<void>((resolve) => void rogue.#server.listen(0, '127.0.0.1', resolve));
    return rogue;
  }

  async #serve(guest: Peer, answers: Answers): Promise<void> {
    await guest.answerGreeting({ features: ['page-digests'] });
    for (;;) {
      const heard = await guest.nextRequestFrame();
      if (heard === undefined) return;
      this.heard.push(heard);
      if (heard.name !== undefined) await answers[heard.name]?.(guest, heard);
    }
  }

  url(path = ''): string {
    const { port } = this.#server.address() as net.AddressInfo;
    return `ferry+tcp://127.0.0.1:${port}/${path}`;
  }

  async close(): Promise<void> {
    for (const { socket } of this.#guests) socket.destroy();
    await new Promise<void>((resolve) => void this.#server.close(() => resolve()));
  }
}

// ---- answers of an honest daemon -------------------------------------------------------------------

export const say =
  (name: FrameName, ...payloads: readonly Uint8Array[]): Answer =>
  (guest, { request }) => {
    for (const payload of payloads) guest.say(name, request, payload);
  };

export const isFolder: Answer = say(
  'entry',
  bodies.entry({ path: '', kind: bodies.kinds.directory }),
);
export const isFile = (size: number): Answer => say('entry', bodies.entry({ path: '', size }));
export const lists = (...entries: readonly bodies.Entry[]): Answer =>
  say('entries', bodies.entriesPage(entries));

export const pathOf = ({ payload }: HeardFrame): string => new Cursor(payload).text();

/** Offers the content under the path that was asked for. */
export const offers =
  (content: Uint8Array, more: Partial<bodies.Offer> = {}): Answer =>
  (guest, heard) => {
    const offer = { path: pathOf(heard), size: content.length, operation: undefined, ...more };
    guest.say('offer', heard.request, bodies.offer(offer));
  };

/** Sends all of a small content, and its end. */
export const sends =
  (content: Uint8Array, proved = bodies.digest(content)): Answer =>
  (guest, heard) => {
    const { round, ranges } = bodies.readWant(heard);
    for (const [start, end] of ranges) {
      for (
        let i = Number(start);
        i < Number(end) && i * bodies.chunkBytes < content.length;
        i += 1
      ) {
        const slice = content.subarray(i * bodies.chunkBytes, (i + 1) * bodies.chunkBytes);
        guest.write(bodies.chunk(heard.request, i, slice));
      }
    }
    guest.say('end', heard.request, bodies.end(round, content.length, proved));
  };

// ---- the real client before it ---------------------------------------------------------------------

export interface Visit extends FerryResult {
  /** Names that appeared or changed in the folder that it downloads to. */
  readonly made: readonly string[];
  /** The most memory that was seen. */
  readonly peakBytes: number;
}

const unsafe =
  /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]/u;

/** Runs the real client in a folder beside a canary; whatever it meets, the canary lives. */
export class Visitor {
  readonly folder: TempFolder;

  private constructor(folder: TempFolder) {
    this.folder = folder;
  }

  static async arrive(): Promise<Visitor> {
    const visitor = new Visitor(await tempFolder());
    await mkdir(visitor.folder.at('canary', 'inner'), { recursive: true });
    return visitor;
  }

  target(...names: readonly string[]): string {
    return this.folder.at('target', ...names);
  }

  /** `ferry ...args` against a daemon with these answers. */
  async visits(
    t: ExecutionContext,
    answers: Answers,
    args: (url: (path?: string) => string) => readonly string[],
    json = true,
    settings: FerrySettings = {},
  ): Promise<Visit> {
    const rogue = await Rogue.start(answers);
    t.teardown(() => rogue.close());
    await mkdir(this.target(), { recursive: true });
    const before = await pictureOf(this.target());
    const canary = await pictureOf(this.folder.at('canary'));
    const [command = '', ...rest] = args((path) => rogue.url(path));
    const always = json ? ['--json', '--retries', '0'] : ['--retries', '0'];
    const ferry = startFerry([command, ...always, ...rest], settings);
    let peakBytes = 0;
    const watch = setInterval(() => {
      void readFile(`/proc/${ferry.pid}/status`, 'utf8').then(
        (status) => {
          const kib = Number(/VmHWM:\s+(\d+)/.exec(status)?.[1] ?? 0);
          peakBytes = Math.max(peakBytes, kib * 1024);
        },
        () => undefined,
      );
    }, 20);
    const result = await ferry.result;
    clearInterval(watch);
    await rogue.close();
    t.notRegex(result.stderr, /^\s+at /m, 'no stack');
    t.false(result.stderr.includes(testToken), 'no token');
    t.notRegex(result.stderr, unsafe, 'escaped');
    if (json) t.notRegex(result.stdout.toString(), unsafe, 'JSON is escaped');
    t.deepEqual(changes(canary, await pictureOf(this.folder.at('canary'))), [], 'the canary lives');
    t.is(result.summary?.exitCode ?? result.code, result.code);
    return { ...result, made: changes(before, await pictureOf(this.target())), peakBytes };
  }
}
