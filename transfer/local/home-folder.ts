/** The user's own folder. */
import { homedir } from 'node:os';
import { FerryError } from '../../protocol/errors.ts';

/** Throws FerryError (`usage`) where there is none: a user without an entry, and HOME not set. */
export function homeFolder(
  { HOME }: Readonly<Record<string, string | undefined>>,
  remedy: string,
): string {
  try {
    return HOME ?? homedir();
  } catch (cause) {
    throw new FerryError('usage', `This user has no home folder: ${remedy}.`, { cause });
  }
}
