/** A file being received into a folder: its data and its journal, both in staging. */
import { fstat } from 'node:fs';
import { promisify } from 'node:util';
import { TransferError } from '../../protocol/errors.ts';
import { shown } from '../../protocol/paths.ts';
import { chunkCount, Ledger, segmentOf } from '../../protocol/segments.ts';
import { atOnce } from '../at-once.ts';
import { fileBuffer } from '../file-buffer.ts';
import { transferLimits } from '../limits.ts';
import type { ChunkSink, Committed, SinkOffer } from '../storage.ts';
import { isAllZero, isZeroChunk } from '../zeros.ts';
import { storageError } from './errors.ts';
import { closeFile, type FileIo, syncData, truncateFile } from './file-io.ts';
import { type JournalHeader, recordSums } from './journal.ts';
import { JournalFile } from './journal-file.ts';
import { heldSegments, readJournal } from './journal-replay.ts';
import { encodeSnapshot, packSums } from './journal-snapshot.ts';
import type { CommitRequest, OpenedPartial } from './partials.ts';

const statFile = promisify(fstat);
/** One write of this size is as fast as larger ones. */
const runBytes = 2 * 1024 * 1024;
/** The journal trails the data by no more: each append costs as much as a write of data. */
const journalTrailBytes = 2 * 1024 * 1024;
const journalTrailMs = 50;

/** What a partial needs of the storage that it is in. */
export interface PartialHost {
  readonly path: string;
  readonly io: FileIo;
  /** Whether checkpoints reach the disk. */
  readonly durable: boolean;
  /** Makes the names of the partial's files durable. */
  readonly syncNames: () => Promise<void>;
  /** Puts `bytes` in the place of the partial's journal; gives its descriptor. */
  readonly replaceJournal: (bytes: Uint8Array) => Promise<number>;
  readonly commit: (request: CommitRequest) => Promise<void>;
  readonly discard: () => Promise<void>;
  /** Called once, after the descriptors were closed. */
  readonly closed: () => Promise<void>;
}

interface Opening {
  readonly dataFd: number;
  readonly journal: JournalFile;
  readonly ledger: Ledger;
  /** What the data file has already. */
  readonly dataBytes: number;
  readonly warning: string | undefined;
}

/** Reads what an earlier attempt left, or begins anew where that cannot be continued. */
export async function openPartialSink(
  host: PartialHost,
  opened: OpenedPartial,
  offer: SinkOffer,
): Promise<PartialSink> {
  try {
    const { size: dataBytes } = await statFile(opened.dataFd);
    const { size: journalBytes } = await statFile(opened.journalFd);
    const state = await readJournal(opened.journalFd, journalBytes, dataBytes);
    const { path } = host;
    if (state === undefined) {
      const isLost = dataBytes > 0 || journalBytes > 0;
      return await beginAnew(host, opened, offer, isLost ? lostPartial : undefined);
    }
    const fits = state.header.path === path && state.header.chunkBytes === offer.chunkBytes;
    if (!fits) return await beginAnew(host, opened, offer);
    const sameVersion = offer.identity.length > 0 && equal(offer.identity, state.header.identity);
    // A stream can only be continued by the process that reads it: it could not be compared.
    if (!offer.rewindable && !sameVersion) return await beginAnew(host, opened, offer);

    // Whatever follows the valid part would follow what is appended, too.
    await truncateFile(opened.journalFd, state.bytes);
    const { ledger } = state;
    const journal = journalOf(host, opened, state.bytes, state.header, ledger);
    if (offer.size !== undefined) {
      await forgetPast(chunkCount(offer.size, offer.chunkBytes), ledger, journal);
    }
    const warning = state.damaged ? damagedPartial : undefined;
    const opening = { dataFd: opened.dataFd, journal, ledger, dataBytes, warning };
    return new PartialSink(host, opening, offer.chunkBytes);
  } catch (error) {
    await Promise.all([closeFile(opened.dataFd), closeFile(opened.journalFd)]);
    throw storageError(error, host.path);
  }
}

const lostPartial =
  'What an earlier attempt left cannot be read: the file is transferred from its beginning.';
const damagedPartial =
  'What an earlier attempt left is damaged: what is missing of it is transferred once more.';

const equal = (a: Uint8Array, b: Uint8Array): boolean => Buffer.compare(a, b) === 0;

async function beginAnew(
  host: PartialHost,
  opened: OpenedPartial,
  offer: SinkOffer,
  warning?: string,
): Promise<PartialSink> {
  // The journal first: without it the data is nothing, while it must never outlive the data.
  await truncateFile(opened.journalFd, 0);
  await truncateFile(opened.dataFd, 0);
  const { chunkBytes, identity } = offer;
  const header = { type: 'header', chunkBytes, path: host.path, identity } as const;
  const ledger = new Ledger();
  const journal = journalOf(host, opened, 0, header, ledger);
  await journal.append(header);
  const opening = { dataFd: opened.dataFd, journal, ledger, dataBytes: 0, warning };
  return new PartialSink(host, opening, chunkBytes);
}

/** The open journal of a partial that holds what `ledger` says. */
function journalOf(
  { io, syncNames, replaceJournal }: PartialHost,
  { dataFd, journalFd }: OpenedPartial,
  length: number,
  header: JournalHeader,
  ledger: Ledger,
): JournalFile {
  const snapshot = async (): Promise<Uint8Array> => {
    const { size } = await statFile(dataFd);
    return encodeSnapshot(header, ledger, size);
  };
  return new JournalFile(journalFd, length, { io, snapshot, replaceJournal, syncNames });
}

/** The source became shorter: chunks past its end, and segments that have one, are held no longer. */
async function forgetPast(chunks: number, ledger: Ledger, journal: JournalFile): Promise<void> {
  if (![...ledger.held].some(({ end }) => end > chunks)) return;
  const firstSegment = segmentOf(chunks);
  const segments = heldSegments(ledger, firstSegment);
  for (const segment of segments) ledger.forgetSegment(segment);
  const endSegment = Math.max(...segments) + 1;
  await journal.append({ type: 'forget', firstSegment, endSegment });
}

interface Untold {
  readonly first: number;
  bytes: number;
  readonly sums: bigint[];
}

const nothing = (): Untold => ({ first: 0, bytes: 0, sums: [] });

export class PartialSink implements ChunkSink {
  readonly ledger: Ledger;
  readonly ordered = false;
  readonly runChunks: number;
  readonly warning: string | undefined;
  readonly #host: PartialHost;
  readonly #chunkBytes: number;
  readonly #dataFd: number;
  readonly #journal: JournalFile;
  /** Writes, reads and checkpoints under way: descriptors are closed after the last of them. */
  readonly #busy = new Set<Promise<unknown>>();
  /** Why the journal could not follow the data. */
  #unrecorded: TransferError | undefined;
  /** Chunks that were written, and are not in the journal yet. */
  #untold = nothing();
  #telling: NodeJS.Timeout | undefined;
  /** Settles when the data write begun last is through. */
  #lastPut: Promise<unknown> = Promise.resolve();
  /** Size of the data file. */
  #dataBytes: number;
  /** What lies below chunks of zeros is read into it. */
  #below: Uint8Array | undefined;
  #closing: Promise<void> | undefined;

  constructor(host: PartialHost, opening: Opening, chunkBytes: number) {
    this.#host = host;
    this.#chunkBytes = chunkBytes;
    this.#dataFd = opening.dataFd;
    this.#journal = opening.journal;
    this.ledger = opening.ledger;
    this.#dataBytes = opening.dataBytes;
    this.warning = opening.warning;
    this.runChunks = Math.max(1, Math.floor(runBytes / chunkBytes));
  }

  write(first: number, slices: readonly Uint8Array[], sums: readonly bigint[]): Promise<void> {
    if (this.#putNow(slices, first * this.#chunkBytes)) {
      this.#record(first, slices, sums);
      return atOnce;
    }
    return this.#use(async () => {
      // One at a time: the kernel lets one writer into a file, and the others spin.
      const putting = this.#lastPut.then(() => this.#put(slices, first * this.#chunkBytes));
      this.#lastPut = putting.catch(() => undefined);
      await putting;
      if (this.#unrecorded !== undefined) throw this.#unrecorded;
      this.#record(first, slices, sums);
    });
  }

  /** As `#put` where nothing is under way that it would have to wait for; gives whether it is done. */
  #putNow(slices: readonly Uint8Array[], positionBytes: number): boolean {
    const isIdle = this.#busy.size === 0 && this.#closing === undefined;
    if (!isIdle || this.#unrecorded !== undefined || slices.some(isZeroChunk)) return false;
    if (!this.#host.io.writeNow(this.#dataFd, slices, positionBytes)) return false;
    this.#grewTo(endBytesOf(slices, positionBytes));
    return true;
  }

  #grewTo(endBytes: number): void {
    this.#dataBytes = Math.max(this.#dataBytes, endBytes);
  }

  /** Zeros are written only over something else, from an earlier attempt or a wrong segment. */
  async #put(slices: readonly Uint8Array[], positionBytes: number): Promise<void> {
    const endBytes = endBytesOf(slices, positionBytes);
    const isHole = slices.every(isZeroChunk) && (await this.#isZero(positionBytes, endBytes));
    if (!isHole) await this.#host.io.write(this.#dataFd, slices, positionBytes);
    else if (endBytes > this.#dataBytes) await truncateFile(this.#dataFd, endBytes);
    this.#grewTo(endBytes);
  }

  async #isZero(startBytes: number, endBytes: number): Promise<boolean> {
    const heldBytes = Math.min(endBytes, this.#dataBytes);
    for (let at = startBytes; at < heldBytes; ) {
      this.#below ??= fileBuffer(transferLimits.firstBatchBytes);
      const part = this.#below.subarray(0, heldBytes - at);
      const bytes = await this.#host.io.read(this.#dataFd, part, at);
      if (bytes === 0) break;
      if (!isAllZero(part.subarray(0, bytes))) return false;
      at += bytes;
    }
    return true;
  }

  /**
   * The journal follows the data, and is not waited for: a process that is killed loses what it
   * trails by. Chunks that follow one another are told together.
   */
  #record(first: number, slices: readonly Uint8Array[], sums: readonly bigint[]): void {
    this.ledger.addRun(first, sums);
    const { first: untoldFirst, sums: untold } = this.#untold;
    const follows = first === untoldFirst + untold.length;
    if (!follows || untold.length + sums.length > recordSums) this.#tell();
    if (this.#untold.sums.length === 0) this.#untold = { first, bytes: 0, sums: [] };
    this.#untold.sums.push(...sums);
    this.#untold.bytes += endBytesOf(slices, 0);
    if (this.#untold.bytes >= journalTrailBytes) this.#tell();
    else this.#telling ??= setTimeout(() => this.#tell(), journalTrailMs);
  }

  /** Appends what was written since to the journal. */
  #tell(): void {
    clearTimeout(this.#telling);
    this.#telling = undefined;
    const { first, bytes, sums } = this.#untold;
    if (sums.length === 0) return;
    this.#untold = nothing();
    const appended = this.#journal.append({ type: 'run', first, bytes, sums: packSums(sums) });
    appended.catch((error: unknown) => {
      this.#unrecorded ??= storageError(error, this.#host.path);
    });
  }

  read(buffer: Uint8Array, positionBytes: number): Promise<number> {
    return this.#use(() => this.#host.io.read(this.#dataFd, buffer, positionBytes));
  }

  forget(segment: number): void {
    this.#tell();
    this.ledger.forgetSegment(segment);
    const record = { type: 'forget', firstSegment: segment, endSegment: segment + 1 } as const;
    // If this is lost, the next attempt finds the segment wrong once more, and no worse happens.
    this.#use(() => this.#journal.append(record)).catch(() => undefined);
  }

  checkpoint(): Promise<void> {
    return this.#use(async () => {
      this.#tell();
      await this.#journal.settled();
      if (this.#unrecorded !== undefined) throw this.#unrecorded;
      if (!this.#host.durable) return;
      await this.#sync(() => syncData(this.#dataFd));
      await this.#sync(() => this.#journal.sync());
    });
  }

  /** The system forgets what it could not write: no later sync could be believed, so all is given up. */
  async #sync(step: () => Promise<void>): Promise<void> {
    try {
      await step();
    } catch (error) {
      await this.#host.discard();
      throw error;
    }
  }

  async commit(file: Committed): Promise<void> {
    await this.#settled();
    const { size, mtimeNs, mode } = file;
    const request = { path: this.#host.path, dataFd: this.#dataFd, size, mtimeNs, mode };
    await this.#use(() => this.#host.commit(request));
    await this.close();
  }

  async discard(): Promise<void> {
    await this.#settled();
    await this.#host.discard();
    await this.close();
  }

  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    await this.#settled();
    await Promise.all([closeFile(this.#dataFd), this.#journal.close()]);
    await this.#host.closed();
  }

  /** Runs `step` while the descriptors are open; its errors become TransferErrors. */
  async #use<T>(step: () => Promise<T>): Promise<T> {
    if (this.#closing !== undefined) {
      throw new TransferError('internal', `The partial of ${shown(this.#host.path)} is closed.`);
    }
    const running = step();
    this.#busy.add(running);
    try {
      return await running;
    } catch (error) {
      throw storageError(error, this.#host.path);
    } finally {
      this.#busy.delete(running);
    }
  }

  async #settled(): Promise<void> {
    await Promise.allSettled(this.#busy);
    this.#tell();
    await this.#journal.settled();
  }
}

/** Where `slices` end that begin at `positionBytes`. */
function endBytesOf(slices: readonly Uint8Array[], positionBytes: number): number {
  return slices.reduce((sum, { byteLength }) => sum + byteLength, positionBytes);
}
