/** Files for the tests of storages: made, put, written and read back. */
import type { ExecutionContext } from 'ava';
import type { Entry } from '../../../protocol/entry.ts';
import { type FailureName, TransferError } from '../../../protocol/errors.ts';
import { limits } from '../../../protocol/limits.ts';
import { chunkChecksums } from '../../../protocol/segments.ts';
import type { ChunkSink, SinkOffer, SmallFile, Storage } from '../../../transfer/storage.ts';

export const chunkBytes = limits.fileChunkBytes;
export const mtimeNs = 1_700_000_000_123_456_000n;

/** Bytes that depend on their place and on `seed`. */
export function bytesOf(length: number, seed = 1): Uint8Array {
  const bytes = new Uint8Array(length);
  for (let i = 0; i < length; i += 1) bytes[i] = (i * 31 + (i >>> 8) * 7 + seed * 101) & 0xff;
  return bytes;
}

export function fileEntry(path: string, size: number, changes: Partial<Entry> = {}): Entry {
  return { path, kind: 'file', size, mtimeNs, mode: 0o644, contentType: '', ...changes };
}

export function smallFile(
  path: string,
  content: Uint8Array | string,
  changes?: Partial<Entry>,
): SmallFile {
  const bytes = typeof content === 'string' ? new TextEncoder().encode(content) : content;
  return { entry: fileEntry(path, bytes.byteLength, changes), content: bytes };
}

export function folderEntry(path: string, mode = 0o755): SmallFile {
  const entry = fileEntry(path, 0, { kind: 'directory', mode });
  return { entry, content: new Uint8Array(0) };
}

export function offerOf(size: number | undefined, changes: Partial<SinkOffer> = {}): SinkOffer {
  const identity = Uint8Array.of(1, 2, 3);
  return { size, mtimeNs, mode: 0o640, identity, chunkBytes, rewindable: true, ...changes };
}

/** Puts small files and demands that all went well. */
export async function put(
  t: ExecutionContext,
  storage: Storage,
  ...files: SmallFile[]
): Promise<void> {
  t.deepEqual(
    (await storage.putSmall('', files)).filter((failure) => failure !== undefined),
    [],
  );
}

/** Writes the chunks `from` to `to` of `content` in runs of `run`. */
export async function writeChunks(
  sink: ChunkSink,
  content: Uint8Array,
  { from = 0, to = Infinity, run = 8 } = {},
): Promise<void> {
  const sums = chunkChecksums(content, chunkBytes);
  const end = Math.min(to, sums.length);
  for (let first = from; first < end; first += run) {
    const last = Math.min(end, first + run);
    const slices = [];
    for (let i = first; i < last; i += 1) {
      slices.push(content.subarray(i * chunkBytes, (i + 1) * chunkBytes));
    }
    await sink.write(first, slices, [...sums.subarray(first, last)]);
  }
}

/** Ava's own comparison of arrays takes seconds a megabyte. */
export function sameBytes(t: ExecutionContext, actual: Uint8Array, expected: Uint8Array): void {
  t.is(actual.byteLength, expected.byteLength);
  t.is(Buffer.compare(actual, expected), 0);
}

/** The whole content of a file. */
export async function contentOf(storage: Storage, path: string): Promise<Uint8Array> {
  const source = await storage.openSource(path);
  try {
    const buffer = new Uint8Array((source.size ?? 0) + 1);
    return buffer.subarray(0, await source.read(buffer, 0));
  } finally {
    await source.close();
  }
}

export async function listed(storage: Storage, path = '', recursive = true): Promise<Entry[]> {
  const entries: Entry[] = [];
  for await (const batch of storage.list(path, { recursive, contentTypes: false })) {
    entries.push(...batch);
  }
  return entries;
}

export const pathsOf = (entries: readonly Entry[]): string[] =>
  entries.map(({ path }) => path).sort();

/** The failure name that `run` ends with. */
export async function failureOf(run: () => Promise<unknown>): Promise<FailureName | undefined> {
  try {
    await run();
    return undefined;
  } catch (error) {
    if (error instanceof TransferError) return error.failure;
    throw error;
  }
}
