/**
 * The frame table: every frame there is, with its code and both directions of its codec.
 * docs/protocol.md says the same in prose, fixtures/frames/*.hex in bytes.
 */
import { Reader, Writer } from './bytes.ts';
import { checksum } from './checksum.ts';
import { ProtocolError } from './errors.ts';
import * as bench from './frames/bench.ts';
import type { Codec } from './frames/codec.ts';
import * as connection from './frames/connection.ts';
import * as pages from './frames/pages.ts';
import * as requests from './frames/requests.ts';
import * as transfer from './frames/transfer.ts';
import { encodeHeader, type Header, headerBytes, zeroFlag } from './header.ts';
import { limits } from './limits.ts';

const table = {
  hello: connection.hello,
  proof: connection.proof,
  ping: connection.ping,
  pong: connection.pong,
  goodbye: connection.goodbye,
  credit: connection.credit,
  error: connection.error,
  cancel: connection.cancel,
  cancelled: connection.cancelled,
  list: requests.list,
  stat: requests.stat,
  mkdir: requests.mkdir,
  remove: requests.remove,
  rename: requests.rename,
  checksums: requests.checksums,
  entries: requests.entries,
  entry: requests.entry,
  done: requests.done,
  download: transfer.download,
  offer: transfer.offer,
  want: transfer.want,
  compare: transfer.compare,
  sums: transfer.sums,
  end: transfer.end,
  have: transfer.have,
  working: transfer.working,
  complete: transfer.complete,
  join: transfer.join,
  fetch: pages.fetch,
  offers: pages.offers,
  answers: pages.answers,
  results: pages.results,
  verify: pages.verify,
  digests: pages.digests,
  bench: bench.bench,
  benchReport: bench.benchReport,
} as const;

type Body<C> = C extends Codec<infer B> ? B : never;
export type ControlType = keyof typeof table;
export type ControlFrame = {
  [T in ControlType]: { readonly type: T; readonly request: number } & Body<(typeof table)[T]>;
}[ControlType];

/** File content. `payload` is valid only as long as the buffer it was read into. */
export interface ChunkFrame {
  readonly type: 'chunk';
  readonly request: number;
  readonly index: number;
  readonly payload: Uint8Array;
  readonly checksum: bigint;
  /** Whether the payload matches its checksum; a damaged one is asked for again. */
  readonly intact: boolean;
  /** Stands for a full chunk of zeros, without a payload; whether `checksum` is theirs is not looked at. */
  readonly zero: boolean;
}

export type Frame = ControlFrame | ChunkFrame;
export type FrameType = Frame['type'];
/** The frame of one type, without the fields that the header carries. */
export type FrameOf<T extends FrameType> = Extract<Frame, { type: T }>;

/** Frame type of file content. */
export const chunkCode = 0x2f;

/** All frame types with their codes on the wire. */
export const frameCodes: Readonly<Record<FrameType, number>> = {
  ...(Object.fromEntries(Object.entries(table).map(([type, { code }]) => [type, code])) as Record<
    ControlType,
    number
  >),
  chunk: chunkCode,
};

const typeByCode = new Map<number, ControlType>(
  (Object.keys(table) as ControlType[]).map((type) => [table[type].code, type]),
);

/** Whether the payload counts against the sender's in-flight limit. */
export function isBulk(type: FrameType): boolean {
  return type === 'chunk' || table[type].bulk === true;
}

/** Largest payload that a frame of this type code may announce. Throws ProtocolError for no type. */
export function payloadLimit(code: number, chunkBytesMax: number): number {
  if (code === chunkCode) return chunkBytesMax;
  if (typeByCode.has(code)) return limits.controlBytes;
  throw new ProtocolError('protocol', `Frame type ${code} is unknown.`);
}

/** Header and payload of a control frame, in one piece; `expectedBytes` saves growing into it. */
export function encodeFrame(frame: ControlFrame, expectedBytes?: number): Uint8Array {
  const codec = table[frame.type] as Codec<ControlFrame>;
  const writer = new Writer(expectedBytes);
  writer.bytes(new Uint8Array(headerBytes));
  codec.encode(writer, frame);
  const bytes = writer.done();
  const payload = bytes.subarray(headerBytes);
  if (payload.length > limits.controlBytes) {
    throw new ProtocolError('protocol', `A ${frame.type} frame would be too long.`);
  }
  const header = {
    type: codec.code,
    flags: 0,
    length: payload.length,
    request: frame.request,
    index: 0,
    checksum: checksum(payload),
  };
  encodeHeader(header, new DataView(bytes.buffer, bytes.byteOffset, bytes.length), 0);
  return bytes;
}

function checkHeader(header: Header, scope: Codec<unknown>['scope']): void {
  if (header.flags !== 0 || header.index !== 0) {
    throw new ProtocolError('protocol', 'A header field is not 0.');
  }
  if (scope !== 'either' && (header.request === 0) !== (scope === 'connection')) {
    throw new ProtocolError('protocol', 'A frame has the wrong request id.');
  }
}

/**
 * The frame that a valid header and its payload stand for. A chunk that nobody wants `verified` counts
 * as intact. Throws ProtocolError.
 */
export function decodeFrame(header: Header, payload: Uint8Array, verified = true): Frame {
  const { request, index } = header;
  if (header.type === chunkCode) {
    const zero = header.flags === zeroFlag;
    const hasFlags = header.flags !== 0 && !zero;
    if (hasFlags || request === 0 || zero !== (payload.length === 0)) {
      throw new ProtocolError('protocol', 'A chunk has flags, no request or no bytes.');
    }
    const intact = zero || !verified || checksum(payload) === header.checksum;
    return { type: 'chunk', request, index, payload, checksum: header.checksum, intact, zero };
  }
  if (checksum(payload) !== header.checksum) {
    throw new ProtocolError('corrupt', 'A frame arrived damaged.');
  }
  const type = typeByCode.get(header.type);
  if (type === undefined) {
    throw new ProtocolError('protocol', `Frame type ${header.type} is unknown.`);
  }
  const codec: Codec<unknown> = table[type];
  checkHeader(header, codec.scope);
  const reader = new Reader(payload);
  const body = codec.decode(reader);
  reader.end();
  return { type, request, ...(body as object) } as ControlFrame;
}
