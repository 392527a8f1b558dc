/**
 * The clients of a bench, in as many threads as there are processors. A thread for each client would let
 * hundreds of them wait for their turn for longer than anybody waits for an answer.
 */
import { availableParallelism } from 'node:os';
import { setTimeout as sleep } from 'node:timers/promises';
import { Worker } from 'node:worker_threads';
import { type FailureName, FerryError } from '../../protocol/errors.ts';
import type { Remote } from '../remote.ts';
import type { ConnectOptions } from '../transfer-options.ts';
import { noSample, type Sample, sumSamples } from './figures.ts';
import type { BenchSettings } from './settings.ts';

/** What a thread is started with. */
export interface ClientTask {
  /** How many of the clients are its. */
  readonly clients: number;
  readonly remote: Remote;
  readonly options: ConnectOptions;
  readonly settings: BenchSettings;
}

/** `go`: all are ready, let content flow. */
export type ClientCall = { readonly type: 'sample' | 'go' | 'stop' };

export type ClientReply =
  /** The connections of its clients stand. */
  | { readonly type: 'ready' }
  /** Content flows: in all of its streams, or where its amount counts, in the first. */
  | { readonly type: 'begun' }
  | { readonly type: 'sample'; readonly sample: Sample }
  /** All content of its streams is through. */
  | { readonly type: 'done' }
  /** Nothing is left of them. */
  | { readonly type: 'tidy' }
  | { readonly type: 'failed'; readonly failure: FailureName; readonly message: string };

/** Removing a file of a gigabyte may take seconds. */
const tidyMs = 10_000;

// Compiled code and sources have the same layout, and different suffixes.
const suffix = import.meta.url.slice(import.meta.url.lastIndexOf('.'));
const clientUrl = new URL(`./bench-client${suffix}`, import.meta.url);

class Thread {
  readonly #worker: Worker;
  readonly ready: Promise<void>;
  readonly begun: Promise<void>;
  readonly done: Promise<void>;
  /** Settles when nothing is left to do, whichever way. */
  readonly tidy: Promise<void>;
  #waiting: ((sample: Sample) => void)[] = [];
  #latest = noSample;
  #isGone = false;

  constructor(task: ClientTask) {
    this.#worker = new Worker(clientUrl, { workerData: task });
    this.ready = this.#word('ready');
    this.begun = this.#word('begun');
    this.done = this.#word('done');
    this.tidy = new Promise((resolve) => {
      this.#worker.on('message', ({ type }: ClientReply) => type === 'tidy' && resolve());
      this.#worker.once('exit', () => resolve());
    });
    this.#worker.on('message', (reply: ClientReply) => {
      if (reply.type === 'sample') this.#answer(reply.sample);
    });
    this.#worker.once('exit', () => {
      this.#isGone = true;
      while (this.#waiting.length > 0) this.#answer(this.#latest);
    });
  }

  /** Settles when the thread says so; rejects when it says that it never will. */
  #word(type: 'ready' | 'begun' | 'done'): Promise<void> {
    const word = new Promise<void>((resolve, reject) => {
      this.#worker.on('message', (reply: ClientReply) => {
        if (reply.type === type) resolve();
        if (reply.type === 'failed') reject(new FerryError(reply.failure, reply.message));
      });
      this.#worker.once('error', reject);
    });
    // Not everybody waits for all of them.
    word.catch(() => undefined);
    return word;
  }

  #answer(sample: Sample): void {
    this.#latest = sample;
    this.#waiting.shift()?.(sample);
  }

  /** How it stands; of a thread that is gone, how it last stood. */
  async sample(): Promise<Sample> {
    if (this.#isGone) return this.#latest;
    return await new Promise((resolve) => {
      this.#waiting.push(resolve);
      this.#post({ type: 'sample' });
    });
  }

  go(): void {
    this.#post({ type: 'go' });
  }

  stop(): void {
    this.#post({ type: 'stop' });
  }

  async terminate(): Promise<void> {
    await this.#worker.terminate();
  }

  #post(call: ClientCall): void {
    this.#worker.postMessage(call);
  }
}

export class Crew {
  readonly #threads: readonly Thread[];
  /** Whether an amount ends it: then nothing of it may be missed. */
  readonly #isByBytes: boolean;

  constructor(task: Omit<ClientTask, 'clients'>) {
    const { clients, bytes } = task.settings;
    this.#isByBytes = bytes !== undefined;
    const threads = Math.min(clients, availableParallelism());
    this.#threads = Array.from({ length: threads }, (_, i) => {
      // The first ones take what is left over.
      return new Thread({ ...task, clients: Math.ceil((clients - i) / threads) });
    });
  }

  /** Every connection stands. Rejects with FerryError when one can't. */
  async ready(): Promise<void> {
    await Promise.all(this.#threads.map(({ ready }) => ready));
  }

  /** Lets content flow; settles when it does. Where that can't be, `done` says why. */
  async go(): Promise<void> {
    for (const thread of this.#threads) thread.go();
    const begun = this.#threads.map((thread) => thread.begun);
    await (this.#isByBytes ? Promise.race(begun) : Promise.all(begun)).catch(() => undefined);
  }

  /** Every stream is through. */
  async done(): Promise<void> {
    await Promise.all(this.#threads.map(({ done }) => done));
  }

  async sample(): Promise<Sample> {
    return sumSamples(await Promise.all(this.#threads.map((thread) => thread.sample())));
  }

  /** Ends the content; `done` settles when it has arrived. */
  stop(): void {
    for (const thread of this.#threads) thread.stop();
  }

  /** Lets the threads tidy up for a moment, and ends them. */
  async terminate(): Promise<void> {
    const enough = new AbortController();
    await Promise.race([
      Promise.all(this.#threads.map(({ tidy }) => tidy)),
      sleep(tidyMs, undefined, { signal: enough.signal }).catch(() => undefined),
    ]);
    enough.abort();
    await Promise.all(this.#threads.map((thread) => thread.terminate()));
  }
}
