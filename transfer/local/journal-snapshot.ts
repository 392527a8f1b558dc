/** A journal written anew: what its records say together, in as few bytes as it takes. */
import { littleEndian } from '../../protocol/checksum.ts';
import type { Ledger } from '../../protocol/segments.ts';
import { encodeRecord, type JournalHeader, type JournalRun, recordSums } from './journal.ts';

/**
 * The journal of a partial that holds what `ledger` says; whole segments take 8 bytes each.
 * `dataBytes` is the length of its data, where its last chunk may be short.
 */
export function encodeSnapshot(
  header: JournalHeader,
  ledger: Ledger,
  dataBytes: number,
): Uint8Array {
  const records: Uint8Array[] = [encodeRecord(header)];
  for (const [first, sums] of ledger.foldedRuns()) {
    for (let from = 0; from < sums.length; from += recordSums) {
      const part = littleEndian(sums.subarray(from, from + recordSums));
      records.push(encodeRecord({ type: 'segments', firstSegment: first + from, sums: part }));
    }
  }
  for (const segment of ledger.openSegments) {
    for (const run of openRuns(ledger, segment, header.chunkBytes, dataBytes)) {
      records.push(encodeRecord(run));
    }
  }
  // Not from the pool, whose memory cannot change threads.
  const bytes = Buffer.allocUnsafeSlow(
    records.reduce((sum, { byteLength }) => sum + byteLength, 0),
  );
  let at = 0;
  for (const record of records) {
    bytes.set(record, at);
    at += record.byteLength;
  }
  return bytes;
}

/** Checksums as records have them. */
export function packSums(sums: readonly bigint[]): Uint8Array {
  return littleEndian(BigUint64Array.from(sums));
}

/** What is held of a segment that is not whole. */
function* openRuns(
  ledger: Ledger,
  segment: number,
  chunkBytes: number,
  dataBytes: number,
): Iterable<JournalRun> {
  let [first, sums]: [number, bigint[]] = [0, []];
  const run = (): JournalRun => {
    const endBytes = Math.min((first + sums.length) * chunkBytes, dataBytes);
    return { type: 'run', first, bytes: endBytes - first * chunkBytes, sums: packSums(sums) };
  };
  for (const [index, sum] of ledger.openChunks(segment)) {
    if (index !== first + sums.length) {
      if (sums.length > 0) yield run();
      [first, sums] = [index, []];
    }
    sums.push(sum);
  }
  if (sums.length > 0) yield run();
}
