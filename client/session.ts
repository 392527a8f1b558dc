/**
 * A run's connections to one daemon: opened when needed, opened again when lost.
 *
 * Work is a function of a connection. When it fails in a way that a new connection may mend, it is
 * called again on one; whatever comes forward in between gives all attempts back.
 */
import { randomBytes } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { FerryError } from '../protocol/errors.ts';
import type { ToldLimits } from '../protocol/frames/connection.ts';
import { limits } from '../protocol/limits.ts';
import { versions } from '../protocol/preamble.ts';
import type { Connection } from '../transfer/connection.ts';
import { Companions } from './companions.ts';
import { dial } from './dial.ts';
import type { RetryEvent } from './events.ts';
import type { Remote } from './remote.ts';
import type { ConnectOptions } from './transfer-options.ts';

const firstDelayMs = 1_000;
const longestDelayMs = 30_000;
/** Asked for before the way is called long. */
const roundTrips = 5;

export class Session {
  readonly #remote: Remote;
  readonly #options: ConnectOptions;
  readonly #id = randomBytes(16);
  #connection: Connection | undefined;
  #dialing: Promise<Connection> | undefined;
  /** Failed attempts since something last came forward. */
  #attempts = 0;
  /** Failures counted so far. */
  #failures = 0;
  #everConnected = false;
  /** Whether anything ever came forward. */
  #everProgressed = false;
  #closed = false;
  #lastFailure: FerryError | undefined;
  /** Told of each retry before its delay. */
  onRetry: (event: RetryEvent) => void = () => undefined;
  #signal: AbortSignal | undefined;
  readonly #stop = (): void => {
    for (const connection of this.#open) connection.close();
  };
  readonly #open = new Set<Connection>();
  readonly #companions = new Companions();

  constructor(remote: Remote, options: ConnectOptions) {
    this.#remote = remote;
    this.#options = options;
  }

  /** What both sides agreed on, as of the latest connection. */
  get agreed(): {
    version: number;
    features: readonly string[];
    limits: ToldLimits;
    software: string;
  } {
    const connection = this.#connection;
    if (connection === undefined) throw new Error('The session has not connected yet.');
    const { agreed, features, peer } = connection;
    return { version: versions.highest, features, limits: agreed, software: peer.software };
  }

  /** Where it leads, and how. */
  get origin(): { remote: Remote; options: ConnectOptions } {
    return { remote: this.#remote, options: this.#options };
  }

  /**
   * Whether a question and its answer take so long. One long round trip may have met a busy machine,
   * so it takes a few.
   */
  async isFurtherThan(roundTripMs: number): Promise<boolean> {
    const connection = await this.connection();
    const isFar = (): boolean => (connection.pings.roundTripMs ?? 0) >= roundTripMs;
    for (let i = 0; i < roundTrips && isFar(); i += 1) await pinged(connection);
    return isFar();
  }

  /** Ends everything under way when `signal` is aborted; undefined ends that arrangement. */
  stopOn(signal: AbortSignal | undefined): void {
    this.#signal?.removeEventListener('abort', this.#stop);
    this.#signal = signal;
    if (signal?.aborted === true) this.#stop();
    signal?.addEventListener('abort', this.#stop, { once: true });
  }

  /** Something came forward: all attempts are there again. */
  progressed(): void {
    this.#everProgressed = true;
    this.#attempts = 0;
  }

  get #inFlightBytes(): number {
    return this.#options.inFlightBytes ?? limits.inFlightBytes;
  }

  /** The connection in use, or a new one. Throws FerryError when there is none to be had. */
  async connection(): Promise<Connection> {
    this.#signal?.throwIfAborted();
    if (this.#connection?.isOpen === true) return this.#connection;
    this.#dialing ??= this.#redial(() => this.#dial()).finally(() => {
      this.#dialing = undefined;
    });
    this.#connection = await this.#dialing;
    return this.#connection;
  }

  async #dial(inFlightBytes: number = this.#inFlightBytes): Promise<Connection> {
    const { timeoutMs, credentials, receives } = this.#options;
    const options = {
      session: this.#id,
      timeoutMs,
      inFlightBytes,
      credentials,
      receives,
      signal: this.#signal,
    };
    const connection = await dial(this.#remote, options);
    if (this.#closed) connection.close();
    this.#open.add(connection);
    void connection.closed.then(() => this.#open.delete(connection));
    return connection;
  }

  /** Opens something with backoff, until it is there or the attempts are used up. */
  async #redial<T>(open: () => Promise<T>): Promise<T> {
    for (;;) {
      if (this.#attempts > 0) await this.#backOff();
      const failures = this.#failures;
      try {
        const opened = await open();
        this.#everConnected = true;
        return opened;
      } catch (error) {
        // It may have failed because it was stopped: then nothing is tried again.
        this.#signal?.throwIfAborted();
        const mayRetry = this.#everConnected || this.#options.retryFirst;
        if (!(error instanceof FerryError) || !error.retryable || !mayRetry) throw error;
        this.#failed(error, failures);
      }
    }
  }

  /**
   * An attempt failed that began when so many failures had been counted. One that is over by then was met by
   * others of ours, too: it counts once.
   */
  #failed(error: FerryError, failuresBefore: number): void {
    if (this.#failures > failuresBefore) return;
    this.#failures += 1;
    this.#lastFailure = error;
    this.#attempts += 1;
    if (this.#attempts <= this.#options.retries) return;
    // A daemon that says why is quoted; one that went away was lost, or never there.
    if (
      !this.#everConnected ||
      (error.failure !== 'connection-lost' && error.failure !== 'never-connected')
    ) {
      throw error;
    }
    const { retries } = this.#options;
    throw new FerryError(
      'connection-lost',
      `The connection was lost and could not be restored in ${retries} attempts: ${error.message} Run the same command again to carry on.`,
      { cause: error },
    );
  }

  async #backOff(): Promise<void> {
    const full = Math.min(longestDelayMs, firstDelayMs * 2 ** (this.#attempts - 1));
    const delayMs = Math.max(firstDelayMs, full * (0.5 + Math.random() / 2));
    this.onRetry({
      type: 'retry',
      attempt: this.#attempts,
      delaySeconds: Math.round(delayMs / 100) / 10,
      reason: this.#lastFailure?.message ?? '',
    });
    const signal = this.#signal;
    await sleep(delayMs, undefined, signal === undefined ? {} : { signal }).catch(
      (error: unknown) => {
        this.#signal?.throwIfAborted();
        throw error;
      },
    );
  }

  /** Does `work` on the connection, again after each loss. */
  async run<T>(work: (connection: Connection) => Promise<T>): Promise<T> {
    for (;;) {
      const connection = await this.connection();
      try {
        const result = await this.#companions.beside(() => work(connection));
        this.progressed();
        return result;
      } catch (error) {
        this.lost(error, connection);
      }
    }
  }

  /** Work on `connection` failed: throws unless it may go on with another one. */
  lost(error: unknown, connection: Connection): void {
    const failure = this.#retryable(error);
    // Others who worked on the same connection lost it by the same failure: it counts once.
    if (connection !== this.#connection) return;
    this.#connection = undefined;
    connection.close();
    this.#failed(failure, this.#failures);
  }

  /**
   * Does `work` on up to `count` connections of its own, which share what may be on its way: as many as the
   * daemon lets in. The first one counts: when it is lost, all are opened again.
   */
  async runOnSeveral<T>(
    count: number,
    work: (connections: readonly Connection[]) => Promise<T>,
  ): Promise<T> {
    const inFlightBytes = Math.floor(this.#inFlightBytes / count);
    for (;;) {
      this.#signal?.throwIfAborted();
      const connections = await this.#redial(() => this.#dialSeveral(count, inFlightBytes));
      // A single one has but its share of what may be on its way; the one that there is may have all.
      const leastOwn = this.#connection?.isOpen === true ? 2 : 1;
      if (connections.length < leastOwn) {
        for (const connection of connections) connection.close();
        return await this.run((connection) => work([connection]));
      }
      const failures = this.#failures;
      try {
        return await this.#companions.beside(() => work(connections));
      } catch (error) {
        this.#failed(this.#retryable(error), failures);
      } finally {
        for (const connection of connections) connection.close();
      }
    }
  }

  /** Those of `count` new connections that the daemon lets in. Throws what else is wrong with any of them. */
  async #dialSeveral(count: number, inFlightBytes: number): Promise<Connection[]> {
    const all = await Promise.allSettled(
      Array.from({ length: count }, async () => {
        const connection = await this.#dial(inFlightBytes);
        // It says whether there is room only to those whom it knows, after they have greeted.
        const failure = await pinged(connection);
        if (failure !== undefined) throw failure;
        return connection;
      }),
    );
    const connections = all.flatMap((one) => (one.status === 'fulfilled' ? [one.value] : []));
    const wrong = all.find((one) => one.status === 'rejected' && !isTurnedAway(one.reason));
    if (wrong?.status !== 'rejected') return connections;
    for (const connection of connections) connection.close();
    throw wrong.reason;
  }

  /** Gives what another attempt may mend. Throws what none can. */
  #retryable(error: unknown): FerryError {
    this.#signal?.throwIfAborted();
    if (!(error instanceof FerryError) || !error.retryable) throw error;
    // A daemon that is full says so once it knows who asks: still our first attempt to come in.
    const isStillFirst = isTurnedAway(error) && !this.#everProgressed;
    if (isStillFirst && !this.#options.retryFirst) throw error;
    return error;
  }

  async close(): Promise<void> {
    this.#closed = true;
    const closed = [...this.#open].map((connection) => connection.closed);
    for (const connection of this.#open) connection.close();
    await Promise.all(closed);
  }
}

const isTurnedAway = (error: unknown): boolean =>
  error instanceof FerryError && error.failure === 'connections';

/** Waits for the answer to a ping; gives why there will be none, where the connection ends instead. */
async function pinged(connection: Connection): Promise<FerryError | undefined> {
  const answered = connection.pings.nextAnswer();
  connection.ping();
  const failure = await Promise.race([answered, connection.closed]);
  if (connection.isOpen) return undefined;
  return failure ?? new FerryError('connection-lost', 'The connection was lost.');
}
