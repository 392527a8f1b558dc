/** The client as a library: everything the commands do, with the same events. */
import type { Writable } from 'node:stream';
import type { Entry } from '../protocol/entry.ts';
import { FerryError } from '../protocol/errors.ts';
import type { ToldLimits } from '../protocol/frames/connection.ts';
import { ask, change, list, newOperation } from './ask.ts';
import { type Context, newContext } from './context.ts';
import type { FerryEvent, RetryEvent } from './events.ts';
import { Job } from './job.ts';
import type { BenchSettings } from './measure/settings.ts';
import { stopAfter } from './out-of-time.ts';
import type { Remote } from './remote.ts';
import { Session } from './session.ts';
import {
  type ConnectOptions,
  defaultConnectOptions,
  type TransferOptions,
} from './transfer-options.ts';
import type { RemotePath, UploadSource } from './upload-sources.ts';

export type { RemotePath, UploadSource } from './upload-sources.ts';

/**
 * Connects to a daemon. Throws FerryError, or the reason of `signal` when it is aborted before the
 * connection stands.
 */
export async function connect(
  remote: Remote,
  options: ConnectOptions = defaultConnectOptions,
  onRetry: (event: RetryEvent) => void = () => undefined,
  signal?: AbortSignal,
): Promise<Ferry> {
  const session = new Session(remote, options);
  session.onRetry = onRetry;
  session.stopOn(signal);
  try {
    await session.connection();
  } catch (error) {
    signal?.throwIfAborted();
    throw error;
  } finally {
    session.stopOn(undefined);
  }
  return new Ferry(session);
}

export class Ferry {
  readonly #session: Session;

  /** Use `connect`. */
  constructor(session: Session) {
    this.#session = session;
  }

  /** What both sides agreed on. */
  get agreed(): {
    version: number;
    features: readonly string[];
    limits: ToldLimits;
    software: string;
  } {
    return this.#session.agreed;
  }

  async *list(path: string, { recursive }: { recursive: boolean }): AsyncGenerator<Entry> {
    for await (const entries of list(this.#session, path, { recursive, contentTypes: true })) {
      yield* entries;
    }
  }

  async stat(path: string): Promise<Entry> {
    const { entry } = await ask(this.#session, { type: 'stat', request: 0, path }, 'entry');
    // The daemon tells content types only in listings: here the name tells it as well.
    const { withContentTypes } = await import('../transfer/local/content-types.ts');
    const [typed = entry] = await withContentTypes([{ ...entry, path }]);
    return { ...typed, path: entry.path };
  }

  async mkdir(path: string, { parents }: { parents: boolean }): Promise<void> {
    const operation = newOperation();
    await change(this.#session, { type: 'mkdir', request: 0, operation, path, parents });
  }

  async remove(path: string, { recursive }: { recursive: boolean }): Promise<void> {
    const operation = newOperation();
    await change(this.#session, { type: 'remove', request: 0, operation, path, recursive });
  }

  async rename(from: string, to: string): Promise<void> {
    const operation = newOperation();
    await change(this.#session, { type: 'rename', request: 0, operation, from, to });
  }

  /** Uploads files, folders or one stream. Never throws: what ends it is an `error` event. */
  upload(
    sources: readonly UploadSource[],
    target: RemotePath,
    options: TransferOptions,
    signal?: AbortSignal,
  ): AsyncIterable<FerryEvent> {
    return this.#perform(options, signal, async (context) => {
      const { uploadSources } = await import('./upload-sources.ts');
      return await uploadSources(context, sources, target);
    });
  }

  /** Downloads files and folders, or one file into a stream. Never throws, as `upload`. */
  download(
    sources: readonly RemotePath[],
    target: string | { readonly stream: Writable },
    options: TransferOptions,
    signal?: AbortSignal,
  ): AsyncIterable<FerryEvent> {
    return this.#perform(options, signal, async (context) => {
      const { downloadSources } = await import('./download-sources.ts');
      return await downloadSources(context, sources, target);
    });
  }

  /** Compares a local file or folder with a remote one by checksums; differences are events. */
  verify(
    local: string,
    remote: string,
    options: TransferOptions,
    signal?: AbortSignal,
  ): AsyncIterable<FerryEvent> {
    return this.#perform(options, signal, async (context) => {
      const { Verification } = await import('./verify.ts');
      return await new Verification(context).run(local, remote);
    });
  }

  /**
   * Measures what network, disks and processors carry. Throws FerryError for what forbids it; what ends it
   * later is an `error` event. `cpuUs` tells the processor time of this process in microseconds.
   */
  async *bench(
    settings: BenchSettings,
    cpuUs: () => number,
    signal: AbortSignal = new AbortController().signal,
  ): AsyncGenerator<FerryEvent> {
    const { runBench } = await import('./measure/run.ts');
    yield* runBench(this.#session, { settings, cpuUs, signal });
  }

  /** Runs a job; `work` gives whether a single file was named. */
  async *#perform(
    options: TransferOptions,
    signal: AbortSignal | undefined,
    work: (context: Context) => Promise<boolean>,
  ): AsyncGenerator<FerryEvent> {
    const job = new Job(options.fileEvents);
    const session = this.#session;
    const { onRetry } = session;
    session.onRetry = (event) => job.emit(event);
    const stop = new AbortController();
    const abort = (): void => {
      const reason: unknown = signal?.reason;
      stop.abort(reason instanceof FerryError ? reason : new FerryError('interrupted', 'Stopped.'));
    };
    signal?.addEventListener('abort', abort);
    if (signal?.aborted === true) abort();
    const timer = stopAfter(options.maxDurationMs, stop);
    session.stopOn(stop.signal);
    let single = true;
    const running = work(newContext(session, options, job))
      .then((isSingle) => {
        single = isSingle;
      })
      .catch((error: unknown) => job.aborted(stop.signal.aborted ? stop.signal.reason : error))
      .finally(() => {
        clearTimeout(timer);
        signal?.removeEventListener('abort', abort);
        session.stopOn(undefined);
        session.onRetry = onRetry;
        job.end(single);
      });
    try {
      // Delegated to with yield*, a generator costs several promises for each event.
      for await (const events of job.events()) for (const event of events) yield event;
    } finally {
      // Whoever stopped reading early wants no more of it.
      job.abandon();
      stop.abort(new FerryError('interrupted', 'Nobody reads the events any more.'));
      await running;
    }
  }

  async close(): Promise<void> {
    await this.#session.close();
  }
}
