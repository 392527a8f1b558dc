/** What a listing, a stat or a page says of one name. */
import type { Reader, Writer } from './bytes.ts';
import { ProtocolError } from './errors.ts';
import { limits } from './limits.ts';

/**
 * `unreadable` stands for something whose name or content cannot be served (a name that is not
 * UTF-8, a folder without permission): its path is for showing only, and it counts as failed.
 */
export const entryKinds = ['file', 'directory', 'link', 'other', 'unreadable'] as const;
export type EntryKind = (typeof entryKinds)[number];

export interface Entry {
  /** Relative to what was asked for; '' is that itself. */
  readonly path: string;
  readonly kind: EntryKind;
  /** Bytes of a file; 0 for everything else. */
  readonly size: number;
  /** Nanoseconds since 1970. */
  readonly mtimeNs: bigint;
  /** Permission bits with set-id and sticky, 0 to 0o7777. */
  readonly mode: number;
  /** Media type of a file, '' where none was asked for or is known. */
  readonly contentType: string;
}

/** What stands for something that cannot be served, under a name for showing. */
export function unreadable(path: string): Entry {
  return { path, kind: 'unreadable', size: 0, mtimeNs: 0n, mode: 0, contentType: '' };
}

export const modeMask = 0o7777;

/** What a folder's mode becomes: the root itself stays open to its owner, or one upload would shut everybody out. */
export function storedFolderMode(path: string, mode: number): number {
  return (mode & modeMask) | (path === '' ? 0o700 : 0);
}
const contentTypeBytes = 128;

export function encodeEntry(writer: Writer, entry: Entry): void {
  writer
    .text(entry.path)
    .u8(entryKinds.indexOf(entry.kind))
    .u53(entry.size)
    .i64(entry.mtimeNs)
    .u16(entry.mode)
    .text(entry.contentType);
}

export function readMode(reader: Reader): number {
  const mode = reader.u16();
  if (mode > modeMask) throw new ProtocolError('protocol', 'A mode has unknown bits.');
  return mode;
}

export function decodeEntry(reader: Reader): Entry {
  const path = reader.text(limits.pathBytes);
  const kind = entryKinds[reader.u8()];
  if (kind === undefined) throw new ProtocolError('protocol', 'An entry has an unknown kind.');
  const size = reader.u53();
  const mtimeNs = reader.i64();
  const mode = readMode(reader);
  const contentType = reader.text(contentTypeBytes);
  return { path, kind, size, mtimeNs, mode, contentType };
}

/** Bytes that `entry` takes at most, for filling pages up to their limit. */
export function entryBytes(entry: Entry): number {
  return 2 + 3 * entry.path.length + 1 + 8 + 8 + 2 + 2 + entry.contentType.length;
}
