/** Whether a received file is the one that was sent: by the digest over its checksums, and by SHA-256. */
import { TransferError } from '../protocol/errors.ts';
import type { Offer } from '../protocol/frames/transfer.ts';
import { sha256Of } from './sha256.ts';
import type { ChunkSink } from './storage.ts';

/** What the sender says of the whole content. */
export interface Told {
  readonly digest?: bigint | undefined;
  readonly sha256?: Uint8Array | undefined;
}

/** What proves the content: told to the sender with `complete`. */
export interface Proof {
  readonly size: number;
  readonly digest: bigint;
  readonly sha256?: Uint8Array | undefined;
}

/**
 * Compares the whole content with what was told of it. Throws TransferError `integrity` when it is
 * another: the partial is discarded then, since it must not be continued. `onHashed` hears how many bytes
 * SHA-256 is through with; once `isOver` nothing more is read, and it throws `cancelled`.
 */
export async function prove(
  sink: ChunkSink,
  { chunkBytes, sha256: wantsSha256 }: Pick<Offer, 'chunkBytes' | 'sha256'>,
  size: number,
  told: Told,
  onHashed: (bytes: number) => void,
  isOver: () => boolean,
): Promise<Proof> {
  const digest = sink.ledger.digest(size, chunkBytes);
  if (digest === undefined || digest !== told.digest) {
    throw await disproved(sink, 'The received file differs from the one that was sent.');
  }
  if (!wantsSha256) return { size, digest };
  const sha256 = await sha256Of(sink, size, onHashed, isOver);
  if (sha256 === undefined) throw new TransferError('cancelled', 'Nobody waits for the proof.');
  if (told.sha256 === undefined || Buffer.compare(sha256, told.sha256) !== 0) {
    const message = 'The SHA-256 of the received file is not that of the one sent.';
    throw await disproved(sink, message);
  }
  return { size, digest, sha256 };
}

async function disproved(sink: ChunkSink, message: string): Promise<TransferError> {
  await sink.discard();
  return new TransferError('integrity', message);
}
