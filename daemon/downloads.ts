/** Downloads and checksums as the daemon sees them. */
import { randomBytes } from 'node:crypto';
import { unreadable } from '../protocol/entry.ts';
import { TransferError } from '../protocol/errors.ts';
import { defaultPolicy } from '../protocol/frames/transfer.ts';
import type { FrameOf } from '../protocol/frames.ts';
import { limits } from '../protocol/limits.ts';
import { chunkCount, Ledger } from '../protocol/segments.ts';
import { transferLimits } from '../transfer/limits.ts';
import { isSmall } from '../transfer/page.ts';
import { smallDigest } from '../transfer/page-digest.ts';
import {
  givePageMemory,
  type PageMemory,
  pageMemoryBytes,
  takePageMemory,
  withPageMemory,
} from '../transfer/page-memory.ts';
import type { Request } from '../transfer/request.ts';
import { Sending } from '../transfer/send.ts';
import { sendPage } from '../transfer/send-page.ts';
import { SourceChecksums, sumsPage } from '../transfer/source-checksums.ts';
import type { SmallFile } from '../transfer/storage.ts';
import { whilePassing } from '../transfer/working.ts';
import type { Allowance } from './allowances.ts';
import type { Berth } from './page-room.ts';
import type { Shares } from './shares.ts';
import { SourceLedgers } from './source-ledgers.ts';
import type { Summary } from './uploads.ts';

const operationBytes = 16;

export class Downloads {
  readonly #shares: Shares;
  readonly #ledgers = new SourceLedgers();

  constructor(shares: Shares) {
    this.#shares = shares;
  }

  async sendFile(
    request: Request,
    { path, sha256 }: FrameOf<'download'>,
    allowance: Allowance,
  ): Promise<Summary> {
    const place = this.#shares.at(path);
    const source = await place.storage.openSource(place.path);
    const chunkBytes = limits.fileChunkBytes;
    const { ledger, release } = this.#ledgers.share(path, source.identity);
    let bytes = 0;
    const onSent = (count: number): void => {
      bytes += count;
    };
    try {
      const { size, mtimeNs, mode, identity, rewindable } = source;
      const offer = { path, size, mtimeNs, mode, identity, chunkBytes, rewindable, sha256 };
      request.say({ type: 'offer', request: request.id, ...offer });
      const pass = passing(request, allowance);
      const sending = new Sending(source, { chunkBytes, sha256, ledger, pass, onSent });
      const { outcome } = await sending.serve(request);
      return { path, result: outcome, bytes };
    } finally {
      release();
      await source.close();
    }
  }

  /** Small files, whole, in one page. */
  async sendPage(
    request: Request,
    { base, paths }: FrameOf<'fetch'>,
    allowance: Allowance,
  ): Promise<Summary> {
    return await inRoom(request, base, allowance, async (berth) => {
      const { files, memory } = await this.#readPage(base, paths);
      berth.shrink(memory.length);
      try {
        return await this.#sendFiles(request, base, files, allowance);
      } finally {
        givePageMemory(memory);
      }
    });
  }

  /** Digests of small files, of a page at a time. */
  async sendDigests(
    request: Request,
    { base, paths }: FrameOf<'verify'>,
    allowance: Allowance,
  ): Promise<Summary> {
    return await inRoom(request, base, allowance, async () => {
      const digests = await withPageMemory(async (memory) =>
        (await this.#shares.readSmall(base, paths, memory)).map(digestOf),
      );
      request.say({ type: 'digests', request: request.id, digests });
      return { path: base, result: 'compared', bytes: 0, files: digests.length };
    });
  }

  /** Small files, in memory that is theirs until it is given back. */
  async #readPage(base: string, paths: readonly string[]): Promise<ReadPage> {
    const memory = takePageMemory(limits.pageContentBytes);
    try {
      const files = withStandIns(paths, await this.#shares.readSmall(base, paths, memory));
      const bytes = files.reduce((sum, { content }) => sum + content.length, 0);
      if (pageMemoryBytes(bytes) === memory.length) return { files, memory };
      const own = takePageMemory(bytes);
      const moved = moveInto(own, files);
      givePageMemory(memory);
      return { files: moved, memory: own };
    } catch (error) {
      givePageMemory(memory);
      throw error;
    }
  }

  async #sendFiles(
    request: Request,
    base: string,
    files: readonly SmallFile[],
    allowance: Allowance,
  ): Promise<Summary> {
    const entries = files.map(({ entry }) => entry);
    request.say({
      type: 'offers',
      request: request.id,
      operation: randomBytes(operationBytes),
      base,
      policy: defaultPolicy,
      eager: true,
      entries,
    });
    let bytes = 0;
    await sendPage(
      request,
      { entries, eager: true },
      async (places) => {
        const contents = places.map((i) => files[i]?.content);
        await passing(
          request,
          allowance,
        )(contents.reduce((sum, content) => sum + (content?.length ?? 0), 0));
        return contents;
      },
      (count) => {
        bytes += count;
      },
    );
    return { path: base, result: 'sent', bytes, files: files.length };
  }

  async sendChecksums(
    request: Request,
    asked: FrameOf<'checksums'>,
    allowance: Allowance,
  ): Promise<Summary> {
    const berth = await allowance.room(request, transferLimits.sendBatchBytes);
    try {
      return await this.#sendSums(request, asked);
    } finally {
      berth.leave();
    }
  }

  async #sendSums(request: Request, asked: FrameOf<'checksums'>): Promise<Summary> {
    const { path, level, first, count } = asked;
    const place = this.#shares.at(path);
    const source = await place.storage.openSource(place.path);
    try {
      const chunks = chunkCount(source.size ?? 0, limits.fileChunkBytes);
      const total = SourceChecksums.count(level, chunks);
      const end = Math.min(total, first + Math.min(count, total));
      const isOver = (): boolean => request.over;
      const checksums = new SourceChecksums(source, limits.fileChunkBytes, new Ledger(), isOver);
      let from = first;
      do {
        const to = Math.max(from, Math.min(end, from + sumsPage));
        const page = await checksums.of(level, from, to, chunks);
        const last = to >= end;
        const sums = { level, first: from, checksums: page, last };
        await request.sayBulk({ type: 'sums', request: request.id, ...sums });
        from = to;
      } while (from < end && !request.over);
      return { path, result: 'compared', bytes: 0 };
    } finally {
      await source.close();
    }
  }
}

/** Lets content pass as the token may move it; a peer that waits for its rate hears why. */
function passing(request: Request, allowance: Allowance): (bytes: number) => Promise<void> {
  return (bytes) => whilePassing(() => [request], allowance.pass(bytes));
}

interface ReadPage {
  readonly files: readonly SmallFile[];
  readonly memory: PageMemory;
}

/** The same files, with their contents end to end in `memory`. */
function moveInto(memory: PageMemory, files: readonly SmallFile[]): SmallFile[] {
  let end = 0;
  return files.map(({ entry, content }) => {
    const start = end;
    end += content.length;
    memory.set(content, start);
    return { entry, content: memory.subarray(start, end) };
  });
}

/** Does `work` as soon as there is room for a page, unless nobody wants it any more. */
async function inRoom(
  request: Request,
  base: string,
  allowance: Allowance,
  work: (berth: Berth) => Promise<Summary>,
): Promise<Summary> {
  const berth = await allowance.room(request, limits.pageContentBytes);
  try {
    if (request.over) return { path: base, result: 'cancelled', bytes: 0 };
    return await work(berth);
  } finally {
    berth.leave();
  }
}

/** Undefined for what its client has to ask about by itself. */
function digestOf(file: SmallFile | TransferError): bigint | undefined {
  const isKnown = !(file instanceof TransferError) && isSmall(file.entry);
  return isKnown ? smallDigest(file.content) : undefined;
}

/**
 * What a page has of `paths`; one that cannot be read, or for which there is no room, is an
 * `unreadable` entry: the client asks for it by itself, and hears why.
 */
function withStandIns(
  paths: readonly string[],
  read: readonly (SmallFile | TransferError)[],
): SmallFile[] {
  const none = new Uint8Array();
  return read.map((file, i) =>
    file instanceof TransferError ? { entry: unreadable(paths[i] as string), content: none } : file,
  );
}
