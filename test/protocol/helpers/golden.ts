/** A frame twice: as the codec shows it, and as bytes that were laid out by hand. */
import type { Frame } from '../../../protocol/frames.ts';
import { frameLayout, fromHex, type HeaderFields, Layout } from './layout.ts';

export interface Golden {
  /** File name in fixtures/frames. */
  readonly name: string;
  /** First line of the file. */
  readonly about: string;
  readonly frame: Frame;
  readonly layout: Layout;
}

export function golden(
  name: string,
  about: string,
  type: number,
  frame: Frame,
  write: (payload: Layout) => void,
  more: Partial<HeaderFields> = {},
): Golden {
  const payload = new Layout();
  write(payload);
  const fields = { type, name: frame.type, request: frame.request, ...more };
  return { name, about, frame, layout: frameLayout(fields, payload) };
}

/** 16 bytes that begin with `first`: ids that are easy to tell apart in hex. */
export const id = (first: number): Uint8Array =>
  Uint8Array.from({ length: 16 }, (_, i) => first + i);

export const nonce: Uint8Array = Uint8Array.from({ length: 32 }, (_, i) => 0x80 + i);
export const sha256: Uint8Array = fromHex(
  '2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824',
);
export const largest: number = 2 ** 53 - 1;

/** 2026-01-02 03:04:05.123456789 UTC */
export const mtimeNs: bigint = 1_767_323_045_123_456_789n;

export function range(payload: Layout, place: number, start: number, end: number): Layout {
  return payload.u64(`ranges[${place}].start`, start).u64(`ranges[${place}].end`, end);
}

export interface PolicyBytes {
  readonly overwrite: number;
  readonly checksum: number;
  readonly delta: number;
  readonly fresh: number;
  readonly windowNs: number;
}

export const plainPolicy: PolicyBytes = {
  overwrite: 0,
  checksum: 0,
  delta: 0,
  fresh: 0,
  windowNs: 10_000,
};

export function policy(payload: Layout, values: PolicyBytes): Layout {
  return payload
    .u8('policy.overwrite', values.overwrite)
    .u8('policy.checksum', values.checksum)
    .u8('policy.delta', values.delta)
    .u8('policy.fresh', values.fresh)
    .u64('policy.modifyWindowNs', values.windowNs);
}

export interface EntryBytes {
  readonly path: string;
  readonly kind: number;
  readonly size: number;
  readonly mtimeNs: bigint;
  readonly mode: number;
  readonly contentType: string;
}

export function entryFields(payload: Layout, label: string, entry: EntryBytes): Layout {
  return payload
    .text(`${label}.path`, entry.path)
    .u8(`${label}.kind`, entry.kind)
    .u64(`${label}.size`, entry.size)
    .u64(`${label}.mtimeNs`, entry.mtimeNs)
    .u16(`${label}.mode`, entry.mode, `octal ${entry.mode.toString(8)}`)
    .text(`${label}.contentType`, entry.contentType);
}
