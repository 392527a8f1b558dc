/** Media types for listings, by the names of files. */
import type { Entry } from '../../protocol/entry.ts';

/** The entries with their content types; the table is loaded when first asked for. */
export async function withContentTypes(entries: readonly Entry[]): Promise<Entry[]> {
  const { lookup } = await import('mime-types');
  return entries.map((entry) =>
    entry.kind === 'file' ? { ...entry, contentType: lookup(entry.path) || '' } : entry,
  );
}
