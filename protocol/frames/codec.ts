/** The shape of a row in the frame table: both directions of one frame, side by side. */
import { type Reader, utf8, type Writer } from '../bytes.ts';
import { TransferError } from '../errors.ts';
import { limits } from '../limits.ts';
import { shown } from '../paths.ts';

export interface Codec<Body> {
  /** Frame type on the wire, u8. */
  readonly code: number;
  /** Whether the frame speaks of the connection (request id 0), of a request, or either. */
  readonly scope: 'connection' | 'request' | 'either';
  /** Payload counts against the sender's in-flight limit and is confirmed by `credit`. */
  readonly bulk?: true;
  encode(writer: Writer, body: Body): void;
  decode(reader: Reader): Body;
}

/** A frame without fields. */
export type Empty = Record<never, never>;

export function emptyCodec(code: number, scope: Codec<Empty>['scope']): Codec<Empty> {
  return { code, scope, encode: () => undefined, decode: () => ({}) };
}

/** Bytes of the ids that name sessions, transfers and operations. */
export const idBytes = 16;

/** A path, or one relative to another. What is no valid path is for the reader's storage to say. */
export const readPath = (reader: Reader): string => reader.text(limits.pathBytes);

/** Throws TransferError (`bad-path`) for a path that no reader would take. */
export function writePath(writer: Writer, path: string): Writer {
  const bytes = utf8(path);
  if (bytes.length > limits.pathBytes) {
    throw new TransferError(
      'bad-path',
      `The path ${shown(path)} is longer than ${limits.pathBytes} bytes.`,
    );
  }
  return writer.shortBytes(bytes);
}
