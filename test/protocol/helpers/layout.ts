/**
 * Bytes with a comment for each field, written without any code of protocol/: what the codec is
 * compared with must not be made by it. Only the hash function is shared.
 */
import xxhash from 'xxhash-wasm';

const { h64Raw } = await xxhash();

interface Line {
  readonly bytes: readonly number[];
  readonly comment: string;
}

/** `count` bytes of `value`, lowest first. Negative values are two's complement. */
function littleEndian(value: bigint, count: number): number[] {
  return Array.from({ length: count }, (_, i) => Number((value >> BigInt(8 * i)) & 0xffn));
}

export const hexOf = (bytes: Iterable<number>): string =>
  [...bytes].map((byte) => byte.toString(16).padStart(2, '0')).join(' ');

export function fromHex(hex: string): Uint8Array {
  const digits = hex.replace(/\s/g, '');
  if (!/^([0-9a-f]{2})*$/.test(digits)) throw new Error(`"${hex}" is not hexadecimal.`);
  return Uint8Array.from(digits.match(/../g) ?? [], (pair) => Number.parseInt(pair, 16));
}

/** Fields one after another. A label is the field's name in docs/protocol.md. */
export class Layout {
  readonly lines: Line[] = [];

  #number(label: string, value: number | bigint, count: number, note = ''): this {
    const comment = note === '' ? `${label}: ${value}` : `${label}: ${value}, ${note}`;
    this.lines.push({ bytes: littleEndian(BigInt(value), count), comment });
    return this;
  }

  u8(label: string, value: number, note?: string): this {
    return this.#number(label, value, 1, note);
  }

  u16(label: string, value: number, note?: string): this {
    return this.#number(label, value, 2, note);
  }

  u32(label: string, value: number, note?: string): this {
    return this.#number(label, value, 4, note);
  }

  u64(label: string, value: number | bigint, note?: string): this {
    return this.#number(label, value, 8, note);
  }

  /** Bytes without a length before them. */
  raw(label: string, bytes: Iterable<number>, note = ''): this {
    this.lines.push({ bytes: [...bytes], comment: note === '' ? label : `${label}: ${note}` });
    return this;
  }

  /** u16 length, then UTF-8. */
  text(label: string, value: string): this {
    const bytes = new TextEncoder().encode(value);
    this.u16(`${label}.length`, bytes.length);
    return bytes.length === 0 ? this : this.raw(label, bytes, JSON.stringify(value));
  }

  /** One type-length-value field; `critical` sets the tag's top bit. */
  field(tag: number, label: string, critical: boolean, write: (value: Layout) => void): this {
    const value = new Layout();
    write(value);
    this.u16(`${label}.tag`, critical ? tag + 0x8000 : tag, critical ? `${tag} critical` : '');
    this.u16(`${label}.bytes`, value.bytes.length);
    this.lines.push(...value.lines);
    return this;
  }

  get bytes(): Uint8Array {
    return Uint8Array.from(this.lines.flatMap((line) => line.bytes));
  }

  /** Commented hex; a long field takes several lines. */
  toString(): string {
    return this.lines
      .flatMap(({ bytes, comment }) => {
        const rows = [];
        for (let i = 0; i === 0 || i < bytes.length; i += 16) {
          rows.push(hexOf(bytes.slice(i, i + 16)));
        }
        return rows.map((row, i) => (i === 0 ? `${row.padEnd(24)} # ${comment}` : row));
      })
      .map((line) => `${line.trimEnd()}\n`)
      .join('');
  }
}

/** What a header says; a test that breaks a rule replaces a field. */
export interface HeaderFields {
  readonly type: number;
  readonly name: string;
  readonly request: number;
  readonly flags?: number;
  readonly reserved?: number;
  readonly length?: number;
  readonly index?: number | bigint;
  /** Added to the true check. */
  readonly checkOff?: bigint;
  /** What the payload checksum is of, where that is not the payload. */
  readonly content?: Uint8Array;
  /** Added to the true payload checksum. */
  readonly checksumOff?: bigint;
}

const mask64 = 0xffff_ffff_ffff_ffffn;

/** The 32 bytes of a header for `payload`. */
export function header(fields: HeaderFields, payload: Uint8Array): Layout {
  const front = new Layout()
    .u8('type', fields.type, fields.name)
    .u8('flags', fields.flags ?? 0)
    .u16('reserved', fields.reserved ?? 0)
    .u32('payload length', fields.length ?? payload.length)
    .u32('request id', fields.request);
  const back = new Layout()
    .u64('chunk index', fields.index ?? 0)
    .raw(
      'payload checksum',
      littleEndian(checksumOf(fields.content ?? payload, fields.checksumOff), 8),
    );
  const check = checksumOf([...front.bytes, ...back.bytes], fields.checkOff);
  const whole = new Layout();
  whole.lines.push(...front.lines);
  whole.raw('header check', littleEndian(check, 4));
  whole.lines.push(...back.lines);
  return whole;
}

const checksumOf = (bytes: Iterable<number>, off = 0n): bigint =>
  (h64Raw(Uint8Array.from(bytes)) + off) & mask64;

/** Header and payload. */
export function frameLayout(fields: HeaderFields, payload: Layout): Layout {
  const whole = header(fields, payload.bytes);
  whole.lines.push(...payload.lines);
  return whole;
}
