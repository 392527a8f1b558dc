/**
 * Receives one offered file into a storage, from the decision whether it is needed to its commit.
 * The daemon's uploads and the client's downloads both end here.
 */
import type { Entry } from '../protocol/entry.ts';
import { FerryError, TransferError } from '../protocol/errors.ts';
import type { Complete, Offer, Policy } from '../protocol/frames/transfer.ts';
import { parentAndName } from '../protocol/paths.ts';
import { copyChunks, matchingChunks } from './compare-target.ts';
import { type ReceiveOptions, Receiving } from './receive.ts';
import { whyRefused } from './refusal.ts';
import type { Request } from './request.ts';
import type { ChunkSink, Storage } from './storage.ts';
import { whileWorking } from './working.ts';

export interface ReceiveFileOptions extends ReceiveOptions {
  readonly policy: Policy;
  /** Chunks are about to arrive: more requests may be attached from now on. */
  readonly onReceiving?: (receiving: Receiving) => void;
  /** Everything is there and proved: from now on the result is only waited for. */
  readonly onCommitting?: () => void;
  /** What an earlier attempt left was damaged: a sentence for people. */
  readonly onWarning?: (message: string) => void;
  /** The outcome is certain, and not yet told to the sender. */
  readonly onOutcome?: (complete: Complete) => void;
}

export interface ReceivedFile extends Complete {
  readonly size: number;
}

/**
 * Receives the file that `offer` on `request` describes under `path` of `storage`. Throws FerryError;
 * what was received is kept for the next attempt, unless it was proved wrong.
 */
export async function receiveFile(
  request: Request,
  offer: Offer,
  storage: Storage,
  path: string,
  options: ReceiveFileOptions,
): Promise<ReceivedFile> {
  const complete = (body: Complete): ReceivedFile => {
    options.onOutcome?.(body);
    request.say({ type: 'complete', request: request.id, ...body });
    return { ...body, size: offer.size ?? 0 };
  };
  const answer = await examine(offer, storage, path, options.policy);
  if (answer !== 'want') return complete({ outcome: answer });
  const matches = await findMatches(request, offer, storage, path, options.policy);
  if (matches === 'same') {
    await storage.touch(path, offer);
    return complete({ outcome: 'unchanged' });
  }
  const sink = await storage
    .openSink(path, offer, options.policy.fresh)
    .catch(async (error: unknown) => {
      await matches?.close();
      throw error;
    });
  try {
    if (matches !== undefined) await matches.copyTo(sink);
    return await receiveContent(request, offer, sink, options);
  } catch (error) {
    // Offers without data leave nothing; a pipe's sink is its process's only one. What is told is
    // the first failure, not one of tidying up.
    if (sink.ledger.held.empty && !sink.ordered) await sink.discard().catch(() => undefined);
    throw error;
  } finally {
    await sink.close();
  }
}

/** What of the target can be used. */
interface Matches {
  /** Copies it into the sink, and lets go of the target. */
  copyTo(sink: ChunkSink): Promise<void>;
  close(): Promise<void>;
}

async function examine(
  { size, mtimeNs, mode }: Offer,
  storage: Storage,
  path: string,
  policy: Policy,
): Promise<'want' | 'unchanged' | 'skipped'> {
  const { parent, name } = parentAndName(path);
  const entry: Entry = {
    path: name,
    kind: 'file',
    // A stream's size is unknown: one that no file has is equal to none.
    size: size ?? Number.MAX_SAFE_INTEGER,
    mtimeNs,
    mode,
    contentType: '',
  };
  const [answer = 'want'] = await storage.examine(parent, [entry], policy);
  if (answer === 'refused') throw await whyRefused(storage, path);
  return answer;
}

/** What of the existing target can be used, where the policy asks for that. */
async function findMatches(
  request: Request,
  offer: Offer,
  storage: Storage,
  path: string,
  { checksum, delta }: Policy,
): Promise<'same' | Matches | undefined> {
  if ((!checksum && !delta) || offer.size === undefined || !offer.rewindable) return undefined;
  const existing = await storage.stat(path).catch(ignoreNotFound);
  if (existing?.kind !== 'file') return undefined;
  if (!delta && existing.size !== offer.size) return undefined;
  const target = await storage.openSource(path);
  let keepOpen = false;
  try {
    const chunks = await matchingChunks(request, target, offer, delta);
    if (target.size === offer.size && chunks.size * offer.chunkBytes >= offer.size) return 'same';
    if (!delta) return undefined;
    keepOpen = true;
    return {
      close: () => target.close(),
      async copyTo(sink) {
        try {
          const copying = copyChunks(target, sink, chunks, offer.chunkBytes);
          await whileWorking(() => [request], 'comparing', copying);
        } finally {
          await target.close();
        }
      },
    };
  } finally {
    if (!keepOpen) await target.close();
  }
}

async function receiveContent(
  request: Request,
  offer: Offer,
  sink: ChunkSink,
  options: ReceiveFileOptions,
): Promise<ReceivedFile> {
  const receiving = new Receiving(sink, offer, options);
  if (sink.warning !== undefined) options.onWarning?.(sink.warning);
  options.onReceiving?.(receiving);
  try {
    receiving.attach(request);
    const proof = await receiving.finish();
    options.onCommitting?.();
    const { size, digest, sha256 } = proof;
    const committed = sink.commit({ size, mtimeNs: offer.mtimeNs, mode: offer.mode });
    await whileWorking(() => receiving.requests, 'syncing', committed);
    const outcome: Complete = { outcome: 'stored', digest, sha256 };
    options.onOutcome?.(outcome);
    receiving.complete(proof);
    return { ...outcome, size };
  } catch (error) {
    if (error instanceof FerryError) receiving.fail(error);
    throw error;
  }
}

export function ignoreNotFound(error: unknown): undefined {
  if (error instanceof TransferError && error.failure === 'not-found') return undefined;
  throw error;
}
