/**
 * Type-length-value fields: a list that later versions may lengthen.
 *
 *   u16  count of fields, then for each
 *   u16  tag; the top bit marks a critical field
 *   u16  length in bytes
 *        value
 *
 * A reader skips a field it doesn't know, unless it is critical: then it cannot do what is asked.
 * Each tag stands at most once.
 */
import { Reader, Writer } from './bytes.ts';
import { ProtocolError } from './errors.ts';
import { limits } from './limits.ts';

const criticalBit = 0x8000;

/** The fields a reader found, by tag without the critical bit. */
export class Fields {
  readonly #values: ReadonlyMap<number, Uint8Array>;
  /** Tags of critical fields that the reader doesn't know. */
  readonly unknownCritical: readonly number[];

  constructor(values: ReadonlyMap<number, Uint8Array>, unknownCritical: readonly number[]) {
    this.#values = values;
    this.unknownCritical = unknownCritical;
  }

  /** Decodes the field `tag` whole, or gives undefined where it is absent. */
  optional<T>(tag: number, decode: (reader: Reader) => T): T | undefined {
    const value = this.#values.get(tag);
    if (value === undefined) return undefined;
    const reader = new Reader(value);
    const result = decode(reader);
    reader.end();
    return result;
  }

  required<T>(tag: number, decode: (reader: Reader) => T): T {
    const value = this.optional(tag, decode);
    if (value === undefined) throw new ProtocolError('protocol', `Field ${tag} is missing.`);
    return value;
  }
}

/** Reads a list of fields, `known` being the tags that the caller understands. */
export function readFields(reader: Reader, known: readonly number[]): Fields {
  const values = new Map<number, Uint8Array>();
  const unknownCritical: number[] = [];
  const count = reader.count(limits.fields);
  for (let i = 0; i < count; i += 1) {
    const raw = reader.u16();
    const tag = raw & ~criticalBit;
    const value = reader.shortBytes(limits.controlBytes);
    if (values.has(tag)) throw new ProtocolError('protocol', `Field ${tag} stands twice.`);
    values.set(tag, value);
    if ((raw & criticalBit) !== 0 && !known.includes(tag)) unknownCritical.push(tag);
  }
  return new Fields(values, unknownCritical);
}

/** Collects fields, then writes them with their count. */
export class FieldWriter {
  readonly #body = new Writer();
  #count = 0;

  /** Adds a field; one whose value is undefined is left out. */
  add<T>(tag: number, value: T | undefined, encode: (writer: Writer, value: T) => void): this {
    if (value === undefined) return this;
    const field = new Writer();
    encode(field, value);
    this.#body.u16(tag).shortBytes(field.done());
    this.#count += 1;
    return this;
  }

  /** Adds a field that a reader must understand or refuse. */
  addCritical<T>(
    tag: number,
    value: T | undefined,
    encode: (writer: Writer, value: T) => void,
  ): this {
    return this.add(tag | criticalBit, value, encode);
  }

  writeTo(writer: Writer): void {
    writer.u16(this.#count).bytes(this.#body.done());
  }
}
