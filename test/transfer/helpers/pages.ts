/** Pages of small files over connections, both ways. */
import type { Entry } from '../../../protocol/entry.ts';
import { defaultPolicy, type Policy } from '../../../protocol/frames/transfer.ts';
import type { ControlFrame } from '../../../protocol/frames.ts';
import type { Connection } from '../../../transfer/connection.ts';
import type { PageOutcome } from '../../../transfer/page.ts';
import { hearOffers, type ReceivedPage, receivePage } from '../../../transfer/receive-page.ts';
import { sendPage } from '../../../transfer/send-page.ts';
import type { SmallFile, Storage } from '../../../transfer/storage.ts';
import { newId } from './ends.ts';
import { Counts } from './files.ts';

export interface PageOptions {
  readonly base?: string;
  readonly eager?: boolean;
  readonly policy?: Partial<Policy>;
  readonly operation?: Uint8Array;
  /** What is sent in the place of some files. */
  readonly contentOf?: (place: number) => Uint8Array | undefined;
}

export function offersOf(
  entries: readonly Entry[],
  options: PageOptions = {},
): ControlFrame & { type: 'offers' } {
  return {
    type: 'offers',
    request: 0,
    operation: options.operation ?? newId(),
    base: options.base ?? '',
    policy: { ...defaultPolicy, ...options.policy },
    eager: options.eager ?? false,
    entries,
  };
}

/** Uploads a page of these files. */
export async function uploadPage(
  connection: Connection,
  files: readonly SmallFile[],
  options: PageOptions = {},
  counts: Counts = new Counts(),
): Promise<PageOutcome> {
  const offers = offersOf(
    files.map(({ entry }) => entry),
    options,
  );
  const contentOf = options.contentOf ?? ((place: number) => files[place]?.content);
  return await sendPage(
    connection.open(offers),
    offers,
    async (places) => places.map((place) => contentOf(place)),
    counts.options.onSent,
  );
}

/** Fetches these files into `storage`. */
export async function downloadPage(
  connection: Connection,
  storage: Storage,
  paths: readonly string[],
  { base = '' }: PageOptions = {},
): Promise<ReceivedPage & { entries: readonly Entry[] }> {
  const request = connection.open({ type: 'fetch', request: 0, base, paths });
  return await hearOffers(request, async (offers) => ({
    ...(await receivePage(request, offers, storage, '')),
    entries: offers.entries,
  }));
}
