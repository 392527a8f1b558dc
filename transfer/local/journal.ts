/**
 * What a partial's journal says, as bytes: records one after another, appended only.
 *
 * Most records are runs, which tell of chunks one by one. So that a large file's journal is read in no
 * time, it is written anew now and then (journal-file.ts), and tells of whole segments by 8 bytes each.
 *
 * A record is u32 length of the payload, u8 type, payload, u32 check (low half of the XXH64 of all
 * before it), little endian. The first is the header. Reading stops at the first record that is not
 * whole and right: what comes before it is the journal, the rest never happened. A journal only
 * claims; whether the disk still holds what it claims is found by reading that back.
 */
import { Reader, utf8, Writer } from '../../protocol/bytes.ts';
import { checksum } from '../../protocol/checksum.ts';
import { ProtocolError } from '../../protocol/errors.ts';
import { limits } from '../../protocol/limits.ts';

/** A journal of another version is not read, and its partial starts anew. */
const journalVersion = 2;
const magic = utf8('chunkferry journal\n');

/** Names the partial. Always the first record, and only that. */
export interface JournalHeader {
  readonly type: 'header';
  readonly chunkBytes: number;
  /** Wire path of the target. */
  readonly path: string;
  /** The version of the source that the partial began with; empty when unknown. */
  readonly identity: Uint8Array;
}

/** Chunks that were written, with their checksums. */
export interface JournalRun {
  readonly type: 'run';
  readonly first: number;
  /** Bytes of all the chunks: only the last one of a file is short. */
  readonly bytes: number;
  /** XXH64 of each chunk, 8 bytes little endian, as `fold` takes them. */
  readonly sums: Uint8Array;
}

/** Segments whose chunks are held no longer. */
export interface JournalForget {
  readonly type: 'forget';
  readonly firstSegment: number;
  readonly endSegment: number;
}

/** Whole segments, one after another. */
export interface JournalSegments {
  readonly type: 'segments';
  readonly firstSegment: number;
  /** Checksum of each segment, 8 bytes little endian. */
  readonly sums: Uint8Array;
}

export type JournalRecord = JournalHeader | JournalRun | JournalForget | JournalSegments;

interface RecordCodec<T> {
  readonly code: number;
  readonly encode: (writer: Writer, record: T) => void;
  readonly decode: (reader: Reader) => T;
}

const codecs: { readonly [T in JournalRecord['type']]: RecordCodec<JournalRecord & { type: T }> } =
  {
    header: {
      code: 1,
      encode: (writer, record) =>
        void writer
          .shortBytes(magic)
          .u16(journalVersion)
          .u32(record.chunkBytes)
          .text(record.path)
          .shortBytes(record.identity),
      decode(reader) {
        const isOurs = Buffer.compare(reader.shortBytes(magic.byteLength), magic) === 0;
        if (!isOurs || reader.u16() !== journalVersion) throw unknownRecord();
        return {
          type: 'header',
          chunkBytes: reader.u32(),
          path: reader.text(limits.pathBytes),
          identity: reader.shortBytes(limits.identityBytes),
        };
      },
    },
    run: {
      code: 2,
      encode: (writer, record) =>
        void writer.u53(record.first).u53(record.bytes).bytes(record.sums),
      decode(reader) {
        const [first, bytes] = [reader.u53(), reader.u53()];
        return { type: 'run', first, bytes, sums: readSums(reader) };
      },
    },
    forget: {
      code: 3,
      encode: (writer, record) => void writer.u53(record.firstSegment).u53(record.endSegment),
      decode: (reader) => ({
        type: 'forget',
        firstSegment: reader.u53(),
        endSegment: reader.u53(),
      }),
    },
    segments: {
      code: 4,
      encode: (writer, record) => void writer.u53(record.firstSegment).bytes(record.sums),
      decode(reader) {
        const firstSegment = reader.u53();
        return { type: 'segments', firstSegment, sums: readSums(reader) };
      },
    },
  };

const codecByCode = new Map<number, RecordCodec<JournalRecord>>(
  Object.values(codecs).map((codec) => [codec.code, codec as RecordCodec<JournalRecord>]),
);

const prefixBytes = 4 + 1;
const checkBytes = 4;
export const sumBytes = 8;
/** Checksums that one record may carry. */
export const recordSums = 4096;
/** Largest payload: a full run; a header is shorter. */
const payloadBytes = 2 * 8 + recordSums * sumBytes;
/** A buffer of this size holds any record whole. */
export const recordBytes: number = prefixBytes + payloadBytes + checkBytes;

function readSums(reader: Reader): Uint8Array {
  if (reader.remaining % sumBytes !== 0) throw unknownRecord();
  return reader.bytes(reader.remaining);
}

function unknownRecord(): ProtocolError {
  return new ProtocolError('corrupt', 'A journal record is unknown.');
}

export function encodeRecord(record: JournalRecord): Uint8Array {
  // One codec of the table belongs to each type; TypeScript can't follow that through an index.
  const codec = codecs[record.type] as RecordCodec<JournalRecord>;
  const payload = new Writer();
  codec.encode(payload, record);
  const writer = new Writer(prefixBytes + payload.length + checkBytes);
  writer.u32(payload.length).u8(codec.code).bytes(payload.done());
  return writer.u32(checkOf(writer.done())).done();
}

const checkOf = (bytes: Uint8Array): number => Number(BigInt.asUintN(32, checksum(bytes)));

/** One record read from the front of `bytes`. */
interface Decoded {
  readonly record: JournalRecord;
  /** Bytes that it took. */
  readonly length: number;
}

/**
 * The record at the front of `bytes`; 'short' when more bytes are needed to tell, 'invalid' when no
 * record of this version is there.
 */
export function decodeRecord(bytes: Uint8Array): Decoded | 'short' | 'invalid' {
  if (bytes.byteLength < prefixBytes) return 'short';
  const prefix = new Reader(bytes);
  const payloadLength = prefix.u32();
  const codec = codecByCode.get(prefix.u8());
  if (payloadLength > payloadBytes || codec === undefined) return 'invalid';
  const checkAt = prefixBytes + payloadLength;
  if (bytes.byteLength < checkAt + checkBytes) return 'short';
  const check = new Reader(bytes.subarray(checkAt)).u32();
  if (check !== checkOf(bytes.subarray(0, checkAt))) return 'invalid';
  try {
    const reader = new Reader(bytes.subarray(prefixBytes, checkAt));
    const record = codec.decode(reader);
    reader.end();
    return { record, length: checkAt + checkBytes };
  } catch (error) {
    if (error instanceof ProtocolError) return 'invalid';
    throw error;
  }
}
