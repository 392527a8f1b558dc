/** Why a storage takes something not at all: the one sentence for pages and for single files. */
import { TransferError } from '../protocol/errors.ts';
import type { Storage } from './storage.ts';

/**
 * What `examine` meant by `refused` for `path`: a path that is not allowed, that leads through a link
 * or where we may not look; else the wrong kind of thing is in the way.
 */
export async function whyRefused(storage: Storage, path: string): Promise<TransferError> {
  try {
    await storage.stat(path);
  } catch (error) {
    if (error instanceof TransferError && error.failure !== 'not-found') return error;
  }
  return new TransferError(
    'wrong-kind',
    'A folder is where a file should go, or a file where a folder should.',
  );
}
