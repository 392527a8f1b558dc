/** Listens, and makes a connection of each socket that is let in. */
import { randomBytes } from 'node:crypto';
import net from 'node:net';
import { type FailureName, FerryError, ProtocolError, TransferError } from '../protocol/errors.ts';
import type { ToldLimits } from '../protocol/frames/connection.ts';
import { limits as fixed } from '../protocol/limits.ts';
import { bufferPool } from '../transfer/buffer-pool.ts';
import { unbound } from '../transfer/channel.ts';
import { Connection } from '../transfer/connection.ts';
import { newHello } from '../transfer/greeting.ts';
import type { Channel, Verifier } from '../transfer/handshake.ts';
import { InputBuffer } from '../transfer/input-buffer.ts';
import { readInto } from '../transfer/read-into.ts';
import type { AllowList } from './allow-list.ts';
import type { Identity } from './certificate.ts';
import { Counts } from './counts.ts';
import { Doorkeeper, type Keyring } from './doorkeeper.ts';
import { FloodGate } from './flood-gate.ts';
import { type DaemonLimits, defaultLimits } from './limits.ts';
import { cannotListen } from './listening.ts';
import type { Logger } from './log.ts';
import { pagesWithin } from './page-room.ts';
import { secure } from './secure.ts';
import type { Service } from './serve.ts';

export interface ServerOptions {
  readonly host: string;
  /** 0 takes a free one. */
  readonly port: number;
  /** Undefined: plain TCP. */
  readonly identity: Identity | undefined;
  readonly limits?: Partial<DaemonLimits>;
  /** Where what happens is counted. */
  readonly counts?: Counts;
  /** Undefined: everyone may connect. */
  readonly allow?: AllowList;
  /** Time for requests under way to come to their end when the daemon stops. */
  readonly graceMs?: number | undefined;
}

interface Guest {
  readonly connection: Connection;
  readonly address: string;
  /** Of its token, once it proved one. */
  id: Uint8Array | undefined;
}

const defaultGraceMs = 3_000;
const usualEnds: ReadonlySet<FailureName> = new Set(['connection-lost', 'stopping']);
const refusals: ReadonlySet<FailureName> = new Set(['authentication', 'connections']);

export class Server {
  readonly #service: Service;
  readonly #keyring: Keyring;
  #options: ServerOptions;
  readonly #limits: { -readonly [K in keyof DaemonLimits]: DaemonLimits[K] };
  readonly #log: Logger;
  readonly #flood: FloodGate;
  readonly #counts: Counts;
  readonly #server: net.Server;
  readonly #doorkeeper: Doorkeeper;
  readonly #guests = new Set<Guest>();
  /** Names this run of the daemon. */
  readonly #session = randomBytes(16);

  constructor(service: Service, keyring: Keyring, options: ServerOptions, log: Logger) {
    this.#service = service;
    this.#keyring = keyring;
    this.#options = options;
    this.#log = log;
    this.#flood = new FloodGate(log);
    this.#counts = options.counts ?? new Counts();
    this.#limits = { ...defaultLimits, ...options.limits };
    this.#doorkeeper = new Doorkeeper(keyring, this.#limits, this.#counts, this.#flood);
    this.#doorkeeper.allow = options.allow;
    bufferPool.resize(this.#limits.transferBufferBytes);
    this.#server = net.createServer({ pauseOnConnect: true }, (socket) => this.#accept(socket));
  }

  /** Starts listening; gives the address. Throws FerryError when it can't. */
  async listen(): Promise<net.AddressInfo> {
    const { host, port } = this.#options;
    await new Promise<void>((resolve, reject) => {
      this.#server.once('error', (cause: NodeJS.ErrnoException) =>
        reject(cannotListen(cause, host, port)),
      );
      this.#server.listen({ host, port }, resolve);
    });
    this.#server.on('error', (error) =>
      this.#log.error({ event: 'listen', err: error }, 'listening failed'),
    );
    return this.#server.address() as net.AddressInfo;
  }

  /** Brings other settings into force; who is connected and may not be any more is let go. */
  configure(changes: Pick<ServerOptions, 'identity' | 'limits' | 'allow'>): void {
    this.#options = { ...this.#options, ...changes };
    Object.assign(this.#limits, changes.limits);
    this.#doorkeeper.allow = changes.allow;
    bufferPool.resize(this.#limits.transferBufferBytes);
    for (const { connection, address } of this.#guests) {
      if (!this.allows(address)) connection.close(noLongerAllowed());
    }
  }

  /** Whether an address may connect by the rules of this moment. */
  allows(address: string): boolean {
    return this.#doorkeeper.allows(address);
  }

  #accept(socket: net.Socket): void {
    const startedAtMs = performance.now();
    const address = addressOf(socket);
    let end = (): void => void socket.destroy();
    const place = this.#doorkeeper.enter(address, () => end());
    if (place === undefined) {
      socket.destroy();
      return;
    }
    socket.once('close', () => place.leave());
    socket.setNoDelay(true);
    const greet = (link: net.Socket, channel: Channel): void => {
      // The rules may have changed during the handshake.
      if (!this.allows(address)) {
        link.destroy();
        return;
      }
      end = () => link.destroy();
      const spentMs = performance.now() - startedAtMs;
      const verifier = this.#doorkeeper.verifier(channel, address, place);
      this.#greet(link, verifier, address, spentMs);
    };
    // For everyone, and before anything is said: how long it takes tells nothing about a token.
    void this.#keyring.current().then(() => {
      if (!socket.destroyed) this.#open(socket, greet);
    });
  }

  #open(socket: net.Socket, greet: (link: net.Socket, channel: Channel) => void): void {
    const { identity } = this.#options;
    if (identity === undefined) {
      greet(socket, unbound);
      return;
    }
    const deadline = setTimeout(() => socket.destroy(), this.#limits.greetingMs);
    socket.once('close', () => clearTimeout(deadline));
    secure(socket, identity, (link, channel) => {
      clearTimeout(deadline);
      greet(link, channel);
    });
  }

  #greet(link: net.Socket, verifier: Verifier, address: string, spentMs: number): void {
    const input = new InputBuffer();
    const { greetingBytes, greetingMs, progressMs, workingMs, replyQueueBytes } = this.#limits;
    const connection = new Connection(link, input, {
      side: 'daemon',
      traffic: this.#counts.traffic,
      hello: newHello(this.#session, toldUnderLoad(this.connections.admitted, this.#limits)),
      verifier: {
        ...verifier,
        admit: (id) => {
          verifier.admit(id);
          guest.id = id;
        },
      },
      onRequest: (request, frame) => {
        const grant = guest.id && this.#keyring.find(guest.id);
        if (grant === undefined) connection.close(noLongerValid());
        else this.#service.begin(request, frame, { address, grant });
      },
      greetingBytes,
      greetingMs: Math.max(0, greetingMs - spentMs),
      progressMs,
      workingMs,
      replyQueueBytes,
    });
    const guest: Guest = { connection, address, id: undefined };
    this.#guests.add(guest);
    this.#log.debug({ event: 'connected', peer: address }, 'connected');
    void connection.closed.then((error) => {
      this.#guests.delete(guest);
      this.#tellEnd(guest, error);
    });
    readInto(input, link);
  }

  /** An end for which the peer is to blame is worth a line; that of who was refused has one. */
  #tellEnd({ address, id }: Guest, error: FerryError | undefined): void {
    const { failure, message: reason } = error ?? {};
    const line = { event: 'disconnected', peer: address, failure, reason };
    const isUsual = failure === undefined || usualEnds.has(failure);
    if (isUsual || (id === undefined && refusals.has(failure))) {
      this.#log.debug(line, 'disconnected');
    } else this.#flood.say('info', `disconnected: ${failure}`, line, 'disconnected');
  }

  /** Ends the connections of tokens that are not valid any more. */
  dropRevoked(): void {
    for (const { connection, id } of this.#guests) {
      if (id !== undefined && this.#keyring.find(id) === undefined) {
        connection.close(noLongerValid());
      }
    }
  }

  get isListening(): boolean {
    return this.#server.listening;
  }

  get connections(): { admitted: number; pending: number } {
    const { admitted, pending } = this.#doorkeeper.admissions;
    return { admitted, pending };
  }

  /** Stops: no new connections, a moment for what is under way, then what is left is cut off. */
  async stop(): Promise<void> {
    const closed = new Promise<void>((resolve) => this.#server.close(() => resolve()));
    const connections = [...this.#guests].map(({ connection }) => connection);
    for (const connection of connections) connection.goodbye();
    const deadline = performance.now() + (this.#options.graceMs ?? defaultGraceMs);
    const busy = (): boolean => connections.some(({ openRequests }) => openRequests > 0);
    while (busy() && performance.now() < deadline) {
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
    const stopping = new FerryError('stopping', 'The daemon is stopping.');
    this.#service.stop(new TransferError('stopping', stopping.message));
    for (const connection of connections) connection.close(busy() ? stopping : undefined);
    await Promise.all(connections.map(({ closed: over }) => over));
    this.#doorkeeper.admissions.close();
    await closed;
    this.#flood.close();
  }
}

/** Connections that may each have the whole window full of content at once. */
const fewConnections = 2;

/**
 * What arrives and waits to be stored is bounded for each connection by what it is told: the more
 * there are, the less each of them may have on its way.
 */
function toldUnderLoad(connections: number, daemonLimits: DaemonLimits): Partial<ToldLimits> {
  const part = Math.min(1, fewConnections / (connections + 1));
  const pages = Math.floor(fixed.pages / (connections + 1));
  return {
    pages: Math.max(1, Math.min(pagesWithin(daemonLimits), pages)),
    inFlightBytes: Math.max(fixed.pageContentBytes, Math.floor(fixed.inFlightBytes * part)),
  };
}

/** An IPv4 address is the same one when it comes over IPv6; a zone is this machine's own affair. */
function addressOf({ remoteAddress = '' }: net.Socket): string {
  return remoteAddress.replace(/^::ffff:(?=\d+\.)/i, '').replace(/%.*$/, '') || 'unknown';
}

function noLongerValid(): ProtocolError {
  return new ProtocolError('authentication', 'The token was revoked, or has expired.');
}

function noLongerAllowed(): ProtocolError {
  return new ProtocolError('authentication', 'This address is not allowed any more.');
}
