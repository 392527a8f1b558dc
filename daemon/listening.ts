/** What stands in the way of listening. */
import { FerryError } from '../protocol/errors.ts';

/** Why nothing can listen there, and what to do: `option` is what says the address. */
export function cannotListen(
  cause: NodeJS.ErrnoException,
  host: string,
  port: number,
  option = '--listen',
): FerryError {
  const why: Record<string, string> = {
    EADDRINUSE: `another program listens there already; stop it, or choose another port with ${option}`,
    EACCES: `ports below 1024 are for root; choose another port with ${option}`,
    EADDRNOTAVAIL: 'this machine does not have that address',
    ENOTFOUND: 'the host name is unknown',
  };
  const reason = why[cause.code ?? ''] ?? cause.message;
  return new FerryError('usage', `Cannot listen on ${host}:${port}: ${reason}.`, { cause });
}
