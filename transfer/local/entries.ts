/** What the file system says of a file, as an `Entry`, and the way back. */
import { constants, futimesSync } from 'node:fs';
import { type Entry, type EntryKind, modeMask } from '../../protocol/entry.ts';
import { libc, type Status } from './libc.ts';

const { S_IFDIR, S_IFLNK, S_IFMT, S_IFREG } = constants;

function kindOf(mode: number): EntryKind {
  switch (mode & S_IFMT) {
    case S_IFREG:
      return 'file';
    case S_IFDIR:
      return 'directory';
    case S_IFLNK:
      return 'link';
    default:
      return 'other';
  }
}

const [earliestNs, latestNs] = [-(1n << 63n), (1n << 63n) - 1n];

/** The modification time, or the nearest to it that the protocol can say: the years 1678 to 2262. */
export function modifiedNs({ mtimeNs }: Pick<Status, 'mtimeNs'>): bigint {
  if (mtimeNs < earliestNs) return earliestNs;
  return mtimeNs > latestNs ? latestNs : mtimeNs;
}

export function entryOf(path: string, stats: Status): Entry {
  const mode = Number(stats.mode);
  const kind = kindOf(mode);
  return {
    path,
    kind,
    size: kind === 'file' ? Number(stats.size) : 0,
    mtimeNs: modifiedNs(stats),
    mode: mode & modeMask,
    contentType: '',
  };
}

/** Sets the modification time; where only Node is asked up to 1 µs off, because it takes a double. */
export function setModified(fd: number, mtimeNs: bigint): void {
  if (libc()?.setModified(fd, mtimeNs) === true) return;
  // It cuts off what is less than a microsecond, and what it had from a double may be less by that.
  const ns = Number(mtimeNs) + (mtimeNs < 0n ? -500 : 500);
  // As text, since Node takes a negative number for "now", and a date has no microseconds.
  futimesSync(fd, Date.now() / 1e3, String(ns / 1e9));
}
