/** Two real connections joined by a link, and peers that speak by hand. */
import { randomBytes } from 'node:crypto';
import type { Duplex } from 'node:stream';
import test from 'ava';
import { pino } from 'pino';
import type { Benches } from '../../../daemon/benches.ts';
import { type Grant, scopes } from '../../../daemon/grant.ts';
import { MemoryRegistry, type TransferRegistry } from '../../../daemon/registry.ts';
import { Service } from '../../../daemon/serve.ts';
import { Shares } from '../../../daemon/shares.ts';
import { checksum } from '../../../protocol/checksum.ts';
import { FrameDecoder } from '../../../protocol/decoder.ts';
import type { ToldLimits } from '../../../protocol/frames/connection.ts';
import {
  type ControlFrame,
  chunkCode,
  encodeFrame,
  type Frame,
  type FrameOf,
  type FrameType,
} from '../../../protocol/frames.ts';
import { encodeHeader, headerBytes, zeroFlag } from '../../../protocol/header.ts';
import { encodePreamble, preambleBytes, versions } from '../../../protocol/preamble.ts';
import { type Credential, credentialOf, proofOf } from '../../../transfer/authentication.ts';
import { BufferPool } from '../../../transfer/buffer-pool.ts';
import { unbound } from '../../../transfer/channel.ts';
import { Connection, type ConnectionOptions } from '../../../transfer/connection.ts';
import { newHello } from '../../../transfer/greeting.ts';
import { InputBuffer } from '../../../transfer/input-buffer.ts';
import { MemoryStorage } from '../../../transfer/memory-storage.ts';
import type { Storage } from '../../../transfer/storage.ts';
import { type Link, type LinkOptions, newLink } from './link.ts';

const opened = new Set<Connection>();
// Those of a test that failed would keep the process alive.
test.after.always('connections are closed', () => {
  for (const connection of opened) connection.close();
});

/** Makes a connection of one end, as the daemon does with a socket. */
export function connectionOf(
  stream: Duplex,
  options: ConnectionOptions,
  pool: BufferPool = new BufferPool(),
): Connection {
  const input = new InputBuffer(pool);
  const connection = new Connection(stream, input, options);
  opened.add(connection);
  void connection.closed.then(() => opened.delete(connection));
  input.onResume = () => stream.resume();
  stream.once('close', () => input.closed());
  stream.on('data', (bytes: Uint8Array) => {
    if (!input.push(bytes)) stream.pause();
  });
  return connection;
}

/** Tests don't depend on how fast this machine is: those about time set their own. */
const patient = { greetingMs: 1e8, heartbeatMs: 1e8, silenceMs: 1e8, progressMs: 1e8 };

/** A token that may do everything. */
export const testToken: Uint8Array = new Uint8Array(32).fill(7);
export const testGrant: Grant = {
  ...credentialOf(testToken),
  name: 'test',
  scopes: new Set(scopes),
  shares: undefined,
  prefix: '',
  expiresAtMs: undefined,
  quotaBytes: undefined,
  maxConnections: undefined,
  bytesPerSecond: undefined,
};

/** Names a run of a program, an operation, a transfer. */
export const newId = (): Uint8Array => new Uint8Array(randomBytes(16));
export const newSession = (): Uint8Array => newId();

/** A daemon without its socket: it outlives the links that lead to it. */
export class TestDaemon {
  readonly storage: Storage;
  readonly service: Service;
  /** Of whoever connects from now on. */
  grant: Grant = testGrant;
  /** Lines of its log. */
  readonly log: string[] = [];
  readonly #session = newSession();

  constructor(
    storage: Storage = new MemoryStorage(),
    {
      shares,
      registry = new MemoryRegistry(),
      benches,
    }: { shares?: Shares; registry?: TransferRegistry; benches?: Benches } = {},
  ) {
    this.storage = storage;
    const served = shares ?? new Shares(new Map([['', storage]]));
    const log = pino(
      { level: 'trace', base: null },
      { write: (line: string) => void this.log.push(line) },
    );
    this.service = new Service(served, registry, log, { ...(benches && { benches }) });
  }

  accept(
    stream: Duplex,
    options: Partial<ConnectionOptions> = {},
    told: Partial<ToldLimits> = {},
  ): Connection {
    const { grant } = this;
    return connectionOf(stream, {
      ...patient,
      side: 'daemon',
      hello: newHello(this.#session, told),
      onRequest: (request, frame) => this.service.begin(request, frame, { address: 'test', grant }),
      ...options,
    });
  }
}

export interface JoinOptions extends LinkOptions {
  readonly session?: Uint8Array;
  readonly clientLimits?: Partial<ToldLimits>;
  readonly daemonLimits?: Partial<ToldLimits>;
  readonly clientOptions?: Partial<ConnectionOptions>;
  readonly daemonOptions?: Partial<ConnectionOptions>;
}

export interface Joined {
  readonly link: Link;
  readonly client: Connection;
  readonly daemon: Connection;
}

/** A client's connection to `daemon`. */
export function join(daemon: TestDaemon, options: JoinOptions = {}): Joined {
  const link = newLink(options);
  const { session = newSession(), clientLimits, clientOptions } = options;
  return {
    link,
    daemon: daemon.accept(link.daemon, options.daemonOptions, options.daemonLimits),
    client: connectionOf(link.client, {
      ...patient,
      side: 'client',
      hello: newHello(session, clientLimits),
      ...clientOptions,
    }),
  };
}

/**
 * Header and payload of a chunk; `damage` flips a bit of the payload after its checksum was taken. With
 * `zero` the payload stays here.
 */
export function chunkFrame(
  request: number,
  index: number,
  payload: Uint8Array,
  { damage = false, zero = false }: { damage?: boolean; zero?: boolean } = {},
): Uint8Array {
  const length = zero ? 0 : payload.length;
  const bytes = new Uint8Array(headerBytes + length);
  bytes.set(payload.subarray(0, length), headerBytes);
  const header = { type: chunkCode, flags: zero ? zeroFlag : 0, length, request, index };
  const view = new DataView(bytes.buffer);
  encodeHeader({ ...header, checksum: checksum(payload) }, view, 0);
  if (damage) bytes[headerBytes] = (bytes[headerBytes] as number) ^ 1;
  return bytes;
}

/** A peer that says what it is told to, right or wrong, and remembers what it heard. */
export class RawPeer {
  readonly stream: Duplex;
  readonly heard: Frame[] = [];
  /** Everything that came, whole. */
  bytes: Buffer = Buffer.alloc(0);
  /** How the stream ended: with an error, or orderly. */
  readonly ended: Promise<Error | undefined>;
  readonly #decoder = new FrameDecoder();
  #parsedBytes = preambleBytes;
  #wakes: (() => void)[] = [];

  constructor(stream: Duplex) {
    this.stream = stream;
    stream.on('data', (bytes: Buffer) => this.#hear(bytes));
    this.ended = new Promise((resolve) => {
      let failure: Error | undefined;
      stream.on('error', (error) => {
        failure = error;
      });
      stream.on('close', () => {
        resolve(failure);
        this.#wake();
      });
      stream.on('end', () => {
        resolve(failure);
        this.#wake();
      });
    });
  }

  #wake(): void {
    for (const wake of this.#wakes.splice(0)) wake();
  }

  #hear(bytes: Buffer): void {
    this.bytes = Buffer.concat([this.bytes, bytes]);
    for (;;) {
      // The decoder wants an array of its own, with its view.
      const rest = new Uint8Array(this.bytes.subarray(this.#parsedBytes));
      const view = new DataView(rest.buffer);
      const decoded = this.#decoder.next(rest, view, 0, rest.length);
      if (decoded === undefined) break;
      this.#parsedBytes += decoded.length;
      this.heard.push(decoded.frame);
    }
    this.#wake();
  }

  say(...frames: (ControlFrame | Uint8Array)[]): void {
    const parts = frames.map((frame) => (frame instanceof Uint8Array ? frame : encodeFrame(frame)));
    this.stream.write(Buffer.concat(parts));
  }

  greet(told: Partial<ToldLimits> = {}, session: Uint8Array = newSession()): void {
    this.say(encodePreamble(versions), { type: 'hello', request: 0, ...newHello(session, told) });
  }

  /** Greets and proves the token as a client on plain TCP does; what it heard by then is dropped. */
  async prove({ id, key }: Credential, session: Uint8Array = newSession()): Promise<void> {
    const hello = { type: 'hello', request: 0, ...newHello(session), tokenId: id } as const;
    const frame = encodeFrame({ ...hello, binding: 'none' });
    this.say(encodePreamble(versions), frame);
    const client = Buffer.concat([encodePreamble(versions), frame.subarray(headerBytes)]);
    const theirs = encodeFrame(await this.next('hello')).subarray(headerBytes);
    const daemon = Buffer.concat([encodePreamble(versions), theirs]);
    await this.next('proof');
    const mac = proofOf(key, 'client', { ...unbound, client, daemon });
    this.say({ type: 'proof', request: 0, mac });
  }

  /** Waits for the next frame of this type; what came before it is passed over. */
  async next<T extends FrameType>(type: T): Promise<FrameOf<T>> {
    for (;;) {
      while (this.heard.length > 0) {
        const frame = this.heard.shift() as Frame;
        if (frame.type === type) return frame as FrameOf<T>;
        if (frame.type === 'error') {
          throw new Error(`Heard an error instead of ${type}: ${frame.failure}: ${frame.message}`);
        }
      }
      if (this.stream.destroyed || this.stream.readableEnded) {
        throw new Error(`The stream ended before a ${type} came.`);
      }
      await new Promise<void>((wake) => this.#wakes.push(wake));
    }
  }
}

/** A hand-spoken client at a real daemon. */
export function rawClient(
  daemon: TestDaemon,
  options: JoinOptions = {},
): {
  peer: RawPeer;
  connection: Connection;
  link: Link;
} {
  const link = newLink(options);
  const connection = daemon.accept(link.daemon, options.daemonOptions, options.daemonLimits);
  return { peer: new RawPeer(link.client), connection, link };
}

/** A hand-spoken daemon for a real client. */
export function rawDaemon(options: JoinOptions = {}): {
  peer: RawPeer;
  connection: Connection;
  link: Link;
} {
  const link = newLink(options);
  const { session = newSession(), clientLimits, clientOptions } = options;
  const connection = connectionOf(link.client, {
    ...patient,
    side: 'client',
    hello: newHello(session, clientLimits),
    ...clientOptions,
  });
  return { peer: new RawPeer(link.daemon), connection, link };
}
