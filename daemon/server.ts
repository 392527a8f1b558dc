/** Listens, and makes a connection of each socket that is let in. */
import { randomBytes } from 'node:crypto';
import net from 'node:net';
import { FerryError, TransferError } from '../protocol/errors.ts';
import { encodeFrame } from '../protocol/frames.ts';
import { encodePreamble, versions } from '../protocol/preamble.ts';
import { Connection } from '../transfer/connection.ts';
import { newHello } from '../transfer/greeting.ts';
import { InputBuffer } from '../transfer/input-buffer.ts';
import { transferLimits } from '../transfer/limits.ts';
import { readInto } from './accepted.ts';
import type { Logger } from './log.ts';
import type { Service } from './serve.ts';

export interface ServerOptions {
  readonly host: string;
  /** 0 takes a free one. */
  readonly port: number;
  readonly maxConnections: number;
  readonly progressMs?: number | undefined;
  /** Time for requests under way to come to their end when the daemon stops. */
  readonly graceMs?: number | undefined;
}

const defaultGraceMs = 3_000;

export class Server {
  readonly #service: Service;
  readonly #options: ServerOptions;
  readonly #log: Logger;
  readonly #server: net.Server;
  readonly #connections = new Set<Connection>();
  /** Names this run of the daemon. */
  readonly #session = randomBytes(16);

  constructor(service: Service, options: ServerOptions, log: Logger) {
    this.#service = service;
    this.#options = options;
    this.#log = log;
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

  #accept(socket: net.Socket): void {
    const peer = socket.remoteAddress ?? 'unknown';
    if (this.#connections.size >= this.#options.maxConnections) {
      socket.on('error', () => socket.destroy());
      // What it says is read and dropped: unread bytes would reset the answer, and keep the socket.
      socket.resume();
      socket.end(tooMany());
      setTimeout(() => socket.destroy(), transferLimits.lingerMs).unref();
      this.#log.warn({ event: 'refused', peer }, 'too many connections');
      return;
    }
    const input = new InputBuffer();
    const link = readInto(input, socket);
    link.setNoDelay(true);
    const connection = new Connection(link, input, {
      side: 'daemon',
      hello: newHello(this.#session),
      onRequest: (request, frame) => this.#service.begin(request, frame, peer),
      ...(this.#options.progressMs === undefined ? {} : { progressMs: this.#options.progressMs }),
    });
    this.#connections.add(connection);
    this.#log.debug({ event: 'connected', peer }, 'connected');
    void connection.closed.then((error) => {
      this.#connections.delete(connection);
      const reason = error?.message;
      this.#log.debug({ event: 'disconnected', peer, reason }, 'disconnected');
    });
  }

  /** Stops: no new connections, a moment for what is under way, then what is left is cut off. */
  async stop(): Promise<void> {
    const closed = new Promise<void>((resolve) => this.#server.close(() => resolve()));
    for (const connection of this.#connections) connection.goodbye();
    const deadline = performance.now() + (this.#options.graceMs ?? defaultGraceMs);
    const busy = (): boolean => [...this.#connections].some(({ openRequests }) => openRequests > 0);
    while (busy() && performance.now() < deadline) {
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
    const stopping = new FerryError('stopping', 'The daemon is stopping.');
    this.#service.stop(new TransferError('stopping', stopping.message));
    const ended = [...this.#connections].map(({ closed: over }) => over);
    for (const connection of this.#connections) connection.close(busy() ? stopping : undefined);
    await Promise.all(ended);
    await closed;
  }
}

function tooMany(): Uint8Array {
  const error = {
    failure: 'connections',
    message: 'The daemon has too many connections.',
  } as const;
  return Buffer.concat([
    encodePreamble(versions),
    encodeFrame({ type: 'error', request: 0, ...error }),
  ]);
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
