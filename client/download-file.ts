/** Downloads one file, over one or several connections, again when it changes or a connection is lost. */
import { randomBytes } from 'node:crypto';
import { FerryError, TransferError } from '../protocol/errors.ts';
import type { Offer } from '../protocol/frames/transfer.ts';
import type { Connection } from '../transfer/connection.ts';
import type { Receiving } from '../transfer/receive.ts';
import { type ReceivedFile, receiveFile } from '../transfer/receive-file.ts';
import type { Request } from '../transfer/request.ts';
import type { Storage } from '../transfer/storage.ts';
import { answerOf } from './ask.ts';
import { type Context, connectionsFor, tellFewer } from './context.ts';
import { policyOf } from './transfer-options.ts';
import { hex, sourceTries } from './upload-file.ts';

/** What to download and where to. */
export interface FileDownload {
  /** Remote path. */
  readonly path: string;
  /** Bytes, as listed. */
  readonly size: number;
  /** Where it goes, by a path of its own. */
  readonly storage: Storage;
  readonly target: string;
  /** Path in events. */
  readonly label: string;
}

/** Downloads a file. Throws TransferError for what concerns this file alone. */
export async function downloadFile(context: Context, file: FileDownload): Promise<void> {
  for (let tries = 1; ; tries += 1) {
    try {
      await new Downloading(context, file).run();
      return;
    } catch (error) {
      const changed = error instanceof FerryError && error.failure === 'source-changed';
      if (!changed || tries >= sourceTries) throw error;
    }
  }
}

class Downloading {
  readonly #context: Context;
  readonly #file: FileDownload;
  #counted = 0;
  #received = 0;
  /** The partial is begun anew at most once, however often the connection is lost. */
  #begun = false;

  constructor(context: Context, file: FileDownload) {
    this.#context = context;
    this.#file = file;
  }

  async run(): Promise<void> {
    const { session } = this.#context;
    const connections = await connectionsFor(this.#context, this.#file.size);
    try {
      const received =
        connections === 1
          ? await session.run((connection) => this.#receive([connection]))
          : await session.runOnSeveral(connections, (all) => {
              tellFewer(this.#context, all.length, this.#file.label);
              return this.#receive(all);
            });
      this.#finished(received);
    } catch (error) {
      this.#count(0);
      throw error;
    }
  }

  /** Asks for the file; gives what the daemon offers. */
  async #request(connection: Connection): Promise<{ request: Request; offer: Offer }> {
    const { path } = this.#file;
    const { sha256 } = this.#context.options;
    const request = connection.open({ type: 'download', request: 0, path, sha256 });
    const offer = await answerOf(request, 'offer');
    if (offer.path !== path || offer.sha256 !== sha256) {
      const error = new TransferError(
        'protocol',
        'The daemon offers another file than was asked for.',
      );
      request.fail(error);
      throw error;
    }
    return { request, offer };
  }

  async #receive(connections: readonly Connection[]): Promise<ReceivedFile> {
    const { session, options, job } = this.#context;
    const { storage, target } = this.#file;
    const [first, ...others] = connections;
    const { request, offer } = await this.#request(first as Connection);
    const policy = policyOf(options);
    const fresh = policy.fresh && !this.#begun;
    this.#begun = true;
    return await receiveFile(request, offer, storage, target, {
      policy: { ...policy, fresh },
      transfer: randomBytes(16),
      epoch: 1,
      connections: connections.length,
      onArrived: (bytes, repeated) => {
        this.#received += bytes;
        job.sent(bytes, repeated);
      },
      onHave: (held) => {
        session.progressed();
        this.#count(held);
      },
      onWorking: ({ phase }) => job.working(phase),
      onWarning: (message) => job.emit({ type: 'warning', message, path: this.#file.label }),
      onReceiving: (receiving) => {
        for (const other of others) void this.#join(receiving, other, offer);
      },
    });
  }

  /** Lets another connection take part, if it offers the same version of the file. */
  async #join(receiving: Receiving, connection: Connection, offer: Offer): Promise<void> {
    try {
      const other = await this.#request(connection);
      const same =
        other.offer.size === offer.size &&
        other.offer.mtimeNs === offer.mtimeNs &&
        Buffer.compare(other.offer.identity, offer.identity) === 0;
      if (same) receiving.attach(other.request);
      else other.request.fail(new TransferError('source-changed', 'The file changed.'));
    } catch (error) {
      const message = error instanceof FerryError ? error.message : String(error);
      this.#context.job.emit({
        type: 'warning',
        message: `One of the connections ended: ${message}`,
      });
    }
  }

  #count(bytes: number): void {
    this.#context.job.bytes += bytes - this.#counted;
    this.#counted = bytes;
    this.#context.job.tick();
  }

  #finished({ outcome, size, digest, sha256 }: ReceivedFile): void {
    const { job } = this.#context;
    this.#count(size);
    if (outcome !== 'skipped') job.bytesReused += Math.max(0, size - this.#received);
    job.finished(() => ({
      path: this.#file.label,
      outcome: outcome === 'released' ? 'stored' : outcome,
      bytes: size,
      ...(digest === undefined ? {} : { digest: hex(digest) }),
      ...(sha256 === undefined ? {} : { sha256: hex(sha256) }),
    }));
  }
}
