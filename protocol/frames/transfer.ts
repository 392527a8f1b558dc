/** Frames that move one file. Upload and download use the same ones with the roles swapped. */
import type { Reader, Writer } from '../bytes.ts';
import { readMode } from '../entry.ts';
import { ProtocolError } from '../errors.ts';
import { FieldWriter, readFields } from '../fields.ts';
import { limits } from '../limits.ts';
import type { Range } from '../ranges.ts';
import { type Codec, idBytes, readPath, writePath } from './codec.ts';
import { type Level, levels, readLevel } from './requests.ts';

export const overwrites = ['always', 'newer', 'never'] as const;
export type Overwrite = (typeof overwrites)[number];

/** When the receiver takes a file that it has in some form already. */
export interface Policy {
  readonly overwrite: Overwrite;
  /** Compare content instead of size and mtime. */
  readonly checksum: boolean;
  /** Use what matches of the existing target. */
  readonly delta: boolean;
  /** Discard what an earlier attempt left. */
  readonly fresh: boolean;
  /** Times that differ by no more are equal. */
  readonly modifyWindowNs: number;
}

/** Node restores times through a double, up to 2 µs off: 10 µs is "the same". */
export const defaultPolicy: Policy = {
  overwrite: 'always',
  checksum: false,
  delta: false,
  fresh: false,
  modifyWindowNs: 10_000,
};

export function writePolicy(writer: Writer, policy: Policy): void {
  writer
    .u8(overwrites.indexOf(policy.overwrite))
    .flag(policy.checksum)
    .flag(policy.delta)
    .flag(policy.fresh)
    .u53(policy.modifyWindowNs);
}

export function readPolicy(reader: Reader): Policy {
  const overwrite = overwrites[reader.u8()];
  if (overwrite === undefined) throw new ProtocolError('protocol', 'A policy is unknown.');
  return {
    overwrite,
    checksum: reader.flag(),
    delta: reader.flag(),
    fresh: reader.flag(),
    modifyWindowNs: reader.u53(),
  };
}

/** Asks for one file; the daemon answers with `offer`. */
export interface Download {
  readonly path: string;
  /** Ask for a SHA-256 of the whole content at the end. */
  readonly sha256: boolean;
}

export const download: Codec<Download> = {
  code: 0x20,
  scope: 'request',
  encode: (writer, body) => void writePath(writer, body.path).flag(body.sha256),
  decode: (reader) => ({ path: readPath(reader), sha256: reader.flag() }),
};

/** What the sender has. In an upload it opens the request, in a download it answers `download`. */
export interface Offer {
  /** Target of an upload; the path asked for in a download. */
  readonly path: string;
  /** Bytes, or undefined for a stream whose end is not known. */
  readonly size?: number | undefined;
  readonly mtimeNs: bigint;
  readonly mode: number;
  /** Opaque name of this version of the source, at most 64 bytes; empty when it can't be trusted. */
  readonly identity: Uint8Array;
  readonly chunkBytes: number;
  /** Whether the sender can send any part again at any time; a stream cannot. */
  readonly rewindable: boolean;
  /** `end` will carry a SHA-256, and the receiver compares it before it completes. */
  readonly sha256: boolean;
  /** Upload only. */
  readonly operation?: Uint8Array | undefined;
  /** Upload only: the receiver decides by it. */
  readonly policy?: Policy | undefined;
  /** Upload only: how many connections will take part, when it is more than one. */
  readonly connections?: number | undefined;
}

const offerTags = {
  path: 1,
  size: 2,
  mtimeNs: 3,
  mode: 4,
  identity: 5,
  chunkBytes: 6,
  rewindable: 7,
  sha256: 8,
  operation: 9,
  policy: 10,
  connections: 11,
};

export const offer: Codec<Offer> = {
  code: 0x21,
  scope: 'request',
  encode(writer, body) {
    new FieldWriter()
      .add(offerTags.path, body.path, (w, value) => writePath(w, value))
      .add(offerTags.size, body.size, (w, value) => w.u53(value))
      .add(offerTags.mtimeNs, body.mtimeNs, (w, value) => w.i64(value))
      .add(offerTags.mode, body.mode, (w, value) => w.u16(value))
      .add(offerTags.identity, body.identity, (w, value) => w.bytes(value))
      .add(offerTags.chunkBytes, body.chunkBytes, (w, value) => w.u32(value))
      .addCritical(offerTags.rewindable, body.rewindable, (w, value) => w.flag(value))
      .addCritical(offerTags.sha256, body.sha256 || undefined, (w, value) => w.flag(value))
      .add(offerTags.operation, body.operation, (w, value) => w.bytes(value))
      .addCritical(offerTags.policy, body.policy, writePolicy)
      .add(offerTags.connections, body.connections, (w, value) => w.u8(value))
      .writeTo(writer);
  },
  decode(reader) {
    const fields = readFields(reader, Object.values(offerTags));
    if (fields.unknownCritical.length > 0) {
      throw new ProtocolError('protocol', 'An offer needs something this version lacks.');
    }
    return {
      path: fields.required(offerTags.path, readPath),
      size: fields.optional(offerTags.size, (r) => r.u53()),
      mtimeNs: fields.required(offerTags.mtimeNs, (r) => r.i64()),
      mode: fields.required(offerTags.mode, readMode),
      identity: fields.required(offerTags.identity, readIdentity),
      chunkBytes: fields.required(offerTags.chunkBytes, readChunkBytes),
      rewindable: fields.required(offerTags.rewindable, (r) => r.flag()),
      sha256: fields.optional(offerTags.sha256, (r) => r.flag()) ?? false,
      operation: fields.optional(offerTags.operation, (r) => r.bytes(idBytes)),
      policy: fields.optional(offerTags.policy, readPolicy),
      connections: fields.optional(offerTags.connections, (r) => r.u8()),
    };
  },
};

function readIdentity(reader: Reader): Uint8Array {
  if (reader.remaining > limits.identityBytes) {
    throw new ProtocolError('protocol', 'An identity is too long.');
  }
  return reader.bytes(reader.remaining);
}

export function readChunkBytes(reader: Reader): number {
  const bytes = reader.u32();
  if (bytes < limits.chunkBytesMin || bytes > limits.chunkBytesMax) {
    throw new ProtocolError('protocol', 'A chunk size is out of its limits.');
  }
  return bytes;
}

function writeRanges(writer: Writer, ranges: readonly Range[]): void {
  writer.u16(ranges.length);
  for (const { start, end } of ranges) writer.u53(start).u53(end);
}

/** Ranges in ascending order, neither empty nor overlapping. */
function readRanges(reader: Reader): Range[] {
  let previous = 0;
  return Array.from({ length: reader.count(limits.ranges) }, () => {
    const range = { start: reader.u53(), end: reader.u53() };
    if (range.start < previous || range.end <= range.start) {
      throw new ProtocolError('protocol', 'Ranges are empty or out of order.');
    }
    previous = range.end;
    return range;
  });
}

/** Chunks that the receiver lacks: added to those asked for before. */
export interface Want {
  /** 1, 2, 3 … within one request; `end` says which it answers. */
  readonly round: number;
  /** Names the transfer for `join`. */
  readonly transfer: Uint8Array;
  /** Grows by one at each takeover; a `join` with an older one is refused. */
  readonly epoch: number;
  /** With these chunks the receiver will have them all: `end` shall carry the digest. */
  readonly last: boolean;
  /** Ranges of chunk indexes. */
  readonly ranges: readonly Range[];
}

export const want: Codec<Want> = {
  code: 0x22,
  scope: 'request',
  encode(writer, body) {
    writer.u32(body.round).bytes(body.transfer).u32(body.epoch).flag(body.last);
    writeRanges(writer, body.ranges);
  },
  decode: (reader) => ({
    round: reader.u32(),
    transfer: reader.bytes(idBytes),
    epoch: reader.u32(),
    last: reader.flag(),
    ranges: readRanges(reader),
  }),
};

/** Asks the sender for checksums of these segments or chunks of its source. */
export const compare: Codec<{ readonly level: Level; readonly ranges: readonly Range[] }> = {
  code: 0x23,
  scope: 'request',
  encode(writer, body) {
    writeRanges(writer.u8(levels.indexOf(body.level)), body.ranges);
  },
  decode: (reader) => ({ level: readLevel(reader), ranges: readRanges(reader) }),
};

export interface Sums {
  readonly level: Level;
  /** Segment or chunk that the first checksum belongs to; the others follow it. */
  readonly first: number;
  readonly checksums: BigUint64Array;
  /** The last page of an answer to `checksums`; false within a transfer. */
  readonly last: boolean;
}

export const sums: Codec<Sums> = {
  code: 0x24,
  scope: 'request',
  bulk: true,
  encode(writer, body) {
    writer.u8(levels.indexOf(body.level)).u53(body.first).flag(body.last);
    writer.u16(body.checksums.length);
    for (const value of body.checksums) writer.u64(value);
  },
  decode(reader) {
    const level = readLevel(reader);
    const first = reader.u53();
    const last = reader.flag();
    const checksums = new BigUint64Array(reader.count(limits.checksums));
    for (let i = 0; i < checksums.length; i += 1) checksums[i] = reader.u64();
    return { level, first, last, checksums };
  },
};

/** Everything asked for up to `round` was sent. */
export interface End {
  readonly round: number;
  /** Bytes of the whole file. */
  readonly size: number;
  /** Answers a `want` with `last`. */
  readonly digest?: bigint | undefined;
  readonly sha256?: Uint8Array | undefined;
}

const sha256Bytes = 32;

function writeOptional<T>(
  writer: Writer,
  value: T | undefined,
  write: (writer: Writer, value: T) => void,
): void {
  writer.flag(value !== undefined);
  if (value !== undefined) write(writer, value);
}

const readOptional = <T>(reader: Reader, read: (reader: Reader) => T): T | undefined =>
  reader.flag() ? read(reader) : undefined;

export const end: Codec<End> = {
  code: 0x25,
  scope: 'request',
  encode(writer, body) {
    writer.u32(body.round).u53(body.size);
    writeOptional(writer, body.digest, (w, value) => w.u64(value));
    writeOptional(writer, body.sha256, (w, value) => w.bytes(value));
  },
  decode: (reader) => ({
    round: reader.u32(),
    size: reader.u53(),
    digest: readOptional(reader, (r) => r.u64()),
    sha256: readOptional(reader, (r) => r.bytes(sha256Bytes)),
  }),
};

/** What the receiver holds, told at each checkpoint. */
export interface Have {
  /** Bytes of the file that were verified and written. */
  readonly received: number;
  /** Leading bytes of the file that would survive a power loss of the receiver. */
  readonly durable: number;
}

export const have: Codec<Have> = {
  code: 0x26,
  scope: 'request',
  encode: (writer, body) => void writer.u53(body.received).u53(body.durable),
  decode: (reader) => ({ received: reader.u53(), durable: reader.u53() }),
};

export const phases = ['comparing', 'verifying', 'syncing', 'hashing', 'waiting'] as const;
export type Phase = (typeof phases)[number];

/**
 * Something silent is going on, `done` of `total` bytes; while `done` grows it counts as progress.
 * `waiting` is for a stream's producer, in seconds and with no total.
 */
export interface Working {
  readonly phase: Phase;
  readonly done: number;
  readonly total: number;
}

export const working: Codec<Working> = {
  code: 0x27,
  scope: 'request',
  encode: (writer, body) =>
    void writer.u8(phases.indexOf(body.phase)).u53(body.done).u53(body.total),
  decode(reader) {
    const phase = phases[reader.u8()];
    if (phase === undefined) throw new ProtocolError('protocol', 'A phase is unknown.');
    return { phase, done: reader.u53(), total: reader.u53() };
  },
};

export const outcomes = ['stored', 'unchanged', 'skipped', 'released'] as const;
/**
 * `stored`: the content is on disk under its name. `unchanged`: it was there already. `skipped`: the
 * policy said not to. `released`: this connection's part is done, another one completes.
 */
export type Outcome = (typeof outcomes)[number];

export interface Complete {
  readonly outcome: Outcome;
  readonly digest?: bigint | undefined;
  readonly sha256?: Uint8Array | undefined;
}

export const complete: Codec<Complete> = {
  code: 0x28,
  scope: 'request',
  encode(writer, body) {
    writer.u8(outcomes.indexOf(body.outcome));
    writeOptional(writer, body.digest, (w, value) => w.u64(value));
    writeOptional(writer, body.sha256, (w, value) => w.bytes(value));
  },
  decode(reader) {
    const outcome = outcomes[reader.u8()];
    if (outcome === undefined) throw new ProtocolError('protocol', 'An outcome is unknown.');
    return {
      outcome,
      digest: readOptional(reader, (r) => r.u64()),
      sha256: readOptional(reader, (r) => r.bytes(sha256Bytes)),
    };
  },
};

/** Another connection of the same session takes part in an upload; answered by `want`. */
export const join: Codec<{ readonly transfer: Uint8Array; readonly epoch: number }> = {
  code: 0x29,
  scope: 'request',
  encode: (writer, body) => void writer.bytes(body.transfer).u32(body.epoch),
  decode: (reader) => ({ transfer: reader.bytes(idBytes), epoch: reader.u32() }),
};
