/** Reads a journal back: what its records say together. */
import { checksum } from '../../protocol/checksum.ts';
import { limits } from '../../protocol/limits.ts';
import { Ledger, segmentOf } from '../../protocol/segments.ts';
import { pooledIo } from './file-io.ts';
import {
  decodeRecord,
  type JournalHeader,
  type JournalRecord,
  type JournalRun,
  type JournalSegments,
  recordBytes,
  sumBytes,
} from './journal.ts';

const { segmentChunks } = limits;
/** Many may be read at once: each offer that opens a partial reads one. */
const readBytes = 64 * 1024;

/** What a journal tells of its partial. */
export interface JournalState {
  readonly header: JournalHeader;
  readonly ledger: Ledger;
  /** Length of the valid part of the file. */
  readonly bytes: number;
  /** Whether something is wrong that an interruption alone does not leave behind. */
  readonly damaged: boolean;
}

/**
 * Reads a journal of `journalBytes` with bounded memory, or gives undefined when none begins there.
 * Chunks past the `dataBytes` that the data file has are left out.
 */
export async function readJournal(
  fd: number,
  journalBytes: number,
  dataBytes: number,
): Promise<JournalState | undefined> {
  if (journalBytes === 0) return undefined;
  const buffer = new Uint8Array(Math.min(readBytes, journalBytes));
  const replay = new Replay(dataBytes);
  let position = 0;
  for (;;) {
    const got = await pooledIo.read(fd, buffer, position);
    const used = replay.push(buffer.subarray(0, got));
    // A record that is not whole in a full buffer begins the next one: any record fits.
    const isOver = used <= buffer.length - recordBytes;
    if (isOver || got < buffer.length || position + got >= journalBytes) {
      return replay.state(position + used);
    }
    position += used;
  }
}

interface OpenSegment {
  /** As in a run record, with room for every chunk. */
  readonly sums: Uint8Array<ArrayBuffer>;
  /** 1 for each chunk that is there. */
  readonly held: Uint8Array;
}

/** Folds records into what they say together. */
class Replay {
  readonly #dataBytes: number;
  readonly #ledger = new Ledger();
  /** Segments that are not whole so far. */
  readonly #open = new Map<number, OpenSegment>();
  #header: JournalHeader | undefined;
  #damaged = false;

  constructor(dataBytes: number) {
    this.#dataBytes = dataBytes;
  }

  /** Takes the whole records at the front of `bytes` and gives their length. */
  push(bytes: Uint8Array): number {
    let used = 0;
    for (;;) {
      const decoded = decodeRecord(bytes.subarray(used));
      // A record that is not whole was being written; one that is wrong was whole once.
      if (decoded === 'short') return used;
      if (decoded === 'invalid' || !this.#take(decoded.record)) {
        this.#damaged = true;
        return used;
      }
      used += decoded.length;
    }
  }

  /** False for a record that cannot be at this place. */
  #take(record: JournalRecord): boolean {
    if (record.type === 'header') {
      if (this.#header !== undefined) return false;
      this.#header = record;
      return true;
    }
    if (this.#header === undefined) return false;
    switch (record.type) {
      case 'run':
        return this.#takeRun(record, this.#header.chunkBytes);
      case 'segments':
        return this.#takeSegments(record, this.#header.chunkBytes);
      case 'forget':
        this.#forget(record.firstSegment, record.endSegment);
        return true;
    }
  }

  #takeRun({ first, bytes, sums }: JournalRun, chunkBytes: number): boolean {
    const count = sums.byteLength / sumBytes;
    const start = first * chunkBytes;
    if (Math.ceil(bytes / chunkBytes) !== count || !Number.isSafeInteger(start + bytes))
      return false;
    const available = this.#dataBytes - start;
    // Records are written after their data.
    if (available < bytes) this.#damaged = true;
    const whole = available >= bytes ? count : Math.floor(Math.max(0, available) / chunkBytes);
    let index = first;
    while (index < first + whole) {
      const end = Math.min(first + whole, (segmentOf(index) + 1) * segmentChunks);
      const part = sums.subarray((index - first) * sumBytes, (end - first) * sumBytes);
      this.#takeSums(segmentOf(index), index % segmentChunks, part);
      index = end;
    }
    return true;
  }

  #takeSegments({ firstSegment, sums }: JournalSegments, chunkBytes: number): boolean {
    const segmentBytes = segmentChunks * chunkBytes;
    const count = sums.byteLength / sumBytes;
    if (!Number.isSafeInteger((firstSegment + count) * segmentBytes)) return false;
    const available = Math.floor(this.#dataBytes / segmentBytes) - firstSegment;
    if (available < count) this.#damaged = true;
    const view = new DataView(sums.buffer, sums.byteOffset, sums.byteLength);
    for (let i = 0; i < Math.min(count, available); i += 1) {
      const sum = view.getBigUint64(i * sumBytes, true);
      this.#open.delete(firstSegment + i);
      this.#ledger.addSegment(firstSegment + i, sum, segmentChunks);
    }
    return true;
  }

  /** Whole segments are folded here, from bytes: chunk by chunk a large file would take long. */
  #takeSums(segment: number, within: number, sums: Uint8Array): void {
    let open = this.#open.get(segment);
    if (open === undefined) {
      open = {
        sums: new Uint8Array(segmentChunks * sumBytes),
        held: new Uint8Array(segmentChunks),
      };
      this.#open.set(segment, open);
    }
    open.sums.set(sums, within * sumBytes);
    open.held.fill(1, within, within + sums.byteLength / sumBytes);
    if (open.held.includes(0)) return;
    this.#open.delete(segment);
    this.#ledger.addSegment(segment, checksum(open.sums), segmentChunks);
  }

  #forget(firstSegment: number, endSegment: number): void {
    for (const segment of [...heldSegments(this.#ledger, firstSegment), ...this.#open.keys()]) {
      if (segment < firstSegment || segment >= endSegment) continue;
      this.#ledger.forgetSegment(segment);
      this.#open.delete(segment);
    }
  }

  #addOpen(): void {
    for (const [segment, { sums, held }] of this.#open) {
      const view = new DataView(sums.buffer);
      for (const [within, isHeld] of held.entries()) {
        const sum = view.getBigUint64(within * sumBytes, true);
        if (isHeld === 1) this.#ledger.add(segment * segmentChunks + within, sum);
      }
    }
    this.#open.clear();
  }

  state(bytes: number): JournalState | undefined {
    if (this.#header === undefined) return undefined;
    this.#addOpen();
    return {
      header: this.#header,
      ledger: this.#ledger,
      bytes,
      damaged: this.#damaged,
    };
  }
}

/** Segments from `first` on that hold anything. */
export function heldSegments(ledger: Ledger, first: number): number[] {
  const segments = new Set<number>();
  for (const { start, end } of ledger.held) {
    const last = segmentOf(end - 1);
    for (let s = Math.max(first, segmentOf(start)); s <= last; s += 1) segments.add(s);
  }
  return [...segments];
}
