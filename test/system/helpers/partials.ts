/** Partial files as they lie on disk, read by an understanding of their own. */
import { appendFile, readdir, readFile } from 'node:fs/promises';
import path from 'node:path';

export interface PartialFiles {
  readonly data: string;
  readonly journal: string;
}

/** The only partial in a staging folder; undefined when there is none. */
export async function partialIn(staging: string): Promise<PartialFiles | undefined> {
  const names = await readdir(staging).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return [];
    throw error;
  });
  const data = names.find((name) => name.endsWith('.data'));
  const journal = names.find((name) => name.endsWith('.journal'));
  if (data === undefined || journal === undefined) return undefined;
  return { data: path.join(staging, data), journal: path.join(staging, journal) };
}

export interface JournalRecordAt {
  readonly type: number;
  /** Position behind it. */
  readonly end: number;
  /** Bytes of content that a run tells of. */
  readonly bytes: number;
}

const prefixBytes = 5;
const checkBytes = 4;
const runType = 2;

/** The whole records of a journal, without looking at their checks. */
export async function journalRecords(file: string): Promise<JournalRecordAt[]> {
  const journal = await readFile(file);
  const records: JournalRecordAt[] = [];
  for (let at = 0; at + prefixBytes <= journal.length; ) {
    const type = journal.readUInt8(at + 4);
    const end = at + prefixBytes + journal.readUInt32LE(at) + checkBytes;
    if (end > journal.length) break;
    const bytes = type === runType ? Number(journal.readBigUInt64LE(at + prefixBytes + 8)) : 0;
    records.push({ type, end, bytes });
    at = end;
  }
  return records;
}

/** Content that the records tell of; each chunk is told once in a partial that saw no damage. */
export function heldBytes(records: readonly JournalRecordAt[]): number {
  return records.reduce((sum, { bytes }) => sum + bytes, 0);
}

export async function appendBytes(file: string, bytes: Uint8Array): Promise<void> {
  await appendFile(file, bytes);
}
