/** When a receiver takes what is offered: one decision for pages and for single files. */
import type { Entry } from '../protocol/entry.ts';
import type { Answer } from '../protocol/frames/pages.ts';
import type { Policy } from '../protocol/frames/transfer.ts';

/** What the decision looks at of an offered file or folder; size is unknown for a stream. */
export interface Offered extends Pick<Entry, 'kind' | 'mtimeNs' | 'mode'> {
  readonly size?: number | undefined;
}

/**
 * What to do with `offered` where `existing` stands (undefined: nothing does).
 *
 * `want`: take it, for a folder: set its mode and times. `unchanged`: its content is there already,
 * but for a file the mode may differ. `skipped`: the policy leaves the existing one alone.
 * `refused`: a folder and something else cannot take each other's place, and nothing but files and
 * folders is stored.
 */
export function decide(existing: Entry | undefined, offered: Offered, policy: Policy): Answer {
  if (offered.kind !== 'file' && offered.kind !== 'directory') return 'refused';
  if (existing === undefined) return 'want';
  if ((existing.kind === 'directory') !== (offered.kind === 'directory')) return 'refused';
  if (policy.overwrite === 'never' && offered.kind === 'file') return 'skipped';

  const window = BigInt(policy.modifyWindowNs);
  const newerByNs = existing.mtimeNs - offered.mtimeNs;
  const sameTime = newerByNs <= window && -newerByNs <= window;
  if (offered.kind === 'directory') {
    return sameTime && existing.mode === offered.mode ? 'unchanged' : 'want';
  }
  const sameContent =
    existing.kind === 'file' && existing.size === offered.size && sameTime && !policy.checksum;
  if (sameContent) return 'unchanged';
  return policy.overwrite === 'newer' && newerByNs >= -window ? 'skipped' : 'want';
}
