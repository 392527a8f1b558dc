import { TransferError } from '../protocol/errors.ts';

export function sourceChanged(): TransferError {
  return new TransferError('source-changed', 'The file changed while it was being sent.');
}
