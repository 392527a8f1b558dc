/** A stream as the place of a download: one file, once. */
import type { Writable } from 'node:stream';
import type { Entry } from '../protocol/entry.ts';
import { TransferError } from '../protocol/errors.ts';
import type { Answer } from '../protocol/frames/pages.ts';
import { StreamSink } from '../transfer/local/stream-sink.ts';
import type { ChunkSink, SinkOffer, Storage } from '../transfer/storage.ts';

export class StreamStorage implements Storage {
  readonly readOnly = false;
  readonly #stream: Writable;
  #open: { sink: StreamSink; offer: SinkOffer } | undefined;

  constructor(stream: Writable) {
    this.#stream = stream;
  }

  /** After a lost connection the same sink goes on, if the file is still the same. */
  async openSink(path: string, offer: SinkOffer): Promise<ChunkSink> {
    const { chunkBytes } = offer;
    this.#open ??= { sink: new StreamSink(this.#stream, { name: path, chunkBytes }), offer };
    const { sink, offer: first } = this.#open;
    // A file that changed just now is not known by an identity yet; the digest will tell.
    const isKnown = offer.identity.length > 0 && first.identity.length > 0;
    const same =
      offer.size === first.size &&
      offer.mtimeNs === first.mtimeNs &&
      (!isKnown || Buffer.compare(offer.identity, first.identity) === 0);
    if (!same && sink.ledger.held.size > 0) {
      throw new TransferError(
        'source-changed',
        'The file changed after part of it had been written to standard output.',
      );
    }
    return sink;
  }

  async room(): Promise<undefined> {
    return undefined;
  }

  async examine(_base: string, entries: readonly Entry[]): Promise<Answer[]> {
    return entries.map(() => 'want');
  }

  async stat(): Promise<Entry> {
    throw new TransferError('not-found', 'A stream holds no files.');
  }

  async touch(): Promise<void> {
    throw unsupported();
  }

  list(): AsyncGenerator<Entry[]> {
    throw unsupported();
  }

  async mkdir(): Promise<void> {
    throw unsupported();
  }

  async remove(): Promise<void> {
    throw unsupported();
  }

  async rename(): Promise<void> {
    throw unsupported();
  }

  async openSource(): Promise<never> {
    throw unsupported();
  }

  async openScratch(): Promise<never> {
    throw unsupported();
  }

  async readSmall(): Promise<never> {
    throw unsupported();
  }

  async putSmall(): Promise<never> {
    throw unsupported();
  }

  async close(): Promise<void> {
    await this.#open?.sink.close();
  }
}

function unsupported(): TransferError {
  return new TransferError('unsupported', 'A stream cannot do that.');
}
