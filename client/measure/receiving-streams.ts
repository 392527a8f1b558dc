/** Streams from the daemon to the client. */
import { FerryError, TransferError } from '../../protocol/errors.ts';
import { defaultPolicy } from '../../protocol/frames/transfer.ts';
import { MadeUpSource } from '../../transfer/measure/made-up.ts';
import { Meter } from '../../transfer/measure/meter.ts';
import { madeUpOffer, receiveMeasured, sendMeasured } from '../../transfer/measure/transfers.ts';
import type { Request } from '../../transfer/request.ts';
import { answerOf, newOperation } from '../ask.ts';
import { newFilePath, removeFile } from './files.ts';
import { Stream } from './stream.ts';

/** Content comes from the daemon's memory or disk. */
export class ReceivingStream extends Stream {
  protected override get isHereOnDisk(): boolean {
    return this.context.settings.mode === 'disk-write';
  }

  protected override get dataBytes(): number {
    return this.isHereOnDisk ? Math.min(this.near.bytes, this.share.fileBytes) : 0;
  }

  async run(): Promise<void> {
    const { bytes, fileBytes } = this.share;
    const beganAtMs = performance.now();
    let received = 0;
    for (;;) {
      const leftMs = this.#leftMs(beganAtMs);
      if (this.isStopped || leftMs <= 0 || (bytes !== undefined && received >= bytes)) break;
      const left = bytes === undefined ? undefined : bytes - received;
      const size = this.isHereOnDisk ? Math.min(left ?? fileBytes, fileBytes) : left;
      await this.receive(size, leftMs);
      received += size ?? 0;
    }
    this.end();
  }

  /** Time that the daemon may still send. */
  #leftMs(beganAtMs: number): number {
    const { durationMs, omitMs } = this.context.settings;
    if (durationMs === undefined) return Infinity;
    return Math.ceil(beganAtMs + omitMs + durationMs - performance.now());
  }

  /** One transfer. */
  protected async receive(size: number | undefined, leftMs: number): Promise<void> {
    const { bytesPerSecond, bytes, fileBytes } = this.share;
    const request = this.open({
      part: 'send',
      size,
      bytesPerSecond,
      durationMs: leftMs === Infinity ? undefined : leftMs,
      storeBytes: bytes ?? fileBytes,
    });
    await this.receiveOn(request);
  }

  protected async receiveOn(request: Request): Promise<void> {
    const { writeBytes, checksums } = this.context.settings;
    const { meter } = this;
    const offer = await answerOf(request, 'offer');
    meter.begin();
    this.begin();
    const storage = this.isHereOnDisk ? this.context.storage : undefined;
    await receiveMeasured(request, offer, { writeBytes, checksums, meter, storage });
  }
}

/** Content comes from a file of the daemon's that was put there for that. */
export class FetchingStream extends ReceivingStream {
  #path: string | undefined;
  #request: Request | undefined;

  protected override get isHereOnDisk(): boolean {
    return false;
  }

  override async prepare(): Promise<void> {
    this.#path = newFilePath(this.context.settings.path);
    await this.#store(this.#path);
  }

  override async run(): Promise<void> {
    try {
      await super.run();
    } finally {
      await removeFile(this.context.connection, this.#path ?? '');
    }
  }

  override stop(): void {
    super.stop();
    this.#request?.cancel();
  }

  async #store(path: string): Promise<void> {
    const { connection, settings } = this.context;
    const { chunkBytes, writeBytes, checksums } = settings;
    const { bytes = Infinity, fileBytes } = this.share;
    const extent = { chunkBytes, size: Math.min(bytes, fileBytes) };
    const offer = { ...madeUpOffer(extent), path };
    const about = { operation: newOperation(), policy: defaultPolicy };
    const request = connection.open({ type: 'offer', request: 0, ...offer, ...about });
    const meter = new Meter(connection);
    const cut = { chunkBytes, writeBytes, checksums };
    const source = new MadeUpSource(extent);
    await sendMeasured(request, source, { ...cut, meter, onDisk: false, throttle: undefined });
  }

  protected override async receive(): Promise<void> {
    if (this.#path === undefined) throw new TransferError('internal', 'Nothing was stored yet.');
    this.settle();
    const question = { type: 'download', request: 0, path: this.#path, sha256: false } as const;
    this.#request = this.context.connection.open(question);
    try {
      await this.receiveOn(this.#request);
    } catch (error) {
      const isOurs = error instanceof FerryError && error.failure === 'cancelled';
      if (!isOurs || !this.isStopped) throw error;
    }
  }
}

/** The daemon's part of `hash`. */
export class HashedStream extends Stream {
  protected override get passedBytes(): number {
    return this.far.bytes;
  }

  async run(): Promise<void> {
    const { durationMs, omitMs } = this.context.settings;
    const request = this.open({
      part: 'hash',
      size: this.share.bytes,
      durationMs: durationMs === undefined ? undefined : durationMs + omitMs,
    });
    this.begin();
    await answerOf(request, 'done');
  }
}
