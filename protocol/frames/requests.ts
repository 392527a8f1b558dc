/** Requests that ask or change something, and their answers. All are opened by the client. */
import type { Reader } from '../bytes.ts';
import { decodeEntry, type Entry, encodeEntry } from '../entry.ts';
import { ProtocolError } from '../errors.ts';
import { limits } from '../limits.ts';
import { type Codec, type Empty, emptyCodec, idBytes, readPath, writePath } from './codec.ts';

/** A request that changes something names its operation, so that a lost answer can be asked again. */
export interface Operation {
  /** 16 random bytes. */
  readonly operation: Uint8Array;
}

export interface List {
  readonly path: string;
  readonly recursive: boolean;
  /** Whether entries carry content types. */
  readonly contentTypes: boolean;
}

/** Entries below a folder, in pages; parents come before what they hold. */
export const list: Codec<List> = {
  code: 0x10,
  scope: 'request',
  encode: (writer, body) =>
    void writePath(writer, body.path).flag(body.recursive).flag(body.contentTypes),
  decode: (reader) => ({
    path: readPath(reader),
    recursive: reader.flag(),
    contentTypes: reader.flag(),
  }),
};

export const stat: Codec<{ readonly path: string }> = {
  code: 0x11,
  scope: 'request',
  encode: (writer, body) => void writePath(writer, body.path),
  decode: (reader) => ({ path: readPath(reader) }),
};

/** Makes a folder; with `parents` also those above it, and one that exists is no error. */
export const mkdir: Codec<Operation & { readonly path: string; readonly parents: boolean }> = {
  code: 0x12,
  scope: 'request',
  encode: (writer, body) =>
    void writePath(writer.bytes(body.operation), body.path).flag(body.parents),
  decode: (reader) => ({
    operation: reader.bytes(idBytes),
    path: readPath(reader),
    parents: reader.flag(),
  }),
};

/** Removes a file, a link or an empty folder; with `recursive` a folder and all it holds. */
export const remove: Codec<Operation & { readonly path: string; readonly recursive: boolean }> = {
  code: 0x13,
  scope: 'request',
  encode: (writer, body) =>
    void writePath(writer.bytes(body.operation), body.path).flag(body.recursive),
  decode: (reader) => ({
    operation: reader.bytes(idBytes),
    path: readPath(reader),
    recursive: reader.flag(),
  }),
};

/** Moves a file or folder to a name that nothing has. */
export const rename: Codec<Operation & { readonly from: string; readonly to: string }> = {
  code: 0x14,
  scope: 'request',
  encode: (writer, body) =>
    void writePath(writePath(writer.bytes(body.operation), body.from), body.to),
  decode: (reader) => ({
    operation: reader.bytes(idBytes),
    from: readPath(reader),
    to: readPath(reader),
  }),
};

/** What a checksum stands for. */
export const levels = ['segment', 'chunk'] as const;
export type Level = (typeof levels)[number];

export function readLevel(reader: Reader): Level {
  const level = levels[reader.u8()];
  if (level === undefined) throw new ProtocolError('protocol', 'A checksum level is unknown.');
  return level;
}

export interface Checksums {
  readonly path: string;
  readonly level: Level;
  /** First segment or chunk asked for. */
  readonly first: number;
  /** How many at most. */
  readonly count: number;
}

/** Asks for checksums of a stored file, in chunks of 64 KiB; answered by `sums`. */
export const checksums: Codec<Checksums> = {
  code: 0x15,
  scope: 'request',
  encode: (writer, body) =>
    void writePath(writer, body.path)
      .u8(levels.indexOf(body.level))
      .u53(body.first)
      .u53(body.count),
  decode: (reader) => ({
    path: readPath(reader),
    level: readLevel(reader),
    first: reader.u53(),
    count: reader.u53(),
  }),
};

/** One page of a listing. */
export const entries: Codec<{ readonly last: boolean; readonly entries: readonly Entry[] }> = {
  code: 0x18,
  scope: 'request',
  bulk: true,
  encode(writer, body) {
    writer.flag(body.last).u16(body.entries.length);
    for (const entry of body.entries) encodeEntry(writer, entry);
  },
  decode(reader) {
    const last = reader.flag();
    const count = reader.count(limits.listingEntries);
    return { last, entries: Array.from({ length: count }, () => decodeEntry(reader)) };
  },
};

/** Answers `stat`. */
export const entry: Codec<{ readonly entry: Entry }> = {
  code: 0x19,
  scope: 'request',
  encode: (writer, body) => encodeEntry(writer, body.entry),
  decode: (reader) => ({ entry: decodeEntry(reader) }),
};

/** Answers `mkdir`, `remove` and `rename`: it is done, and durable. */
export const done: Codec<Empty> = emptyCodec(0x1a, 'request');
