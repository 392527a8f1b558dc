/**
 * Cursors over bytes, little endian. All offset arithmetic of the codec lives here, so that frame
 * codecs read like the field lists of docs/protocol.md.
 */
import { ProtocolError } from './errors.ts';

const textEncoder = new TextEncoder();
const textDecoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/** UTF-8 bytes of a UTF-16 unit at most. */
const mostBytes = 3;
/** A u64 in halves: what a half is below, and what the high one is below when all fits a double. */
const halfEnd = 2 ** 32;
const highEnd = 2 ** 21;

/** The UTF-8 bytes of `text`. */
export function utf8(text: string): Uint8Array {
  return textEncoder.encode(text);
}

/** The text of strict UTF-8 bytes. Throws ProtocolError for anything else. */
export function fromUtf8(bytes: Uint8Array): string {
  try {
    return textDecoder.decode(bytes);
  } catch (cause) {
    throw new ProtocolError('protocol', 'A text is not valid UTF-8.', { cause });
  }
}

/** Reads fields one after another; every read past the end is a ProtocolError. */
export class Reader {
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  #position = 0;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  get remaining(): number {
    return this.#bytes.byteLength - this.#position;
  }

  #take(length: number): number {
    if (length > this.remaining) {
      throw new ProtocolError('protocol', 'A frame ends in the middle of a field.');
    }
    const start = this.#position;
    this.#position += length;
    return start;
  }

  u8(): number {
    return this.#view.getUint8(this.#take(1));
  }

  u16(): number {
    return this.#view.getUint16(this.#take(2), true);
  }

  u32(): number {
    return this.#view.getUint32(this.#take(4), true);
  }

  /** A u64 that must fit a double: values from 2^53 up are refused. In halves, without a BigInt. */
  u53(): number {
    const start = this.#take(8);
    const high = this.#view.getUint32(start + 4, true);
    if (high >= highEnd) {
      throw new ProtocolError('protocol', 'A number is larger than 2^53 - 1.');
    }
    return high * halfEnd + this.#view.getUint32(start, true);
  }

  u64(): bigint {
    return this.#view.getBigUint64(this.#take(8), true);
  }

  i64(): bigint {
    return this.#view.getBigInt64(this.#take(8), true);
  }

  /** A u8 that must be 0 or 1. */
  flag(): boolean {
    const value = this.u8();
    if (value > 1) throw new ProtocolError('protocol', 'A yes-or-no field is neither 0 nor 1.');
    return value === 1;
  }

  /** A copy of `length` bytes: fields outlive the buffer they were read from. */
  bytes(length: number): Uint8Array {
    const start = this.#take(length);
    // Not slice(): Node's Buffer overrides it with one that does not copy.
    return new Uint8Array(this.#bytes.subarray(start, start + length));
  }

  /** u16 length, then that many bytes, at most `maxBytes`. */
  shortBytes(maxBytes: number): Uint8Array {
    return this.bytes(this.#shortLength(maxBytes));
  }

  #shortLength(maxBytes: number): number {
    const length = this.u16();
    if (length > maxBytes) throw new ProtocolError('protocol', 'A field is longer than its limit.');
    return length;
  }

  /** u16 length, then UTF-8 of at most `maxBytes` bytes. */
  text(maxBytes: number): string {
    const length = this.#shortLength(maxBytes);
    const start = this.#take(length);
    return fromUtf8(this.#bytes.subarray(start, start + length));
  }

  /** A u16 count of at most `max`, checked before anything is allocated for it. */
  count(max: number): number {
    const count = this.u16();
    if (count > max) throw new ProtocolError('protocol', 'A list is longer than its limit.');
    return count;
  }

  /** Throws unless everything was read. */
  end(): void {
    if (this.remaining !== 0)
      throw new ProtocolError('protocol', 'A frame is longer than its fields.');
  }
}

/** Appends fields one after another to a buffer that grows. */
export class Writer {
  #bytes: Uint8Array<ArrayBuffer>;
  #view: DataView;
  #length = 0;

  constructor(capacity = 256) {
    this.#bytes = new Uint8Array(capacity);
    this.#view = new DataView(this.#bytes.buffer);
  }

  get length(): number {
    return this.#length;
  }

  /** Makes room for `by` more bytes and gives where they go; call it before touching the buffer. */
  #grow(by: number): number {
    const start = this.#length;
    const needed = start + by;
    if (needed > this.#bytes.byteLength) {
      const larger = new Uint8Array(Math.max(needed, 2 * this.#bytes.byteLength));
      larger.set(this.#bytes);
      this.#bytes = larger;
      this.#view = new DataView(larger.buffer);
    }
    this.#length = needed;
    return start;
  }

  u8(value: number): this {
    const at = this.#grow(1);
    this.#view.setUint8(at, value);
    return this;
  }

  u16(value: number): this {
    const at = this.#grow(2);
    this.#view.setUint16(at, value, true);
    return this;
  }

  u32(value: number): this {
    const at = this.#grow(4);
    this.#view.setUint32(at, value, true);
    return this;
  }

  u53(value: number): this {
    return this.u32(value % halfEnd).u32(Math.floor(value / halfEnd));
  }

  u64(value: bigint): this {
    const at = this.#grow(8);
    this.#view.setBigUint64(at, value, true);
    return this;
  }

  i64(value: bigint): this {
    const at = this.#grow(8);
    this.#view.setBigInt64(at, value, true);
    return this;
  }

  flag(value: boolean): this {
    return this.u8(value ? 1 : 0);
  }

  bytes(value: Uint8Array): this {
    const at = this.#grow(value.byteLength);
    this.#bytes.set(value, at);
    return this;
  }

  shortBytes(value: Uint8Array): this {
    return this.u16(value.byteLength).bytes(value);
  }

  text(value: string): this {
    const start = this.#grow(2 + mostBytes * value.length);
    const { written } = textEncoder.encodeInto(value, this.#bytes.subarray(start + 2));
    this.#view.setUint16(start, written, true);
    this.#length = start + 2 + written;
    return this;
  }

  /** What was written. The writer may go on; the result is not a copy. */
  done(): Uint8Array<ArrayBuffer> {
    return this.#bytes.subarray(0, this.#length);
  }
}
