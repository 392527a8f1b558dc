/** What a client remembers of the entries that a daemon lists: there may be any number of them. */
import { TransferError } from '../protocol/errors.ts';

/** Some hundred MiB of names, sizes and times. */
export const entriesHeld = 1_000_000;

/** Throws TransferError (`limit`) when `count` entries are more than `most`; `advice` says what to do. */
export function checkHeld(count: number, most: number, advice: string): void {
  if (count <= most) return;
  throw new TransferError(
    'limit',
    `The daemon lists more than the ${most} entries that can be remembered (entriesHeld): ${advice}.`,
  );
}
