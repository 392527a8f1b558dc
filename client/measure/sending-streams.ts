/** Streams from the client to the daemon. */
import { defaultPolicy } from '../../protocol/frames/transfer.ts';
import { type Extent, MadeUpSource } from '../../transfer/measure/made-up.ts';
import {
  hashMeasured,
  madeUpOffer,
  openScratchSource,
  sendMeasured,
} from '../../transfer/measure/transfers.ts';
import type { Request } from '../../transfer/request.ts';
import { Throttle } from '../../transfer/throttle.ts';
import { newOperation } from '../ask.ts';
import { newFilePath, removeFile } from './files.ts';
import { Stream, type StreamContext } from './stream.ts';

/** Content goes to the daemon's memory or disk. */
export class SendingStream extends Stream {
  readonly #throttle: Throttle | undefined;
  #confirmedBefore = 0;
  #source: MadeUpSource | undefined;
  #storeBytes = 0;
  #isRunning = false;

  constructor(context: StreamContext) {
    super(context);
    const { bytesPerSecond } = this.share;
    if (bytesPerSecond !== undefined) this.#throttle = new Throttle(bytesPerSecond);
  }

  /** What the socket holds has not arrived: the daemon's credit tells what has. */
  protected override get passedBytes(): number {
    const { confirmedBytes } = this.context.connection.sending;
    return this.#isRunning ? confirmedBytes - this.#confirmedBefore : 0;
  }

  protected override get dataBytes(): number {
    return this.#storeBytes;
  }

  protected override get isHereOnDisk(): boolean {
    return this.context.settings.mode === 'disk-read';
  }

  override stop(): void {
    super.stop();
    this.#source?.stop();
  }

  async run(): Promise<void> {
    const { bytes, fileBytes } = this.share;
    const { mode, chunkBytes } = this.context.settings;
    this.#isRunning = true;
    this.#confirmedBefore = this.context.connection.sending.confirmedBytes;
    const isStored = mode === 'disk-write' || mode === 'e2e';
    let sent = 0;
    const isThrough = (): boolean => this.isStopped || (bytes !== undefined && sent >= bytes);
    while (!isThrough()) {
      const left = bytes === undefined ? undefined : bytes - sent;
      const mostBytes = isStored ? fileBytes : undefined;
      const size = left === undefined ? undefined : Math.min(left, mostBytes ?? left);
      this.#source = await this.#open({ chunkBytes, size, mostBytes });
      try {
        await this.send(this.#source, { chunkBytes, size });
        sent += size ?? 0;
        if (isThrough()) this.end();
      } finally {
        await this.#source.close();
      }
    }
  }

  async #open(extent: Extent): Promise<MadeUpSource> {
    const { storage } = this.context;
    if (storage === undefined || !this.isHereOnDisk) return new MadeUpSource(extent);
    const { chunkBytes } = extent;
    const { bytes, fileBytes } = this.share;
    this.#storeBytes = Math.ceil((bytes ?? fileBytes) / chunkBytes) * chunkBytes;
    return await openScratchSource(storage, extent, this.#storeBytes, () => undefined);
  }

  /** One transfer. */
  protected async send(source: MadeUpSource, { size }: Extent): Promise<void> {
    await this.sendOn(this.open({ part: 'receive', size }), source);
  }

  protected async sendOn(request: Request, source: MadeUpSource): Promise<void> {
    const { chunkBytes, writeBytes, checksums } = this.context.settings;
    const { meter } = this;
    await sendMeasured(request, source, {
      chunkBytes,
      writeBytes,
      checksums,
      meter,
      onDisk: this.isHereOnDisk,
      throttle: this.#throttle,
      onBegin: () => {
        meter.begin();
        this.begin();
        // Whoever stopped us meanwhile could not know of this source.
        if (this.isStopped) source.stop();
      },
    });
  }
}

/** Content becomes a file of the daemon's, which is removed again. */
export class StoringStream extends SendingStream {
  protected override async send(source: MadeUpSource, extent: Extent): Promise<void> {
    const { connection, settings } = this.context;
    const path = newFilePath(settings.path);
    this.settle();
    const request = connection.open({
      type: 'offer',
      request: 0,
      ...madeUpOffer(extent),
      path,
      operation: newOperation(),
      policy: defaultPolicy,
    });
    try {
      await this.sendOn(request, source);
    } finally {
      await removeFile(connection, path);
    }
  }
}

/** The client's part of `hash`: no content goes anywhere. */
export class HashingStream extends Stream {
  async run(): Promise<void> {
    const { bytes = Infinity } = this.share;
    this.settle();
    this.begin();
    const { meter } = this;
    await hashMeasured(
      this.context.settings.chunkBytes,
      meter,
      () => this.isStopped || meter.bytes >= bytes,
    );
  }
}
