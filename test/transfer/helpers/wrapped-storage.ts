/** A storage whose sources and sinks can be made to lie, fail or wait. */
import type { Entry } from '../../../protocol/entry.ts';
import type { TransferError } from '../../../protocol/errors.ts';
import type { Answer } from '../../../protocol/frames/pages.ts';
import type { Policy } from '../../../protocol/frames/transfer.ts';
import type { Ledger } from '../../../protocol/segments.ts';
import { MemoryStorage } from '../../../transfer/memory-storage.ts';
import type {
  ChunkSink,
  ChunkSource,
  Committed,
  ListOptions,
  Room,
  SinkOffer,
  SmallFile,
  Storage,
} from '../../../transfer/storage.ts';

/** Hands everything on; subclasses change what they want to. */
export class WrappedSink implements ChunkSink {
  readonly inner: ChunkSink;

  constructor(inner: ChunkSink) {
    this.inner = inner;
  }

  get ledger(): Ledger {
    return this.inner.ledger;
  }

  get ordered(): boolean {
    return this.inner.ordered;
  }

  get runChunks(): number {
    return this.inner.runChunks;
  }

  write(first: number, slices: readonly Uint8Array[], sums: readonly bigint[]): Promise<void> {
    return this.inner.write(first, slices, sums);
  }

  read(buffer: Uint8Array, positionBytes: number): Promise<number> {
    return this.inner.read(buffer, positionBytes);
  }

  forget(segment: number): void {
    this.inner.forget(segment);
  }

  checkpoint(): Promise<void> {
    return this.inner.checkpoint();
  }

  commit(file: Committed): Promise<void> {
    return this.inner.commit(file);
  }

  discard(): Promise<void> {
    return this.inner.discard();
  }

  close(): Promise<void> {
    return this.inner.close();
  }
}

export class WrappedSource implements ChunkSource {
  readonly inner: ChunkSource;

  constructor(inner: ChunkSource) {
    this.inner = inner;
  }

  get size(): number | undefined {
    return this.inner.size;
  }

  get mtimeNs(): bigint {
    return this.inner.mtimeNs;
  }

  get mode(): number {
    return this.inner.mode;
  }

  get identity(): Uint8Array {
    return this.inner.identity;
  }

  get rewindable(): boolean {
    return this.inner.rewindable;
  }

  read(buffer: Uint8Array, positionBytes: number): Promise<number> {
    return this.inner.read(buffer, positionBytes);
  }

  release(positionBytes: number): void {
    this.inner.release(positionBytes);
  }

  unchanged(): Promise<boolean> {
    return this.inner.unchanged();
  }

  close(): Promise<void> {
    return this.inner.close();
  }
}

export class WrappedStorage implements Storage {
  readonly inner: MemoryStorage;
  /** What wraps sinks and sources as they are opened. */
  wrapSink: (sink: ChunkSink, path: string) => ChunkSink = (sink) => sink;
  wrapSource: (source: ChunkSource, path: string) => ChunkSource = (source) => source;
  /** Called before each change, by its name; may wait or throw. */
  before: (operation: string, path: string) => Promise<void> | void = () => undefined;
  /** Called after each change was done, before anybody hears of it. */
  after: (operation: string, path: string) => Promise<void> | void = () => undefined;

  constructor(inner: MemoryStorage = new MemoryStorage()) {
    this.inner = inner;
  }

  get readOnly(): boolean {
    return this.inner.readOnly;
  }

  async #change<T>(operation: string, path: string, work: () => Promise<T>): Promise<T> {
    await this.before(operation, path);
    const result = await work();
    await this.after(operation, path);
    return result;
  }

  room(): Promise<Room | undefined> {
    return this.inner.room();
  }

  stat(path: string): Promise<Entry> {
    return this.inner.stat(path);
  }

  list(path: string, options: ListOptions): AsyncIterable<Entry[]> {
    return this.inner.list(path, options);
  }

  mkdir(path: string, parents: boolean): Promise<void> {
    return this.#change('mkdir', path, () => this.inner.mkdir(path, parents));
  }

  remove(path: string, recursive: boolean): Promise<void> {
    return this.#change('remove', path, () => this.inner.remove(path, recursive));
  }

  rename(from: string, to: string): Promise<void> {
    return this.#change('rename', from, () => this.inner.rename(from, to));
  }

  async openSource(path: string): Promise<ChunkSource> {
    return this.wrapSource(await this.inner.openSource(path), path);
  }

  async openSink(path: string, offer: SinkOffer, fresh: boolean): Promise<ChunkSink> {
    const sink = this.wrapSink(await this.inner.openSink(path, offer, fresh), path);
    const change = <T>(work: () => Promise<T>): Promise<T> => this.#change('commit', path, work);
    return new (class extends WrappedSink {
      override commit(file: Committed): Promise<void> {
        return change(() => this.inner.commit(file));
      }
    })(sink);
  }

  async openScratch(chunkBytes: number): Promise<ChunkSink> {
    return this.wrapSink(await this.inner.openScratch(chunkBytes), '');
  }

  touch(path: string, file: Pick<Committed, 'mtimeNs' | 'mode'>): Promise<void> {
    return this.#change('touch', path, () => this.inner.touch(path, file));
  }

  examine(base: string, entries: readonly Entry[], policy: Policy): Promise<Answer[]> {
    return this.inner.examine(base, entries, policy);
  }

  readSmall(...args: Parameters<Storage['readSmall']>): ReturnType<Storage['readSmall']> {
    return this.inner.readSmall(...args);
  }

  putSmall(base: string, files: readonly SmallFile[]): Promise<(TransferError | undefined)[]> {
    return this.#change('putSmall', base, () => this.inner.putSmall(base, files));
  }

  close(): Promise<void> {
    return this.inner.close();
  }
}
