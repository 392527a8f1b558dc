/**
 * A journal on disk, appended to in whole records, and written anew when most of it says what fewer
 * bytes could say: so reading it back takes no longer for a large file than for a small one.
 */
import { closeFile, type FileIo, syncData, truncateFile } from './file-io.ts';
import { encodeRecord, type JournalRecord } from './journal.ts';

/** A journal is written anew when it is longer than twice what it was then, and this. */
export const journalSlackBytes: number = 256 * 1024;

export interface JournalHost {
  readonly io: FileIo;
  /** All that was appended so far, as a journal of its own. */
  readonly snapshot: () => Promise<Uint8Array>;
  /** Puts `bytes`, on disk where that is asked for, in the journal's place; gives its descriptor. */
  readonly replaceJournal: (bytes: Uint8Array) => Promise<number>;
  /** Makes the names of the partial's files durable. */
  readonly syncNames: () => Promise<void>;
}

interface Append {
  readonly bytes: Uint8Array;
  readonly done: () => void;
  readonly failed: (error: unknown) => void;
}

/** Appends records in order; those that come while a write is under way go into the next one. */
export class JournalFile {
  readonly #host: JournalHost;
  #fd: number;
  /** Length of the whole records in the file. */
  #length: number;
  /** It is written anew when it is longer. */
  #lengthMax: number;
  #waiting: Append[] = [];
  #writing: Promise<void> | undefined;
  /** A descriptor is closed after the last of them. */
  readonly #syncing = new Set<Promise<void>>();
  #nameIsDurable = false;

  /** Takes over the descriptor. */
  constructor(fd: number, length: number, host: JournalHost) {
    this.#fd = fd;
    this.#length = length;
    this.#lengthMax = Math.max(length, journalSlackBytes);
    this.#host = host;
  }

  /** Settles when the record is in the file; after a failure it is not, and others can follow. */
  append(record: JournalRecord): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#waiting.push({ bytes: encodeRecord(record), done: resolve, failed: reject });
      this.#writing ??= this.#writeAll();
    });
  }

  /** Settles when every record appended so far is in the file, or failed. */
  async settled(): Promise<void> {
    await this.#writing;
  }

  /** Makes it durable, and the names of the partial with it. */
  async sync(): Promise<void> {
    const syncing = syncData(this.#fd);
    this.#syncing.add(syncing);
    try {
      await syncing;
    } finally {
      this.#syncing.delete(syncing);
    }
    if (this.#nameIsDurable) return;
    this.#nameIsDurable = true;
    try {
      await this.#host.syncNames();
    } catch (error) {
      this.#nameIsDurable = false;
      throw error;
    }
  }

  /** To be called once, when nothing is under way. */
  async close(): Promise<void> {
    await closeFile(this.#fd);
  }

  async #writeAll(): Promise<void> {
    while (this.#waiting.length > 0) {
      const batch = this.#waiting;
      this.#waiting = [];
      await this.#write(batch);
      if (this.#length > this.#lengthMax) await this.#writeAnew();
    }
    this.#writing = undefined;
  }

  async #write(batch: readonly Append[]): Promise<void> {
    const slices = batch.map(({ bytes }) => bytes);
    try {
      await this.#host.io.write(this.#fd, slices, this.#length);
      this.#length += slices.reduce((sum, { byteLength }) => sum + byteLength, 0);
      for (const { done } of batch) done();
    } catch (error) {
      for (const { failed } of batch) failed(error);
      await this.#cutTail();
    }
  }

  /** What a failed write left behind must not be taken for records that come later. */
  async #cutTail(): Promise<void> {
    // If this fails too, the next append overwrites it from the same place on, and readers check
    // each record: nothing is lost by going on.
    await truncateFile(this.#fd, this.#length).catch(() => undefined);
  }

  /** The old file stays in place until the new one is whole: a crash finds one of them. */
  async #writeAnew(): Promise<void> {
    try {
      const bytes = await this.#host.snapshot();
      const length = bytes.byteLength;
      const fd = await this.#host.replaceJournal(bytes);
      const [oldFd, syncing] = [this.#fd, [...this.#syncing]];
      [this.#fd, this.#length] = [fd, length];
      this.#nameIsDurable = false;
      await Promise.allSettled(syncing);
      await closeFile(oldFd);
    } catch {
      // The old one says the same and stays. Where the disk is full, appending will tell.
    }
    this.#lengthMax = 2 * this.#length + journalSlackBytes;
  }
}
