/** Whole frames to bytes and back, through the code under test. */
import { FrameDecoder } from '../../../protocol/decoder.ts';
import { chunkCode, encodeFrame, type Frame } from '../../../protocol/frames.ts';
import { encodeHeader, headerBytes, zeroFlag } from '../../../protocol/header.ts';

export const viewOf = (bytes: Uint8Array): DataView =>
  new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);

/** The bytes of any frame; a chunk's header is written as a sender does it. */
export function encode(frame: Frame): Uint8Array {
  if (frame.type !== 'chunk') return encodeFrame(frame);
  const { request, index, payload, checksum, zero } = frame;
  const bytes = new Uint8Array(headerBytes + payload.length);
  bytes.set(payload, headerBytes);
  const flags = zero ? zeroFlag : 0;
  const header = { type: chunkCode, flags, length: payload.length, request, index, checksum };
  encodeHeader(header, viewOf(bytes), 0);
  return bytes;
}

/**
 * Feeds `bytes` to a decoder as if they arrived in pieces that end at `cuts`, and gives all frames.
 * Chunk payloads are copied, since the decoder gives views.
 */
export function decode(bytes: Uint8Array, cuts: readonly number[] = []): Frame[] {
  const decoder = new FrameDecoder();
  decoder.zeroChunks = true;
  const view = viewOf(bytes);
  const frames: Frame[] = [];
  let start = 0;
  for (const end of [...cuts, bytes.length]) {
    for (;;) {
      const decoded = decoder.next(bytes, view, start, end);
      if (decoded === undefined) break;
      const { frame } = decoded;
      frames.push(frame.type === 'chunk' ? { ...frame, payload: frame.payload.slice() } : frame);
      start += decoded.length;
    }
  }
  return frames;
}

export function concat(pieces: readonly Uint8Array[]): Uint8Array {
  return Uint8Array.from(pieces.flatMap((piece) => [...piece]));
}
