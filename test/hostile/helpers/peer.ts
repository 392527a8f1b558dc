/** A client that knows only docs/protocol.md, and says whatever it is told to. */
import { randomBytes } from 'node:crypto';
import net from 'node:net';
import type { Duplex } from 'node:stream';
import tls from 'node:tls';
import { testToken } from '../../helpers/token.ts';
import { type Failure, newId, readError } from './bodies.ts';
import { proof, tokenBytes, tokenId } from './token.ts';
import {
  cat,
  type FrameName,
  fields,
  frame,
  type HeardFrame,
  list,
  preamble,
  Splitter,
  text,
  u64,
} from './wire.ts';

export const knownToken: Buffer = tokenBytes(testToken);

export interface Hello {
  readonly session?: Uint8Array;
  readonly nonce?: Uint8Array;
  readonly features?: readonly string[];
  readonly limits?: Readonly<Record<string, bigint | number>>;
  readonly id?: Uint8Array | undefined;
  readonly binding?: string | undefined;
}

/** The payload of a `hello`. */
export function hello({ features = [], limits = {}, ...rest }: Hello = {}): Buffer {
  const { session = newId(), nonce = randomBytes(32), id, binding } = rest;
  const told = Object.entries(limits).map(([name, value]) => cat(text(name), u64(value)));
  return fields([
    [1, session],
    [2, nonce],
    [3, list(features.map((name) => text(name)))],
    [4, list(told)],
    [5, Buffer.from('hostile')],
    [6, id],
    [7, binding === undefined ? undefined : Buffer.from(binding)],
  ]);
}

export interface Greeting extends Hello {
  readonly token?: Uint8Array;
  readonly exporter?: Uint8Array;
  readonly preamble?: Uint8Array;
}

export class Peer {
  readonly socket: Duplex;
  /** Frames that nobody asked for yet. */
  readonly unread: HeardFrame[] = [];
  /** Every `error` of the connection, in order; one is what is allowed. */
  readonly failures: Failure[] = [];
  /** Texts of all errors, the requests' too. */
  readonly messages: string[] = [];
  heardBytes = 0;
  /** The proof that the daemon said. */
  daemonProof: Buffer | undefined;
  /** What both sides said before the proofs. */
  transcript: { client: Buffer; daemon: Buffer } | undefined;
  readonly ended: Promise<void>;
  readonly #splitter = new Splitter();
  readonly #waiting = new Set<() => void>();
  #isOver = false;
  #request = 0;
  /** Below TLS, and what a proof is bound to in it. */
  readonly #secured: { readonly link: net.Socket; readonly exporter: Uint8Array } | undefined;

  constructor(socket: Duplex, secured?: { readonly link: net.Socket; exporter: Uint8Array }) {
    this.socket = socket;
    this.#secured = secured;
    socket.on('data', (bytes: Buffer) => this.#hear(bytes));
    socket.on('error', () => undefined);
    this.ended = new Promise((resolve) => {
      socket.on('close', () => {
        this.#isOver = true;
        this.#wake();
        resolve();
      });
    });
  }

  /** Connects, and says nothing. */
  static async dial(port: number, localAddress = '127.0.0.1'): Promise<Peer> {
    const socket = net.connect({ host: '127.0.0.1', port, localAddress, noDelay: true });
    const peer = new Peer(socket);
    await new Promise<void>((resolve, reject) => {
      socket.once('connect', resolve);
      socket.once('error', reject);
    });
    return peer;
  }

  /** Connects with TLS, and says nothing in it. */
  static async dialSecure(port: number, localAddress = '127.0.0.1'): Promise<Peer> {
    const link = net.connect({ host: '127.0.0.1', port, localAddress, noDelay: true });
    const socket = tls.connect({
      socket: link,
      ALPNProtocols: ['chunkferry/1'],
      rejectUnauthorized: false,
    });
    await new Promise<void>((resolve, reject) => {
      socket.once('secureConnect', resolve);
      socket.once('error', reject);
    });
    const exporter = socket.exportKeyingMaterial(32, 'EXPORTER-Channel-Binding', Buffer.alloc(0));
    return new Peer(socket, { link, exporter });
  }

  get isOver(): boolean {
    return this.#isOver;
  }

  #hear(bytes: Buffer): void {
    this.heardBytes += bytes.length;
    for (const heard of this.#splitter.push(bytes)) {
      if (heard.name === 'error') {
        const failure = readError(heard);
        this.messages.push(failure.message);
        if (heard.request === 0) this.failures.push(failure);
      }
      if (heard.name === 'ping') this.say('pong', 0, heard.payload);
      else this.unread.push(heard);
    }
    this.#wake();
  }

  #wake(): void {
    for (const wake of this.#waiting) wake();
    this.#waiting.clear();
  }

  write(...parts: readonly Uint8Array[]): void {
    if (!this.socket.destroyed) this.socket.write(cat(...parts));
  }

  say(name: FrameName, request: number, payload?: Uint8Array): void {
    this.write(frame(name, request, payload));
  }

  newRequest(): number {
    this.#request += 1;
    return this.#request;
  }

  /** Opens a request; gives its id. */
  open(name: FrameName, payload: Uint8Array): number {
    const request = this.newRequest();
    this.say(name, request, payload);
    return request;
  }

  /** The next frame with one of these names, of a request if one is given; throws when none comes. */
  async next(wanted: FrameName | readonly FrameName[], request?: number): Promise<HeardFrame> {
    const names: readonly unknown[] = [wanted].flat();
    for (;;) {
      const place = this.unread.findIndex(
        (heard) => names.includes(heard.name) && heard.request === (request ?? heard.request),
      );
      if (place >= 0) return this.unread.splice(place, 1)[0] as HeardFrame;
      const failed = this.unread.find(
        (heard) => heard.name === 'error' && request !== undefined && heard.request === request,
      );
      if (failed !== undefined) {
        throw new Error(
          `The request failed without ${names.join(' or ')}: ${readError(failed).message}`,
        );
      }
      if (this.#isOver) {
        const why = this.messages.at(-1) ?? 'nothing';
        throw new Error(`The connection ended without ${names.join(' or ')}; heard: ${why}`);
      }
      await new Promise<void>((wake) => void this.#waiting.add(wake));
    }
  }

  /** Preamble and hello, then the proofs. */
  async greet(greeting: Greeting = {}): Promise<this> {
    const { token = knownToken, exporter = this.#secured?.exporter ?? Buffer.alloc(0) } = greeting;
    const { binding = this.#secured === undefined ? 'none' : 'exporter' } = greeting;
    const begun = greeting.preamble ?? preamble();
    const said = hello({ id: tokenId(token), ...greeting, binding });
    this.write(begun, frame('hello', 0, said));
    const { payload } = await this.next('hello');
    this.daemonProof = (await this.next('proof')).payload;
    const daemon = cat(this.#splitter.preamble ?? Buffer.alloc(0), payload);
    this.transcript = { client: cat(begun, said), daemon };
    this.say('proof', 0, proof(token, 'client', { binding, exporter, ...this.transcript }));
    return this;
  }

  /** The daemon's part of a greeting, for whoever plays one. */
  async answerGreeting({ token = knownToken, ...rest }: Greeting = {}): Promise<this> {
    const { payload } = await this.next('hello');
    const said = hello({ ...rest, binding: 'none' });
    const daemon = cat(preamble(), said);
    const client = cat(this.#splitter.preamble ?? Buffer.alloc(0), payload);
    const transcript = { binding: 'none', exporter: Buffer.alloc(0), client, daemon };
    this.write(preamble(), frame('hello', 0, said));
    this.say('proof', 0, proof(token, 'daemon', transcript));
    await this.next('proof');
    return this;
  }

  /** The next frame of any request; undefined when the connection is over. */
  async nextRequestFrame(): Promise<HeardFrame | undefined> {
    for (;;) {
      const place = this.unread.findIndex(({ request }) => request !== 0);
      if (place >= 0) return this.unread.splice(place, 1)[0];
      if (this.#isOver) return undefined;
      await new Promise<void>((wake) => void this.#waiting.add(wake));
    }
  }

  /** Whether the connection still serves. */
  async isServed(): Promise<boolean> {
    const token = randomBytes(8);
    this.say('ping', 0, token);
    try {
      for (;;) if ((await this.next('pong')).payload.equals(token)) return true;
    } catch {
      return false;
    }
  }

  /** Ends the connection, as a program does that is done or one that crashed. */
  async leave(how: 'end' | 'reset' = 'end'): Promise<void> {
    const { socket } = this;
    const link = this.#secured?.link ?? socket;
    if (how === 'reset' && link instanceof net.Socket) link.resetAndDestroy();
    else socket.end(() => socket.destroy());
    await this.ended;
  }
}
