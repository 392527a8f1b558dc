/**
 * The frame header: 32 bytes, little endian, before every payload.
 *
 *   0  u8   type
 *   1  u8   flags
 *   2  u16  reserved, 0
 *   4  u32  payload length in bytes
 *   8  u32  request id; 0 is the connection itself
 *  12  u32  header check: low 32 bits of XXH64 over bytes 0-11 and 16-31
 *  16  u64  chunk index; 0 except in `chunk`
 *  24  u64  payload checksum: XXH64 of the uncompressed payload
 */
import { checksum } from './checksum.ts';
import { ProtocolError } from './errors.ts';

export const headerBytes = 32;
/** Flag of a `chunk` without payload, which stands for one full of zeros. */
export const zeroFlag = 0b10;
const checkOffset = 12;
const checkBytes = 4;
const checkedBytes = headerBytes - checkBytes;
/** High half of the first u64 that a double cannot hold, 2^53. */
const tooHigh = 0x20_0000;

export interface Header {
  readonly type: number;
  readonly flags: number;
  readonly length: number;
  readonly request: number;
  readonly index: number;
  readonly checksum: bigint;
}

const scratch = new Uint8Array(checkedBytes);
const scratchView = new DataView(scratch.buffer);

/** What the check of the header at `offset` has to be. */
function headerCheck(view: DataView, offset: number): number {
  // This runs for every chunk: words are copied faster than bytes, or than two small arrays.
  scratchView.setBigUint64(0, view.getBigUint64(offset));
  scratchView.setUint32(8, view.getUint32(offset + 8));
  scratchView.setBigUint64(checkOffset, view.getBigUint64(offset + checkOffset + checkBytes));
  scratchView.setBigUint64(20, view.getBigUint64(offset + 24));
  return Number(BigInt.asUintN(32, checksum(scratch)));
}

/** Writes `header` at `offset`. */
export function encodeHeader(header: Header, view: DataView, offset: number): void {
  view.setUint8(offset, header.type);
  view.setUint8(offset + 1, header.flags);
  view.setUint16(offset + 2, 0);
  view.setUint32(offset + 4, header.length, true);
  view.setUint32(offset + 8, header.request, true);
  view.setBigUint64(offset + 16, BigInt(header.index), true);
  view.setBigUint64(offset + 24, header.checksum, true);
  view.setUint32(offset + checkOffset, headerCheck(view, offset), true);
}

/** Whether the header at `offset` is what its check says. */
const isIntact = (view: DataView, offset: number): boolean =>
  view.getUint32(offset + checkOffset, true) === headerCheck(view, offset);

/**
 * Whether an intact header of the same type, flags and request as `header`, but with this `index`, lies at
 * `offset`. If not, what is wrong with it is for `decodeHeader` to say.
 */
export function isHeaderLike(
  { type, flags, request }: Pick<Header, 'type' | 'flags' | 'request'>,
  index: number,
  view: DataView,
  offset: number,
): boolean {
  return (
    view.getUint32(offset, true) === type + flags * 2 ** 8 &&
    view.getUint32(offset + 8, true) === request &&
    view.getUint32(offset + 20, true) * 2 ** 32 + view.getUint32(offset + 16, true) === index &&
    isIntact(view, offset)
  );
}

/** Payload length that the header at `offset` tells. */
export const payloadLengthAt = (view: DataView, offset: number): number =>
  view.getUint32(offset + 4, true);

/** Checksum that the header at `offset` tells. */
export const checksumAt = (view: DataView, offset: number): bigint =>
  view.getBigUint64(offset + 24, true);

/**
 * Reads the header at `offset`; `view` has at least 32 bytes from there.
 * Throws ProtocolError: `corrupt` when the check fails (nothing else was looked at), `protocol` when
 * a reserved field is set or the chunk index is 2^53 or more.
 */
export function decodeHeader(view: DataView, offset: number): Header {
  if (!isIntact(view, offset)) {
    throw new ProtocolError('corrupt', 'A frame header arrived damaged.');
  }
  if (view.getUint16(offset + 2, true) !== 0) {
    throw new ProtocolError('protocol', 'A reserved header field is not 0.');
  }
  const high = view.getUint32(offset + 20, true);
  if (high >= tooHigh) {
    throw new ProtocolError('protocol', 'A chunk index is larger than 2^53 - 1.');
  }
  return {
    type: view.getUint8(offset),
    flags: view.getUint8(offset + 1),
    length: payloadLengthAt(view, offset),
    request: view.getUint32(offset + 8, true),
    index: high * 2 ** 32 + view.getUint32(offset + 16, true),
    checksum: checksumAt(view, offset),
  };
}
