/** Frames that measure: a transfer of made-up content, and what the daemon's end of it spent. */
import type { Reader } from '../bytes.ts';
import { ProtocolError } from '../errors.ts';
import { FieldWriter, readFields } from '../fields.ts';
import { type Codec, readPath, writePath } from './codec.ts';
import { readChunkBytes } from './transfer.ts';

export const benchParts = ['receive', 'send', 'hash'] as const;
/** What the daemon does: take content and drop it, make it up and send it, or only hash it. */
export type BenchPart = (typeof benchParts)[number];

export const benchStores = ['memory', 'disk'] as const;
/** Where the daemon's content comes from, or goes to before it is dropped. */
export type BenchStore = (typeof benchStores)[number];

/** Asks the daemon to take part in a measurement. `receive` makes the client the sender. */
export interface Bench {
  readonly part: BenchPart;
  readonly store: BenchStore;
  /** The share, or a folder in it, whose disk is meant; means nothing for `memory`. */
  readonly path: string;
  readonly chunkBytes: number;
  /** Bytes of content; undefined: as much as the time allows. */
  readonly size?: number | undefined;
  /** The daemon stops making content after this time; undefined: only its own limit holds. */
  readonly durationMs?: number | undefined;
  /** Bytes that the daemon's end hands to its socket or disk at a time; undefined: as for files. */
  readonly writeBytes?: number | undefined;
  /** Content that the daemon makes up a second, at most; undefined: all that it can. */
  readonly bytesPerSecond?: number | undefined;
  /** Between two `benchReport`s; undefined: one at the end. */
  readonly reportMs?: number | undefined;
  /** Bytes that the daemon puts on its disk to send them over and over; undefined: 1 GiB. */
  readonly storeBytes?: number | undefined;
  /** Whether chunks carry checksums that are verified. */
  readonly checksums: boolean;
}

const benchTags = {
  part: 1,
  store: 2,
  path: 3,
  chunkBytes: 4,
  size: 5,
  durationMs: 6,
  writeBytes: 7,
  bytesPerSecond: 8,
  reportMs: 9,
  checksums: 10,
  storeBytes: 11,
};

/** The name that a `u8` stands for. Throws ProtocolError. */
const readName =
  <T>(names: readonly T[], what: string) =>
  (reader: Reader): T => {
    const name = names[reader.u8()];
    if (name === undefined) throw new ProtocolError('protocol', `A bench's ${what} is unknown.`);
    return name;
  };

export const bench: Codec<Bench> = {
  code: 0x40,
  scope: 'request',
  encode(writer, body) {
    new FieldWriter()
      .addCritical(benchTags.part, body.part, (w, value) => w.u8(benchParts.indexOf(value)))
      .addCritical(benchTags.store, body.store, (w, value) => w.u8(benchStores.indexOf(value)))
      .add(benchTags.path, body.path, writePath)
      .add(benchTags.chunkBytes, body.chunkBytes, (w, value) => w.u32(value))
      .add(benchTags.size, body.size, (w, value) => w.u53(value))
      .add(benchTags.durationMs, body.durationMs, (w, value) => w.u32(value))
      .add(benchTags.writeBytes, body.writeBytes, (w, value) => w.u32(value))
      .add(benchTags.bytesPerSecond, body.bytesPerSecond, (w, value) => w.u53(value))
      .add(benchTags.reportMs, body.reportMs, (w, value) => w.u32(value))
      .addCritical(benchTags.checksums, body.checksums, (w, value) => w.flag(value))
      .add(benchTags.storeBytes, body.storeBytes, (w, value) => w.u53(value))
      .writeTo(writer);
  },
  decode(reader) {
    const fields = readFields(reader, Object.values(benchTags));
    if (fields.unknownCritical.length > 0) {
      throw new ProtocolError('protocol', 'A bench needs something this version lacks.');
    }
    const body = {
      part: fields.required(benchTags.part, readName(benchParts, 'part')),
      store: fields.required(benchTags.store, readName(benchStores, 'store')),
      path: fields.required(benchTags.path, readPath),
      chunkBytes: fields.required(benchTags.chunkBytes, readChunkBytes),
      size: fields.optional(benchTags.size, (r) => r.u53()),
      durationMs: fields.optional(benchTags.durationMs, (r) => r.u32()),
      writeBytes: fields.optional(benchTags.writeBytes, (r) => r.u32()),
      bytesPerSecond: fields.optional(benchTags.bytesPerSecond, (r) => r.u53()),
      reportMs: fields.optional(benchTags.reportMs, (r) => r.u32()),
      checksums: fields.required(benchTags.checksums, (r) => r.flag()),
      storeBytes: fields.optional(benchTags.storeBytes, (r) => r.u53()),
    };
    for (const name of ['writeBytes', 'bytesPerSecond', 'reportMs', 'storeBytes'] as const) {
      if (body[name] === 0) throw new ProtocolError('protocol', `A bench's ${name} is 0.`);
    }
    return body;
  },
};

/** What one end spent. All times in microseconds by its own clock. */
export interface BenchReport {
  /** Since the daemon began its part of this request; so are the next six. */
  readonly elapsedUs: number;
  /** Bytes of content that passed, or were hashed. */
  readonly bytes: number;
  /** Chunks that had to be sent again. */
  readonly chunksRepeated: number;
  /** With a read or write of the disk under way. */
  readonly diskUs: number;
  /** With a chunk waiting for the peer's `credit`. */
  readonly windowUs: number;
  /** With a chunk waiting for the socket to take it. */
  readonly socketUs: number;
  /** Held back to keep to `bytesPerSecond`. */
  readonly pacedUs: number;
  /** Of the whole process since it began, as are the next two: processor time, all its threads. */
  readonly cpuUs: number;
  /** The network thread had something to do. */
  readonly busyUs: number;
  /** The network thread had something to do or waited for it. */
  readonly threadUs: number;
  /** Memory of the daemon's machine. */
  readonly memoryBytes: number;
  /** Content on its disk that this request reads or wrote; 0 for `memory`. */
  readonly dataBytes: number;
}

const reportTags: Readonly<Record<keyof BenchReport, number>> = {
  elapsedUs: 1,
  bytes: 2,
  chunksRepeated: 3,
  diskUs: 4,
  windowUs: 5,
  socketUs: 6,
  pacedUs: 7,
  cpuUs: 8,
  busyUs: 9,
  threadUs: 10,
  memoryBytes: 11,
  dataBytes: 12,
};
const reportNames = Object.keys(reportTags) as (keyof BenchReport)[];

export const benchReport: Codec<BenchReport> = {
  code: 0x41,
  scope: 'request',
  encode(writer, body) {
    const fields = new FieldWriter();
    for (const name of reportNames) fields.add(reportTags[name], body[name], (w, v) => w.u53(v));
    fields.writeTo(writer);
  },
  decode(reader) {
    const fields = readFields(reader, Object.values(reportTags));
    if (fields.unknownCritical.length > 0) {
      throw new ProtocolError('protocol', 'A bench report has something this version lacks.');
    }
    const entries = reportNames.map((name) => [
      name,
      fields.required(reportTags[name], (r) => r.u53()),
    ]);
    return Object.fromEntries(entries) as BenchReport;
  },
};
