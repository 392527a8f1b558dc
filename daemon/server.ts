/** Listens, and makes a connection of each socket that is let in. */
import { randomBytes } from 'node:crypto';
import net from 'node:net';
import type { Duplex } from 'node:stream';
import { FerryError, ProtocolError, TransferError } from '../protocol/errors.ts';
import { unbound } from '../transfer/channel.ts';
import { Connection } from '../transfer/connection.ts';
import { newHello } from '../transfer/greeting.ts';
import type { Channel, Verifier } from '../transfer/handshake.ts';
import { InputBuffer } from '../transfer/input-buffer.ts';
import { readInto } from './accepted.ts';
import { Admissions, type Place } from './admissions.ts';
import type { AllowList } from './allow-list.ts';
import type { Identity } from './certificate.ts';
import { FloodGate } from './flood-gate.ts';
import type { Grant } from './grant.ts';
import { type DaemonLimits, defaultLimits } from './limits.ts';
import type { Logger } from './log.ts';
import { Penalties } from './penalties.ts';
import { secure } from './secure.ts';
import type { Service } from './serve.ts';

export interface ServerOptions {
  readonly host: string;
  /** 0 takes a free one. */
  readonly port: number;
  /** Undefined: plain TCP. */
  readonly identity: Identity | undefined;
  readonly limits?: Partial<DaemonLimits>;
  /** Undefined: everyone may connect. */
  readonly allow?: AllowList;
  /** Time for requests under way to come to their end when the daemon stops. */
  readonly graceMs?: number | undefined;
}

/** Who may come in. */
export interface Keyring {
  /** The grant of a token that is valid now. */
  find(id: Uint8Array): Grant | undefined;
}

interface Guest {
  readonly connection: Connection;
  readonly address: string;
  /** Of its token, once it proved one. */
  id: Uint8Array | undefined;
}

const defaultGraceMs = 3_000;

export class Server {
  readonly #service: Service;
  readonly #keyring: Keyring;
  #options: ServerOptions;
  readonly #limits: { -readonly [K in keyof DaemonLimits]: DaemonLimits[K] };
  readonly #log: Logger;
  readonly #flood: FloodGate;
  readonly #server: net.Server;
  readonly #admissions: Admissions;
  readonly #penalties: Penalties;
  readonly #guests = new Set<Guest>();
  /** Names this run of the daemon. */
  readonly #session = randomBytes(16);

  constructor(service: Service, keyring: Keyring, options: ServerOptions, log: Logger) {
    this.#service = service;
    this.#keyring = keyring;
    this.#options = options;
    this.#log = log;
    this.#flood = new FloodGate(log);
    this.#limits = { ...defaultLimits, ...options.limits };
    this.#admissions = new Admissions(this.#limits);
    this.#penalties = new Penalties(this.#limits);
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
    for (const { connection, address } of this.#guests) {
      if (!this.#allows(address)) connection.close(noLongerAllowed());
    }
  }

  #allows(address: string): boolean {
    return this.#options.allow?.allows(address) ?? true;
  }

  #accept(socket: net.Socket): void {
    const startedAtMs = performance.now();
    const address = addressOf(socket);
    if (!this.#allows(address)) {
      socket.destroy();
      this.#flood.say('warn', 'denied', { event: 'denied', peer: address }, 'address not allowed');
      return;
    }
    let end = (): void => void socket.destroy();
    const place = this.#admissions.enter(address, () => end());
    const input = new InputBuffer();
    const greet = (link: Duplex, channel: Channel): void => {
      end = () => link.destroy();
      const spentMs = performance.now() - startedAtMs;
      this.#greet(link, input, this.#verifier(channel, address, place), address, spentMs);
    };
    const { identity } = this.#options;
    if (identity === undefined) {
      const link = readInto(input, socket);
      link.setNoDelay(true);
      link.once('close', () => place.leave());
      greet(link, unbound);
      return;
    }
    socket.setNoDelay(true);
    const deadline = setTimeout(() => socket.destroy(), this.#limits.greetingMs);
    socket.once('close', () => {
      clearTimeout(deadline);
      place.leave();
    });
    secure(socket, identity, input, (link, channel) => {
      clearTimeout(deadline);
      greet(link, channel);
    });
  }

  #verifier(channel: Channel, address: string, place: Place): Verifier {
    return {
      ...channel,
      keyOf: (id) => this.#keyring.find(id)?.key,
      admit: (id) => {
        this.#penalties.clear(address);
        try {
          place.admit(nameOf(id), this.#keyring.find(id)?.maxConnections);
        } catch (error) {
          const reason = error instanceof Error ? error.message : String(error);
          const line = { event: 'refused', peer: address, reason };
          this.#flood.say('warn', 'connections', line, 'too many connections');
          throw error;
        }
      },
      refuse: () => {
        const line = { event: 'refused', peer: address, reason: 'token' };
        this.#flood.say('warn', 'token', line, 'no valid token');
        return this.#penalties.failed(address);
      },
    };
  }

  #greet(
    link: Duplex,
    input: InputBuffer,
    verifier: Verifier,
    address: string,
    spentMs: number,
  ): void {
    const { greetingBytes, greetingMs, progressMs, replyQueueBytes } = this.#limits;
    const connection = new Connection(link, input, {
      side: 'daemon',
      hello: newHello(this.#session),
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
      replyQueueBytes,
    });
    const guest: Guest = { connection, address, id: undefined };
    this.#guests.add(guest);
    this.#log.debug({ event: 'connected', peer: address }, 'connected');
    void connection.closed.then((error) => {
      this.#guests.delete(guest);
      const reason = error?.message;
      this.#log.debug({ event: 'disconnected', peer: address, reason }, 'disconnected');
    });
  }

  /** Ends the connections of tokens that are not valid any more. */
  dropRevoked(): void {
    for (const { connection, id } of this.#guests) {
      if (id !== undefined && this.#keyring.find(id) === undefined) {
        connection.close(noLongerValid());
      }
    }
  }

  get connections(): { admitted: number; pending: number } {
    const { admitted, pending } = this.#admissions;
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
    this.#admissions.close();
    await closed;
    this.#flood.close();
  }
}

const nameOf = (id: Uint8Array): string => Buffer.from(id).toString('hex');

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

function cannotListen(cause: NodeJS.ErrnoException, host: string, port: number): FerryError {
  const why: Record<string, string> = {
    EADDRINUSE:
      'another program listens there already; stop it, or choose another port with --listen',
    EACCES: 'ports below 1024 are for root; choose another port with --listen',
    EADDRNOTAVAIL: 'this machine does not have that address',
    ENOTFOUND: 'the host name is unknown',
  };
  const reason = why[cause.code ?? ''] ?? cause.message;
  return new FerryError('usage', `Cannot listen on ${host}:${port}: ${reason}.`, { cause });
}
