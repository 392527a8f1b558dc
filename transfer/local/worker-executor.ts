/** Runs operations in a worker thread of their own, so that a slow disk blocks nobody else. */
import { Worker } from 'node:worker_threads';
import { TransferError } from '../../protocol/errors.ts';
import { type PackedError, unpackError } from './errors.ts';
import type { Executor } from './executor.ts';
import { type FileIo, pooledIo } from './file-io.ts';
import { keepNewSpaceSmall } from './new-space.ts';
import type { Operations, OperationsOptions } from './operations.ts';

/** A message to the worker. */
export interface WorkerCall {
  readonly id: number;
  readonly name: keyof Operations;
  readonly args: readonly unknown[];
}

/** Its answer to call `id`; the answer to `openingId` says how opening the root went. */
export type WorkerReply =
  | { readonly id: number; readonly result: unknown }
  | { readonly id: number; readonly error: PackedError };

export const openingId = 0;

/** The buffers of byte arrays among `values`: they change threads instead of being copied. */
export function buffersOf(values: readonly unknown[]): ArrayBuffer[] {
  return values
    .filter((value) => value instanceof Uint8Array)
    .map(({ buffer }) => buffer)
    .filter((buffer) => buffer instanceof ArrayBuffer);
}

interface Waiting {
  readonly resolve: (result: unknown) => void;
  readonly reject: (error: Error) => void;
}

// Compiled code and sources have the same layout, and different suffixes.
const suffix = import.meta.url.slice(import.meta.url.lastIndexOf('.'));
const workerUrl = new URL(`./worker${suffix}`, import.meta.url);

/** Starts the worker. Rejects with TransferError when the root can't be opened. */
export async function openWorkerExecutor(options: OperationsOptions): Promise<Executor> {
  const executor = new WorkerExecutor(options);
  try {
    await executor.opened;
    keepNewSpaceSmall();
    return executor;
  } catch (error) {
    await executor.terminate();
    throw error;
  }
}

/** For new objects, three times what may live: no batch needs more. By default it would take 48 MiB. */
const maxYoungGenerationSizeMb = 12;

class WorkerExecutor implements Executor {
  readonly opened: Promise<unknown>;
  readonly io: FileIo = pooledIo;
  readonly #worker: Worker;
  readonly #waiting = new Map<number, Waiting>();
  #lastId = openingId;
  #stopped: TransferError | undefined;

  constructor(options: OperationsOptions) {
    // Descriptors that the worker opens outlive it: sinks and sources close their own.
    this.#worker = new Worker(workerUrl, {
      workerData: options,
      trackUnmanagedFds: false,
      resourceLimits: { maxYoungGenerationSizeMb },
    });
    this.#worker.on('message', (reply: WorkerReply) => this.#settle(reply));
    this.#worker.on('error', (cause) => this.#stop(cause));
    this.#worker.on('exit', () => this.#stop());
    this.opened = new Promise((resolve, reject) => {
      this.#waiting.set(openingId, { resolve, reject });
    });
  }

  call<N extends keyof Operations>(
    name: N,
    ...args: Parameters<Operations[N]>
  ): Promise<Awaited<ReturnType<Operations[N]>>> {
    return new Promise((resolve, reject) => {
      if (this.#stopped !== undefined) throw this.#stopped;
      this.#lastId += 1;
      const id = this.#lastId;
      const call: WorkerCall = { id, name, args };
      this.#worker.postMessage(call, buffersOf(args));
      // The worker answers with what this operation gives.
      this.#waiting.set(id, { resolve: resolve as (result: unknown) => void, reject });
    });
  }

  async close(): Promise<void> {
    if (this.#stopped !== undefined) return;
    await this.call('close');
    await this.terminate();
  }

  async terminate(): Promise<void> {
    this.#stop();
    await this.#worker.terminate();
  }

  #settle(reply: WorkerReply): void {
    const waiting = this.#waiting.get(reply.id);
    this.#waiting.delete(reply.id);
    if ('error' in reply) waiting?.reject(unpackError(reply.error));
    else waiting?.resolve(reply.result);
  }

  #stop(cause?: unknown): void {
    this.#stopped ??= new TransferError('internal', 'The storage thread has stopped.', { cause });
    for (const { reject } of this.#waiting.values()) reject(this.#stopped);
    this.#waiting.clear();
  }
}
