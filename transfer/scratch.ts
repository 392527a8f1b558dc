/** Partials without a name, for content that is only written to be measured. */
import { TransferError } from '../protocol/errors.ts';
import type { SinkOffer } from './storage.ts';

/** What a scratch is opened for, but for its chunk size. */
export const scratchOffer: Omit<SinkOffer, 'chunkBytes'> = {
  size: undefined,
  mtimeNs: 0n,
  mode: 0o600,
  identity: new Uint8Array(),
  rewindable: true,
};

export function namelessSink(): TransferError {
  return new TransferError('internal', 'A scratch gets no name.');
}
