/**
 * Where bytes live, as the transfer sees it. The daemon serves a `Storage`; the client keeps
 * downloads in one. Local folders and memory implement it and share one conformance suite.
 *
 * Paths are wire paths (protocol/paths.ts) relative to the storage's root; every method checks them
 * with `splitPath`. Expected failures are `TransferError`s with a name from the failure table, whose
 * messages never contain a path outside the storage.
 */
import type { Entry } from '../protocol/entry.ts';
import type { TransferError } from '../protocol/errors.ts';
import type { Answer } from '../protocol/frames/pages.ts';
import type { Offer, Policy } from '../protocol/frames/transfer.ts';
import type { Ledger } from '../protocol/segments.ts';
import type { PageMemory } from './page-memory.ts';

/** One version of a file's content, to read from. */
export interface ChunkSource {
  /** Bytes, or undefined for a stream whose end is not known yet. */
  readonly size: number | undefined;
  readonly mtimeNs: bigint;
  readonly mode: number;
  /** At most 64 bytes that change whenever the content may have; empty when they can't be trusted. */
  readonly identity: Uint8Array;
  /** Whether any part can be read again at any time. */
  readonly rewindable: boolean;
  /**
   * Reads at `positionBytes` until `buffer` is full or the source ends, and gives the number of
   * bytes read. Calls may overlap, except on a source that is not rewindable: that one is read in
   * order, and again only from what was not released.
   */
  read(buffer: Uint8Array, positionBytes: number): Promise<number>;
  /** The same into several buffers, one after another, where the storage has one call for that. */
  readonly readv?:
    | ((buffers: readonly Uint8Array[], positionBytes: number) => Promise<number>)
    | undefined;
  /** Whether a read stops this thread until it is done, so that nothing is sent meanwhile. */
  readonly readsInThread?: boolean;
  /** Bytes before `positionBytes` will not be read again. */
  release(positionBytes: number): void;
  /** Whether the source still is the version that was opened. */
  unchanged(): Promise<boolean>;
  close(): Promise<void>;
}

/** What a sink must know of the source to keep a partial for it. */
export type SinkOffer = Pick<
  Offer,
  'size' | 'mtimeNs' | 'mode' | 'identity' | 'chunkBytes' | 'rewindable'
>;

/**
 * A file being received: a partial that survives interruptions until it is committed or discarded.
 * What is *received* survives the end of the process, what is *durable* a power loss.
 */
export interface ChunkSink {
  /**
   * Chunks held, with their checksums: on opening, those of an earlier attempt; `write` adds to it.
   * They are believed until `read` shows otherwise.
   */
  readonly ledger: Ledger;
  /** Whether chunks must be written in ascending order (a pipe); then `read` is not available. */
  readonly ordered: boolean;
  /** What was found wrong with an earlier attempt's partial, as a sentence for people. */
  readonly warning?: string | undefined;
  /** Chunks that one `write` should carry, where there is a choice. */
  readonly runChunks: number;
  /**
   * Writes a contiguous run of verified chunks. `slices` are valid until the promise settles.
   * `sums[i]` is the checksum of `slices[i]`. Several writes may be under way at once. Gives `atOnce`
   * where it is through when the call returns. Rejects with what went wrong, and never throws.
   */
  write(first: number, slices: readonly Uint8Array[], sums: readonly bigint[]): Promise<void>;
  /** Reads back what was written; fewer bytes than asked for means the partial is shorter. */
  read(buffer: Uint8Array, positionBytes: number): Promise<number>;
  /** The chunks of `segment` are wrong: they are held no longer. */
  forget(segment: number): void;
  /** Everything written before the call is durable when it settles. */
  checkpoint(): Promise<void>;
  /**
   * Gives the partial its name, durably: afterwards the name shows the whole new content with this
   * size, mtime and mode. After a failure nothing has changed under that name.
   */
  commit(file: Committed): Promise<void>;
  /** Deletes the partial. */
  discard(): Promise<void>;
  /** Lets go of the partial and keeps it for the next attempt. */
  close(): Promise<void>;
}

export interface Committed {
  readonly size: number;
  readonly mtimeNs: bigint;
  readonly mode: number;
}

export interface ListOptions {
  readonly recursive: boolean;
  readonly contentTypes: boolean;
}

/** A whole small file or a folder of a page. */
export interface SmallFile {
  /** `path` is relative to the page's base; kind is `file` or `directory`. */
  readonly entry: Entry;
  /** `entry.size` bytes; empty for a folder. */
  readonly content: Uint8Array;
}

/** Bytes of the disk that a storage is on. */
export interface Room {
  readonly freeBytes: number;
  readonly totalBytes: number;
}

export interface Storage {
  /** Whether it refuses every change with `permission`. */
  readonly readOnly: boolean;
  /** The entry at `path`, with `path: ''`. Symbolic links are not followed. */
  stat(path: string): Promise<Entry>;
  /**
   * Entries below the folder `path`, with paths relative to it, in batches of at most
   * `limits.listingEntries`; parents before what they hold, otherwise in no promised order. Links
   * and special files are listed, not followed; any `.chunkferry` is left out. A folder that cannot
   * be read, or a name that is not UTF-8, is an `unreadable` entry.
   */
  list(path: string, options: ListOptions): AsyncIterable<Entry[]>;
  /** Makes a folder, durably. `exists` unless `parents`, with which missing parents are made too. */
  mkdir(path: string, parents: boolean): Promise<void>;
  /** Removes durably. `not-empty` for a folder with content unless `recursive`; never the root. */
  remove(path: string, recursive: boolean): Promise<void>;
  /** Moves durably. `exists` when `to` has anything. */
  rename(from: string, to: string): Promise<void>;
  /** Opens a regular file: `not-found`, `wrong-kind`, `permission`. */
  openSource(path: string): Promise<ChunkSource>;
  /**
   * Opens the partial for `path`, continuing what an earlier attempt left unless `fresh`.
   * `wrong-kind` when `path` is a folder. Missing parents are made no later than at commit. Only one
   * sink a path at a time: the caller sees to that.
   */
  openSink(path: string, offer: SinkOffer, fresh: boolean): Promise<ChunkSink>;
  /**
   * Opens a partial without a name: it can't be committed, `checkpoint` makes its content durable, and
   * nothing of it is left when it is closed, or when the process dies.
   */
  openScratch(chunkBytes: number): Promise<ChunkSink>;
  /** Sets mode and mtime of the regular file at `path`, durably. */
  touch(path: string, file: Pick<Committed, 'mtimeNs' | 'mode'>): Promise<void>;
  /** What to do with each entry of a page: by size and mtime, or `want` when content must tell. */
  examine(base: string, entries: readonly Entry[], policy: Policy): Promise<Answer[]>;
  /**
   * Whole files of at most `limits.fileChunkBytes`; a larger one has an empty content. Contents lie
   * in `memory`, and are the caller's as long as that is; what finds no room there is not read.
   */
  readSmall(
    base: string,
    paths: readonly string[],
    memory?: PageMemory,
  ): Promise<(SmallFile | TransferError)[]>;
  /**
   * Stores a batch, each file whole or not at all, all durable when it settles; undefined where it
   * went well. Files first, then folders (made when missing, with their mode and mtime), in order.
   * The contents are the storage's until it settles, and beyond that where they are not shared memory.
   */
  putSmall(base: string, files: readonly SmallFile[]): Promise<(TransferError | undefined)[]>;
  /** What its disk has room for; undefined where that can't be told. */
  room(): Promise<Room | undefined>;
  /** Stops background work and lets go of descriptors and locks. */
  close(): Promise<void>;
}
