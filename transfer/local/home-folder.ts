/** The user's own folder. */
import { homedir } from 'node:os';
import { FerryError } from '../../protocol/errors.ts';

/** Throws FerryError (`usage`) where there is none: a user without an entry, and HOME not set. */
export function homeFolder(
  { HOME }: Readonly<Record<string, string | undefined>>,
  remedy: string,
): string {
  try {
    // An empty one would mean the current folder, which may be served.
    const home = HOME ?? homedir();
    if (home !== '') return home;
  } catch (cause) {
    throw noHome(remedy, cause);
  }
  throw noHome(remedy);
}

function noHome(remedy: string, cause?: unknown): FerryError {
  return new FerryError('usage', `This user has no home folder: ${remedy}.`, { cause });
}
