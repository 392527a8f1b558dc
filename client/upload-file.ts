/** Uploads one file, over one or several connections, again when it changes or a connection is lost. */
import type { Entry } from '../protocol/entry.ts';
import { FerryError, TransferError } from '../protocol/errors.ts';
import type { Complete, Want } from '../protocol/frames/transfer.ts';
import { limits } from '../protocol/limits.ts';
import type { Connection } from '../transfer/connection.ts';
import { Sending, type SendOptions } from '../transfer/send.ts';
import type { ChunkSource, Storage } from '../transfer/storage.ts';
import { newOperation } from './ask.ts';
import { type Context, connectionsFor, tellFewer } from './context.ts';
import { policyOf } from './transfer-options.ts';

/** A file that changes while it is sent is begun again so often. */
export const sourceTries = 3;

export function hex(digest: bigint | Uint8Array): string {
  return typeof digest === 'bigint'
    ? digest.toString(16).padStart(16, '0')
    : Buffer.from(digest).toString('hex');
}

/** Uploads `entry` of `storage` to `target`. Throws TransferError for what concerns this file alone. */
export async function uploadFile(
  context: Context,
  storage: Storage,
  entry: Entry,
  target: string,
  label: string,
): Promise<void> {
  for (let tries = 1; ; tries += 1) {
    const source = await storage.openSource(entry.path);
    try {
      await new FileUpload(context, source, target, label).run();
      return;
    } catch (error) {
      const changed = error instanceof FerryError && error.failure === 'source-changed';
      if (!changed || tries >= sourceTries) throw error;
    } finally {
      await source.close();
    }
  }
}

export class FileUpload {
  readonly #context: Context;
  readonly #source: ChunkSource;
  readonly #target: string;
  readonly #label: string;
  readonly #operation = newOperation();
  /** Bytes of this file that the job counts as done. */
  #counted = 0;
  #sent = 0;
  #isDone = false;

  constructor(context: Context, source: ChunkSource, target: string, label: string) {
    this.#context = context;
    this.#source = source;
    this.#target = target;
    this.#label = label;
  }

  async run(): Promise<void> {
    const { throttle, options } = this.#context;
    const source = throttle?.source(this.#source) ?? this.#source;
    let onWant: (want: Want) => void = () => undefined;
    const sendOptions: SendOptions = {
      chunkBytes: limits.fileChunkBytes,
      sha256: options.sha256,
      batchBytes: throttle?.batchBytes,
      onSent: (bytes, repeated) => {
        this.#sent += bytes;
        this.#context.session.progressed();
        this.#context.job.sent(bytes, repeated);
      },
      onHave: (received) => this.#count(received),
      onWorking: ({ phase }) => this.#context.job.working(phase),
      onWant: (want) => onWant(want),
    };
    const sending = new Sending(source, sendOptions);
    try {
      const connections = await this.#connections();
      const complete =
        connections === 1
          ? await this.#context.session.run((connection) => this.#send(sending, connection, 1))
          : await this.#context.session.runOnSeveral(connections, async (all) => {
              const [first, ...others] = all;
              tellFewer(this.#context, all.length, this.#label);
              onWant = (want) => {
                onWant = () => undefined;
                for (const other of others) this.#join(sending, other, want);
              };
              return await this.#send(sending, first as Connection, all.length);
            });
      this.#finished(sending.sizeBytes ?? 0, complete);
    } catch (error) {
      this.#count(0);
      throw error;
    }
  }

  async #connections(): Promise<number> {
    const { rewindable, size } = this.#source;
    return rewindable ? await connectionsFor(this.#context, size ?? 0) : 1;
  }

  async #send(sending: Sending, connection: Connection, connections: number): Promise<Complete> {
    const { size, mtimeNs, mode, identity, rewindable } = this.#source;
    const request = connection.open({
      type: 'offer',
      request: 0,
      path: this.#target,
      size,
      mtimeNs,
      mode,
      identity,
      chunkBytes: limits.fileChunkBytes,
      rewindable,
      sha256: this.#context.options.sha256,
      operation: this.#operation,
      policy: policyOf(this.#context.options),
      connections: connections > 1 ? connections : undefined,
    });
    const complete = await sending.serve(request);
    this.#isDone = true;
    return complete;
  }

  /** Another connection's part; when it is lost, the others send what it had to. */
  #join(sending: Sending, connection: Connection, { transfer, epoch }: Want): void {
    const serve = async (): Promise<void> => {
      // It may be lost by now, which must not end what it comes to help.
      await sending.serve(connection.open({ type: 'join', request: 0, transfer, epoch }));
    };
    serve().catch((error: unknown) => {
      // The file's outcome may overtake the word that this connection is not needed any more.
      if (this.#isDone) return;
      const message = error instanceof FerryError ? error.message : String(error);
      this.#context.job.emit({
        type: 'warning',
        message: `One of the connections ended: ${message}`,
      });
    });
  }

  /** Tells the job how much of this file is there. */
  #count(bytes: number): void {
    this.#context.job.bytes += bytes - this.#counted;
    this.#counted = bytes;
    this.#context.job.tick();
  }

  #finished(size: number, { outcome, digest, sha256 }: Complete): void {
    if (outcome === 'released') throw new TransferError('internal', 'The transfer lost its place.');
    const job = this.#context.job;
    if (job.totalBytes !== null && this.#source.size === undefined) job.totalBytes += size;
    this.#count(size);
    if (outcome !== 'skipped') job.bytesReused += Math.max(0, size - this.#sent);
    job.finished(() => ({
      path: this.#label,
      outcome,
      bytes: size,
      ...(digest === undefined ? {} : { digest: hex(digest) }),
      ...(sha256 === undefined ? {} : { sha256: hex(sha256) }),
    }));
  }
}
