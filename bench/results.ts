/** All figures that were measured last, kept as JSON: what was not measured anew stays. */
import { readFile, writeFile } from 'node:fs/promises';
import type { SeriesResult } from './series.ts';
import type { RowResult } from './statistics.ts';

export interface Results {
  readonly rows: readonly RowResult[];
  readonly series: readonly SeriesResult[];
}

export async function readResults(file: string): Promise<Results> {
  try {
    return JSON.parse(await readFile(file, 'utf8')) as Results;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return { rows: [], series: [] };
    throw error;
  }
}

export async function writeResults(file: string, results: Results): Promise<void> {
  await writeFile(file, `${JSON.stringify(results, null, 2)}\n`);
}

/** `ids`: in which order, and which there are at all. */
export function merged<T extends { readonly id: string }>(
  ids: readonly string[],
  before: readonly T[],
  now: readonly T[],
): T[] {
  return ids.flatMap(
    (id) => now.find((one) => one.id === id) ?? before.find((one) => one.id === id) ?? [],
  );
}
