/** Frames that speak of the connection, or end a request of any kind. */
import { fromUtf8, type Reader, utf8, type Writer } from '../bytes.ts';
import { codeToError, errorToCode, type FailureName, ProtocolError } from '../errors.ts';
import { FieldWriter, readFields } from '../fields.ts';
import { limits } from '../limits.ts';
import { type Codec, type Empty, emptyCodec, idBytes } from './codec.ts';

/**
 * The limits that each side tells the other. Both keep to the narrower value, except that
 * `inFlightBytes` is for what the peer sends to the side that told it.
 */
export const toldLimits = [
  'chunkBytesMin',
  'chunkBytesMax',
  'inFlightBytes',
  'requests',
  'pages',
] as const;
export type ToldLimits = Readonly<Record<(typeof toldLimits)[number], number>>;

/** First frame of each side. */
export interface Hello {
  /** Names this run of the program, 16 random bytes, the same on all its connections. */
  readonly session: Uint8Array;
  /** 32 random bytes, new on each connection. */
  readonly nonce: Uint8Array;
  /** Names of optional features; each side uses those that both name. */
  readonly features: readonly string[];
  readonly limits: ToldLimits;
  /** Program and version, for logs. */
  readonly software: string;
  /** First 8 bytes of the token's hash, or undefined without authentication. */
  readonly tokenId?: Uint8Array | undefined;
  /** What the proofs are bound to: `exporter` or `none`. */
  readonly binding?: string | undefined;
}

export const nonceBytes = 32;
const tokenIdBytes = 8;
const softwareBytes = 64;
const bindingBytes = 16;
const macBytes = 32;
const helloTags = {
  session: 1,
  nonce: 2,
  features: 3,
  limits: 4,
  software: 5,
  tokenId: 6,
  binding: 7,
};

function encodeLimits(writer: Writer, told: ToldLimits): void {
  writer.u16(toldLimits.length);
  for (const name of toldLimits) writer.text(name).u53(told[name]);
}

/** Unknown limits are skipped; those not told have the value of `limits`. */
function decodeLimits(reader: Reader): ToldLimits {
  const told: Record<string, number> = {};
  for (const name of toldLimits) told[name] = limits[name];
  const count = reader.count(limits.fields);
  for (let i = 0; i < count; i += 1) {
    const name = reader.text(limits.featureBytes);
    const value = reader.u53();
    if (Object.hasOwn(told, name)) told[name] = value;
  }
  return told as ToldLimits;
}

function encodeFeatures(writer: Writer, features: readonly string[]): void {
  writer.u16(features.length);
  for (const feature of features) writer.text(feature);
}

function decodeFeatures(reader: Reader): string[] {
  return Array.from({ length: reader.count(limits.features) }, () =>
    reader.text(limits.featureBytes),
  );
}

export const hello: Codec<Hello> = {
  code: 0x01,
  scope: 'connection',
  encode(writer, body) {
    new FieldWriter()
      .add(helloTags.session, body.session, (w, value) => w.bytes(value))
      .add(helloTags.nonce, body.nonce, (w, value) => w.bytes(value))
      .add(helloTags.features, body.features, encodeFeatures)
      .add(helloTags.limits, body.limits, encodeLimits)
      .add(helloTags.software, body.software, (w, value) => w.bytes(utf8(value)))
      .add(helloTags.tokenId, body.tokenId, (w, value) => w.bytes(value))
      .add(helloTags.binding, body.binding, (w, value) => w.bytes(utf8(value)))
      .writeTo(writer);
  },
  decode(reader) {
    const fields = readFields(reader, Object.values(helloTags));
    if (fields.unknownCritical.length > 0) {
      throw new ProtocolError('protocol', 'The other side needs something this version lacks.');
    }
    const text = (maxBytes: number) => (r: Reader) =>
      fromUtf8(r.bytes(Math.min(r.remaining, maxBytes)));
    return {
      session: fields.required(helloTags.session, (r) => r.bytes(idBytes)),
      nonce: fields.required(helloTags.nonce, (r) => r.bytes(nonceBytes)),
      features: fields.optional(helloTags.features, decodeFeatures) ?? [],
      limits: fields.required(helloTags.limits, decodeLimits),
      software: fields.optional(helloTags.software, text(softwareBytes)) ?? '',
      tokenId: fields.optional(helloTags.tokenId, (r) => r.bytes(tokenIdBytes)),
      binding: fields.optional(helloTags.binding, text(bindingBytes)),
    };
  },
};

/** Proof of the token: HMAC-SHA-256 over both hellos, see docs/protocol.md. */
export const proof: Codec<{ readonly mac: Uint8Array }> = {
  code: 0x02,
  scope: 'connection',
  encode: (writer, { mac }) => void writer.bytes(mac),
  decode: (reader) => ({ mac: reader.bytes(macBytes) }),
};

/** Asks for a `pong` with the same number. */
export const ping: Codec<{ readonly token: bigint }> = {
  code: 0x03,
  scope: 'connection',
  encode: (writer, { token }) => void writer.u64(token),
  decode: (reader) => ({ token: reader.u64() }),
};

export const pong: Codec<{ readonly token: bigint }> = { ...ping, code: 0x04 };

/** "I open and accept no more requests"; those under way go on. */
export const goodbye: Codec<Empty> = emptyCodec(0x05, 'connection');

/** Bulk payload bytes that the speaker has taken off this connection since it began. */
export const credit: Codec<{ readonly consumed: number }> = {
  code: 0x06,
  scope: 'connection',
  encode: (writer, { consumed }) => void writer.u53(consumed),
  decode: (reader) => ({ consumed: reader.u53() }),
};

export interface ErrorBody {
  readonly failure: FailureName;
  /** One sentence for people: no path of the daemon's machine, no stack. */
  readonly message: string;
}

/** Writes text that the reader will accept: cut to the limit at a character's edge. */
export function writeMessage(writer: Writer, message: string): void {
  const bytes = utf8(message);
  let end = Math.min(bytes.length, limits.messageBytes);
  while (end < bytes.length && ((bytes[end] as number) & 0xc0) === 0x80) end -= 1;
  writer.shortBytes(bytes.subarray(0, end));
}

export const error: Codec<ErrorBody> = {
  code: 0x07,
  scope: 'either',
  encode: (writer, { failure, message }) => writeMessage(writer.u16(errorToCode(failure)), message),
  decode: (reader) => ({
    failure: codeToError(reader.u16()),
    message: reader.text(limits.messageBytes),
  }),
};

/** The opener doesn't want the answer any more. */
export const cancel: Codec<Empty> = emptyCodec(0x08, 'request');

/** The last frame of a side whose peer sent `error` or `cancel`. */
export const cancelled: Codec<Empty> = emptyCodec(0x09, 'request');
