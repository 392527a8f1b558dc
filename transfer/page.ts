/** What sending and receiving a page of small files have in common. */
import type { Entry } from '../protocol/entry.ts';
import type { Answer, PageFailure } from '../protocol/frames/pages.ts';
import { limits } from '../protocol/limits.ts';

/** Whether an entry's content travels inside its page. */
export function isSmall({ kind, size }: Entry): boolean {
  return kind === 'file' && size <= limits.fileChunkBytes;
}

export interface PageOutcome {
  /** One for each entry. */
  readonly answers: readonly Answer[];
  /** What was wanted, or refused, and is not there now. */
  readonly failures: readonly PageFailure[];
}
