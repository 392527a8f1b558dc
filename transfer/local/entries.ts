/** What the file system says of a file, as an `Entry`, and the way back. */
import { type BigIntStats, futimesSync } from 'node:fs';
import { type Entry, type EntryKind, modeMask } from '../../protocol/entry.ts';

function kindOf(stats: BigIntStats): EntryKind {
  if (stats.isFile()) return 'file';
  if (stats.isDirectory()) return 'directory';
  return stats.isSymbolicLink() ? 'link' : 'other';
}

export function entryOf(path: string, stats: BigIntStats): Entry {
  const kind = kindOf(stats);
  return {
    path,
    kind,
    size: kind === 'file' ? Number(stats.size) : 0,
    mtimeNs: stats.mtimeNs,
    mode: Number(stats.mode) & modeMask,
    contentType: '',
  };
}

/** Sets the modification time, up to 1.2 µs off because Node takes a double. */
export function setModified(fd: number, mtimeNs: bigint): void {
  // Node takes a negative number for "now", but not a date before 1970.
  const seconds = Number(mtimeNs) / 1e9;
  futimesSync(fd, Date.now() / 1e3, seconds < 0 ? new Date(seconds * 1e3) : seconds);
}
