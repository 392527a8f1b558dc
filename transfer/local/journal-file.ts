/** A journal on disk, appended to in whole records. */
import { syncData, truncateFile, writeFully } from './file-io.ts';
import { encodeRecord, type JournalRecord } from './journal.ts';

interface Append {
  readonly bytes: Uint8Array;
  readonly done: () => void;
  readonly failed: (error: unknown) => void;
}

/** Appends records in order; those that come while a write is under way go into the next one. */
export class JournalFile {
  readonly #fd: number;
  /** Length of the whole records in the file. */
  #length: number;
  #waiting: Append[] = [];
  #writing: Promise<void> | undefined;

  constructor(fd: number, length: number) {
    this.#fd = fd;
    this.#length = length;
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

  async sync(): Promise<void> {
    await syncData(this.#fd);
  }

  async #writeAll(): Promise<void> {
    while (this.#waiting.length > 0) {
      const batch = this.#waiting;
      this.#waiting = [];
      await this.#write(batch);
    }
    this.#writing = undefined;
  }

  async #write(batch: readonly Append[]): Promise<void> {
    const slices = batch.map(({ bytes }) => bytes);
    try {
      await writeFully(this.#fd, slices, this.#length);
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
}
