/**
 * The wire by an understanding of its own: written from docs/protocol.md alone, importing nothing of
 * the project, so that what both ends of the project get wrong alike is not wrong here too. It writes
 * whatever it is told to, right or wrong.
 */
import { xxh64 } from '../../protocol/helpers/xxh64.ts';

// ---- numbers, texts, lists -----------------------------------------------------------------------

export const u8 = (value: number): Buffer => Buffer.of(value & 0xff);

export function u16(value: number): Buffer {
  const bytes = Buffer.alloc(2);
  bytes.writeUInt16LE(value & 0xffff);
  return bytes;
}

export function u32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(value >>> 0);
  return bytes;
}

export function u64(value: bigint | number): Buffer {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64LE(BigInt.asUintN(64, BigInt(value)));
  return bytes;
}

export const cat = (...parts: readonly Uint8Array[]): Buffer => Buffer.concat(parts);

/** A text behind its length; bytes are taken as they are, valid UTF-8 or not. */
export function text(value: string | Uint8Array): Buffer {
  const bytes = Buffer.from(value as string);
  return cat(u16(bytes.length), bytes);
}

export const list = (items: readonly Uint8Array[]): Buffer => cat(u16(items.length), ...items);

const field = (tag: number, value: Uint8Array): Buffer => cat(u16(tag), u16(value.length), value);

/** A type-length-value list; a field without a value is left out. */
export function fields(
  values: readonly (readonly [tag: number, value: Uint8Array | undefined])[],
): Buffer {
  return list(values.flatMap(([tag, value]) => (value === undefined ? [] : [field(tag, value)])));
}

export const critical = 0x8000;

// ---- frames --------------------------------------------------------------------------------------

export const codes = {
  hello: 0x01,
  proof: 0x02,
  ping: 0x03,
  pong: 0x04,
  goodbye: 0x05,
  credit: 0x06,
  error: 0x07,
  cancel: 0x08,
  cancelled: 0x09,
  list: 0x10,
  stat: 0x11,
  mkdir: 0x12,
  remove: 0x13,
  rename: 0x14,
  checksums: 0x15,
  entries: 0x18,
  entry: 0x19,
  done: 0x1a,
  download: 0x20,
  offer: 0x21,
  want: 0x22,
  compare: 0x23,
  sums: 0x24,
  end: 0x25,
  have: 0x26,
  working: 0x27,
  complete: 0x28,
  join: 0x29,
  chunk: 0x2f,
  fetch: 0x30,
  offers: 0x31,
  answers: 0x32,
  results: 0x33,
  verify: 0x34,
  digests: 0x35,
} as const;
export type FrameName = keyof typeof codes;

const names = new Map<number, FrameName>(
  (Object.keys(codes) as FrameName[]).map((name) => [codes[name], name]),
);
export const nameOf = (code: number): FrameName | undefined => names.get(code);

export const headerBytes = 32;
export const preambleBytes = 16;

/** What may be set wrongly on purpose. */
export interface HeaderFields {
  readonly flags?: number;
  readonly reserved?: number;
  readonly length?: number;
  readonly index?: bigint | number;
  readonly check?: number;
  readonly sum?: bigint;
}

/** The low 32 bits of XXH64 over a header without its check. */
function headerCheck(header: Uint8Array): number {
  const checked = cat(header.subarray(0, 12), header.subarray(16, headerBytes));
  return Number(xxh64(checked) & 0xffff_ffffn);
}

export function frame(
  type: FrameName | number,
  request: number,
  payload: Uint8Array = Buffer.alloc(0),
  wrong: HeaderFields = {},
): Buffer {
  const code = typeof type === 'number' ? type : codes[type];
  const header = cat(
    u8(code),
    u8(wrong.flags ?? 0),
    u16(wrong.reserved ?? 0),
    u32(wrong.length ?? payload.length),
    u32(request),
    u32(0),
    u64(wrong.index ?? 0),
    u64(wrong.sum ?? xxh64(payload)),
  );
  header.writeUInt32LE(wrong.check ?? headerCheck(header), 12);
  return cat(header, payload);
}

export function preamble(lowest = 1, highest = 1, extension: Uint8Array = Buffer.alloc(0)): Buffer {
  const magic = Buffer.from('894645525259 0d0a'.replace(' ', ''), 'hex');
  return cat(magic, u16(lowest), u16(highest), u32(extension.length), extension);
}

export interface HeardFrame {
  /** Undefined for an unknown type. */
  readonly name: FrameName | undefined;
  readonly request: number;
  readonly index: bigint;
  readonly payload: Buffer;
}

/** Splits what arrives into the preamble and frames. */
export class Splitter {
  #rest: Buffer = Buffer.alloc(0);
  preamble: Buffer | undefined;

  push(bytes: Uint8Array): HeardFrame[] {
    this.#rest = this.#rest.length === 0 ? Buffer.from(bytes) : cat(this.#rest, bytes);
    let at = 0;
    if (this.preamble === undefined) {
      if (this.#rest.length < preambleBytes) return [];
      at = preambleBytes + this.#rest.readUInt32LE(12);
      if (this.#rest.length < at) return [];
      this.preamble = Buffer.from(this.#rest.subarray(0, at));
    }
    const frames: HeardFrame[] = [];
    while (this.#rest.length - at >= headerBytes) {
      const header = this.#rest.subarray(at, at + headerBytes);
      if (header.readUInt32LE(12) !== headerCheck(header)) throw new Error('A bad header check.');
      const end = at + headerBytes + header.readUInt32LE(4);
      if (end > this.#rest.length) break;
      frames.push({
        name: nameOf(header.readUInt8(0)),
        request: header.readUInt32LE(8),
        index: header.readBigUInt64LE(16),
        payload: Buffer.from(this.#rest.subarray(at + headerBytes, end)),
      });
      at = end;
    }
    this.#rest = this.#rest.subarray(at);
    return frames;
  }
}

/** Reads fields one after the other. */
export class Cursor {
  readonly #bytes: Buffer;
  #at = 0;

  constructor(bytes: Buffer) {
    this.#bytes = bytes;
  }

  get left(): number {
    return this.#bytes.length - this.#at;
  }

  take(length: number): Buffer {
    if (length > this.left) throw new Error('A frame ends in the middle of a field.');
    this.#at += length;
    return this.#bytes.subarray(this.#at - length, this.#at);
  }

  u8 = (): number => this.take(1).readUInt8();
  u16 = (): number => this.take(2).readUInt16LE();
  u32 = (): number => this.take(4).readUInt32LE();
  u64 = (): bigint => this.take(8).readBigUInt64LE();
  text = (): string => this.take(this.u16()).toString('utf8');

  list<T>(read: () => T): T[] {
    return Array.from({ length: this.u16() }, read);
  }

  fields(): Map<number, Buffer> {
    return new Map(this.list(() => [this.u16() & ~critical, this.take(this.u16())] as const));
  }
}
