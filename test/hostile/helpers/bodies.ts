/** Payloads of the frames, as docs/protocol.md lays them out. */
import { randomBytes } from 'node:crypto';
import { xxh64 } from '../../protocol/helpers/xxh64.ts';
import {
  Cursor,
  cat,
  critical,
  fields,
  frame,
  type HeaderFields,
  type HeardFrame,
  list,
  text,
  u8,
  u16,
  u32,
  u64,
} from './wire.ts';

export type Path = string | Uint8Array;

export const newId = (): Buffer => randomBytes(16);
export const chunkBytes = 65_536;
const segmentChunks = 128;
/** 2001-02-03 04:05:06 UTC: old enough to be believed. */
export const someMtimeNs: bigint = 981_173_106_000_000_000n;
/** "To the end, wherever that is". */
const unbounded: bigint = 2n ** 53n - 1n;

export const kinds = { file: 0, directory: 1, link: 2, other: 3, unreadable: 4 } as const;
export const outcomes = { stored: 0, unchanged: 1, skipped: 2, released: 3 } as const;

export interface Entry {
  readonly path: Path;
  readonly kind?: number;
  readonly size?: bigint | number;
  readonly mtimeNs?: bigint;
  readonly mode?: number;
  readonly contentType?: string;
}

export function entry({
  path,
  kind = kinds.file,
  size = 0,
  mtimeNs = someMtimeNs,
  mode = kind === kinds.directory ? 0o755 : 0o644,
  contentType = '',
}: Entry): Buffer {
  return cat(text(path), u8(kind), u64(size), u64(mtimeNs), u16(mode), text(contentType));
}

export interface Policy {
  readonly overwrite?: number;
  readonly checksum?: number;
  readonly delta?: number;
  readonly fresh?: number;
  readonly modifyWindowNs?: bigint | number;
}

export function policy(policy: Policy = {}): Buffer {
  const { overwrite = 0, checksum = 0, delta = 0, fresh = 0, modifyWindowNs = 10_000 } = policy;
  return cat(u8(overwrite), u8(checksum), u8(delta), u8(fresh), u64(modifyWindowNs));
}

export interface Offer {
  readonly path: Path;
  /** Absent: a stream. */
  readonly size?: bigint | number | undefined;
  readonly mtimeNs?: bigint;
  readonly mode?: number;
  readonly identity?: Uint8Array;
  readonly chunkBytes?: number;
  readonly rewindable?: number;
  readonly sha256?: number | undefined;
  readonly operation?: Uint8Array | undefined;
  readonly policy?: Uint8Array | undefined;
  readonly connections?: number | undefined;
}

export function offer(offer: Offer): Buffer {
  const { size, sha256, operation = newId(), connections } = offer;
  return fields([
    [1, text(offer.path)],
    [2, size === undefined ? undefined : u64(size)],
    [3, u64(offer.mtimeNs ?? someMtimeNs)],
    [4, u16(offer.mode ?? 0o644)],
    [5, offer.identity ?? Buffer.alloc(0)],
    [6, u32(offer.chunkBytes ?? chunkBytes)],
    [7 | critical, u8(offer.rewindable ?? 1)],
    [8 | critical, sha256 === undefined ? undefined : u8(sha256)],
    [9, operation],
    [10 | critical, offer.policy],
    [11, connections === undefined ? undefined : u8(connections)],
  ]);
}

export const listing = (path: Path, recursive = 0, contentTypes = 0): Buffer =>
  cat(text(path), u8(recursive), u8(contentTypes));
export const stat = (path: Path): Buffer => text(path);
export const mkdir = (path: Path, parents = 0): Buffer => cat(newId(), text(path), u8(parents));
export const remove = (path: Path, recursive = 0): Buffer =>
  cat(newId(), text(path), u8(recursive));
export const rename = (from: Path, to: Path): Buffer => cat(newId(), text(from), text(to));
export const checksums = (
  path: Path,
  level = 0,
  first: bigint | number = 0,
  count: bigint | number = unbounded,
): Buffer => cat(text(path), u8(level), u64(first), u64(count));
export const download = (path: Path, sha256 = 0): Buffer => cat(text(path), u8(sha256));
export const fetch = (base: Path, paths: readonly Path[]): Buffer =>
  cat(text(base), list(paths.map(text)));
export const verify = (base: Path, paths: readonly Path[]): Buffer => fetch(base, paths);
/** No digest at all. */
export const digests = (count = 0): Buffer => list(Array.from({ length: count }, () => u8(0)));

export const offers = (
  base: Path,
  entries: readonly Entry[],
  { eager = 0, pagePolicy = policy(), operation = newId() } = {},
): Buffer => cat(operation, text(base), pagePolicy, u8(eager), list(entries.map(entry)));

export type Range = readonly [start: bigint | number, end: bigint | number];
const ranges = (all: readonly Range[]): Buffer =>
  list(all.map(([start, end]) => cat(u64(start), u64(end))));

export const want = (round: number, all: readonly Range[], last = 1): Buffer =>
  cat(u32(round), Buffer.alloc(16), u32(0), u8(last), ranges(all));
export const compare = (level: number, all: readonly Range[]): Buffer =>
  cat(u8(level), ranges(all));
export const sums = (
  level: number,
  first: bigint | number,
  all: readonly bigint[],
  last = 0,
): Buffer => cat(u8(level), u64(first), u8(last), list(all.map(u64)));
export const end = (
  round: number,
  size: bigint | number,
  digest?: bigint,
  sha256?: Uint8Array,
): Buffer =>
  cat(
    u32(round),
    u64(size),
    digest === undefined ? u8(0) : cat(u8(1), u64(digest)),
    sha256 === undefined ? u8(0) : cat(u8(1), sha256),
  );
export const have = (received: number, durable: number): Buffer => cat(u64(received), u64(durable));
export const working = (phase = 4, done = 0, total = 0): Buffer =>
  cat(u8(phase), u64(done), u64(total));
export const complete = (outcome: number, digest?: bigint): Buffer =>
  cat(u8(outcome), digest === undefined ? u8(0) : cat(u8(1), u64(digest)), u8(0));
export const join = (transfer: Uint8Array, epoch: number): Buffer => cat(transfer, u32(epoch));
export const answers = (all: readonly number[]): Buffer => list(all.map(u8));
export const results = (
  failures: readonly { index: number; failure: number; message: string }[] = [],
): Buffer =>
  list(failures.map((each) => cat(u16(each.index), u16(each.failure), text(each.message))));
export const error = (failure: number, message: Path = 'no'): Buffer =>
  cat(u16(failure), text(message));
export const credit = (consumed: number): Buffer => u64(consumed);
export const entriesPage = (entries: readonly Entry[], last = 1): Buffer =>
  cat(u8(last), list(entries.map(entry)));

export const chunk = (
  request: number,
  index: bigint | number,
  content: Uint8Array,
  wrong: HeaderFields = {},
): Buffer => frame('chunk', request, content, { index, ...wrong });

// ---- reading -------------------------------------------------------------------------------------

export interface Failure {
  readonly code: number;
  readonly message: string;
}

export function readError({ payload }: HeardFrame): Failure {
  const cursor = new Cursor(payload);
  return { code: cursor.u16(), message: cursor.text() };
}

export interface Want {
  readonly round: number;
  readonly transfer: Buffer;
  readonly epoch: number;
  readonly last: number;
  readonly ranges: readonly (readonly [bigint, bigint])[];
}

export function readWant({ payload }: HeardFrame): Want {
  const cursor = new Cursor(payload);
  return {
    round: cursor.u32(),
    transfer: cursor.take(16),
    epoch: cursor.u32(),
    last: cursor.u8(),
    ranges: cursor.list(() => [cursor.u64(), cursor.u64()] as const),
  };
}

export function readResults({ payload }: HeardFrame): { index: number; failure: number }[] {
  const cursor = new Cursor(payload);
  return cursor.list(() => {
    const failed = { index: cursor.u16(), failure: cursor.u16() };
    cursor.text();
    return failed;
  });
}

export function readEntries({ payload }: Pick<HeardFrame, 'payload'>): {
  last: number;
  paths: string[];
} {
  const cursor = new Cursor(payload);
  const last = cursor.u8();
  const paths = cursor.list(() => {
    const path = cursor.text();
    cursor.take(1 + 8 + 8 + 2);
    cursor.text();
    return path;
  });
  return { last, paths };
}

// ---- digests -------------------------------------------------------------------------------------

const joined = (sums: readonly bigint[]): Buffer => cat(...sums.map(u64));

/** Checksums of the chunks of a content. */
function chunkSums(content: Uint8Array, size = chunkBytes): bigint[] {
  const count = Math.ceil(content.length / size);
  return Array.from({ length: count }, (_, i) => xxh64(content.subarray(i * size, (i + 1) * size)));
}

export function digest(content: Uint8Array, size = chunkBytes): bigint {
  const sums = chunkSums(content, size);
  const segments: bigint[] = [];
  for (let at = 0; at < sums.length; at += segmentChunks) {
    segments.push(xxh64(joined(sums.slice(at, at + segmentChunks))));
  }
  return xxh64(cat(joined(segments), u64(content.length)));
}
