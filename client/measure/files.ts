/** The files that `e2e` makes on a daemon. */
import { randomBytes } from 'node:crypto';
import { FerryError } from '../../protocol/errors.ts';
import { joinPath } from '../../protocol/paths.ts';
import type { Connection } from '../../transfer/connection.ts';
import { answerOf, newOperation } from '../ask.ts';

const nameBytes = 6;

/** A name that nothing has. */
export function newFilePath(folder: string): string {
  return joinPath(folder, `ferry-bench-${randomBytes(nameBytes).toString('hex')}`);
}

/** Removes what a bench stored; where nothing was stored, or the connection is gone, nothing happens. */
export async function removeFile(connection: Connection, path: string): Promise<void> {
  const operation = newOperation();
  try {
    const question = { type: 'remove', request: 0, operation, path, recursive: false } as const;
    await answerOf(connection.open(question), 'done');
  } catch (error) {
    if (!(error instanceof FerryError)) throw error;
  }
}
