/** Paired names among the words of a command. */
import type { Shell } from './shell.ts';

/** What may be a name and a path; the rest needs no look at the file. */
const mayBePaired = /^[A-Za-z0-9][A-Za-z0-9._-]+:(?!\/\/)/;

/** The words with each `nas:path` written out. Throws FerryError when the list can't be read. */
export async function writtenOut(shell: Shell, words: readonly string[]): Promise<string[]> {
  if (!words.some((word) => mayBePaired.test(word))) return [...words];
  const { expandPaired } = await import('../paired.ts');
  return await expandPaired(shell.env, words);
}
