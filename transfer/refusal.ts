/** Why a storage takes something not at all: the one sentence for pages and for single files. */
import { TransferError } from '../protocol/errors.ts';
import { shown } from '../protocol/paths.ts';
import type { Storage } from './storage.ts';

/**
 * What `examine` meant by `refused` for `path`: a path that is not allowed, that leads through a link
 * or where we may not look; else the wrong kind of thing is in the way.
 */
export async function whyRefused(storage: Storage, path: string): Promise<TransferError> {
  try {
    const { kind } = await storage.stat(path);
    const what = kind === 'directory' ? 'a folder' : 'there already, and is no folder';
    return new TransferError('wrong-kind', `${shown(path)} is ${what}.`);
  } catch (error) {
    if (error instanceof TransferError && error.failure !== 'not-found') return error;
    return new TransferError('wrong-kind', `${shown(path)} cannot be made: a file is in the way.`);
  }
}
