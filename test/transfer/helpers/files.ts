/** Uploads and downloads over connections, as a client does them, without the client. */
import { createHash } from 'node:crypto';
import type { Complete, Offer, Policy } from '../../../protocol/frames/transfer.ts';
import { defaultPolicy } from '../../../protocol/frames/transfer.ts';
import type { ControlType, FrameOf } from '../../../protocol/frames.ts';
import { limits } from '../../../protocol/limits.ts';
import type { Connection } from '../../../transfer/connection.ts';
import { MemorySource } from '../../../transfer/memory-files.ts';
import { type ReceivedFile, receiveFile } from '../../../transfer/receive-file.ts';
import type { Request } from '../../../transfer/request.ts';
import { Sending, type SendOptions } from '../../../transfer/send.ts';
import type { ChunkSource, SmallFile, Storage } from '../../../transfer/storage.ts';
import { newId } from './ends.ts';
import { randomFrom } from './link.ts';

export const mtimeNs = 1_700_000_000_123_456_000n;
export const chunkBytes = limits.fileChunkBytes;

/** Content that depends on its length and its seed, without a pattern that repeats. */
export function contentOf(length: number, seed = 1): Uint8Array {
  const random = randomFrom(seed * 7919 + length);
  const bytes = new Uint8Array(length);
  const words = new Uint32Array(bytes.buffer, 0, Math.floor(length / 4));
  for (let i = 0; i < words.length; i += 1) words[i] = random() * 2 ** 32;
  for (let i = words.length * 4; i < length; i += 1) bytes[i] = random() * 256;
  return bytes;
}

export const sha256 = (bytes: Uint8Array): string =>
  createHash('sha256').update(bytes).digest('hex');

export function sourceOf(content: Uint8Array, changes: { mtimeNs?: bigint } = {}): MemorySource {
  return new MemorySource(content, { mtimeNs: changes.mtimeNs ?? mtimeNs, mode: 0o644 });
}

/** Puts a whole file into a storage, past all protocol. */
export async function store(
  storage: Storage,
  path: string,
  content: Uint8Array,
  at = mtimeNs,
): Promise<void> {
  const sink = await storage.openSink(
    path,
    {
      size: content.length,
      mtimeNs: at,
      mode: 0o644,
      identity: new Uint8Array(),
      chunkBytes,
      rewindable: true,
    },
    true,
  );
  const { checksum } = await import('../../../protocol/checksum.ts');
  for (let i = 0; i * chunkBytes < content.length; i += 1) {
    const slice = content.subarray(i * chunkBytes, (i + 1) * chunkBytes);
    await sink.write(i, [slice], [checksum(slice)]);
  }
  await sink.commit({ size: content.length, mtimeNs: at, mode: 0o644 });
  await sink.close();
}

/** The content under a name; undefined when nothing has it. */
export async function load(storage: Storage, path: string): Promise<Uint8Array | undefined> {
  try {
    const source = await storage.openSource(path);
    const buffer = new Uint8Array(source.size ?? 0);
    await source.read(buffer, 0);
    await source.close();
    return buffer;
  } catch {
    return undefined;
  }
}

export interface UploadOptions {
  readonly path?: string;
  readonly policy?: Partial<Policy>;
  readonly operation?: Uint8Array;
  readonly sha256?: boolean;
  readonly chunkBytes?: number;
  readonly connections?: number;
  readonly offer?: Partial<Offer>;
}

/** What a sender counted. */
export class Counts {
  bytes = 0;
  repeated = 0;
  have = 0;

  get options(): Pick<SendOptions, 'onSent' | 'onHave'> {
    return {
      onSent: (bytes, repeated) => {
        this.bytes += bytes;
        this.repeated += repeated;
      },
      onHave: (received) => {
        this.have = received;
      },
    };
  }
}

export function offerOf(
  source: ChunkSource,
  options: UploadOptions = {},
): Omit<FrameOf<'offer'>, 'request'> {
  const { size, mtimeNs: at, mode, identity, rewindable } = source;
  return {
    type: 'offer',
    path: options.path ?? 'file',
    size,
    mtimeNs: at,
    mode,
    identity,
    chunkBytes: options.chunkBytes ?? chunkBytes,
    rewindable,
    sha256: options.sha256 ?? false,
    operation: options.operation ?? newId(),
    policy: { ...defaultPolicy, ...options.policy },
    connections: options.connections,
    ...options.offer,
  };
}

export function newSending(
  source: ChunkSource,
  options: UploadOptions = {},
  counts = new Counts(),
): Sending {
  return new Sending(source, {
    chunkBytes: options.chunkBytes ?? chunkBytes,
    sha256: options.sha256 ?? false,
    ...counts.options,
  });
}

/** Uploads once, over one connection. */
export async function upload(
  connection: Connection,
  source: ChunkSource,
  options: UploadOptions = {},
  counts: Counts = new Counts(),
): Promise<Complete> {
  const request = connection.open({ request: 0, ...offerOf(source, options) });
  return await newSending(source, options, counts).serve(request);
}

/** The next frame of a request, which must be of this type. */
export async function answerOf<T extends ControlType>(
  request: Request,
  type: T,
): Promise<FrameOf<T>> {
  return await new Promise((resolve, reject) => {
    request.listen({
      onFrame(frame, bulkBytes) {
        request.carrier.consumed(bulkBytes);
        if (frame.type === type) resolve(frame as FrameOf<T>);
      },
      onFailed: reject,
    });
  });
}

export interface DownloadOptions {
  readonly path?: string;
  readonly policy?: Partial<Policy>;
  readonly sha256?: boolean;
}

/** What a receiver counted. */
export class Arrivals {
  bytes = 0;
  repeated = 0;
}

/** Downloads once into `storage`, under the same path. */
export async function download(
  connection: Connection,
  storage: Storage,
  { path = 'file', policy, sha256: wantsSha256 = false }: DownloadOptions = {},
  arrivals: Arrivals = new Arrivals(),
): Promise<ReceivedFile> {
  const request = connection.open({ type: 'download', request: 0, path, sha256: wantsSha256 });
  const offer = await answerOf(request, 'offer');
  return await receiveFile(request, offer, storage, path, {
    policy: { ...defaultPolicy, ...policy },
    transfer: new Uint8Array(16),
    epoch: 1,
    connections: 1,
    onArrived: (bytes, repeated) => {
      arrivals.bytes += bytes;
      arrivals.repeated += repeated;
    },
  });
}

export function smallFile(
  path: string,
  content: Uint8Array | string = '',
  at = mtimeNs,
): SmallFile {
  const bytes = typeof content === 'string' ? new TextEncoder().encode(content) : content;
  const entry = {
    path,
    kind: 'file',
    size: bytes.length,
    mtimeNs: at,
    mode: 0o644,
    contentType: '',
  } as const;
  return { entry, content: bytes };
}

export function folder(path: string): SmallFile {
  const entry = {
    path,
    kind: 'directory',
    size: 0,
    mtimeNs,
    mode: 0o755,
    contentType: '',
  } as const;
  return { entry, content: new Uint8Array() };
}
