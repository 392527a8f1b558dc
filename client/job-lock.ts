/**
 * Keeps a second run of the same job from starting while the first is at work: a cron job that takes
 * longer than its period. The lock dies with its process, so none is ever left behind.
 */
import { createHash } from 'node:crypto';
import { mkdir } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { FerryError } from '../protocol/errors.ts';
import { isErrno } from '../transfer/local/errors.ts';
import { type Lock, lockFolder } from '../transfer/local/lock.ts';

export interface JobOwner {
  /** Undefined where the platform has no user ids: there each user has a temporary folder. */
  readonly uid: number | undefined;
  readonly platform: NodeJS.Platform;
  /** XDG_RUNTIME_DIR, where it is set. */
  readonly runtimeFolder: string | undefined;
}

const heldMessage = 'The same job is at work already, and --lock was given.';

/** Takes the lock of the job that `parts` describe. Throws FerryError: `lock-held`. */
export function lockJob(parts: readonly string[], owner: JobOwner): Promise<Lock> {
  const job = createHash('sha256').update(JSON.stringify(parts)).digest('hex');
  switch (owner.platform) {
    case 'linux':
      // An abstract socket has no file that could stay.
      return listen(`\0chunkferry-${owner.uid ?? ''}-${job}`);
    case 'win32':
      return listen(`\\\\.\\pipe\\chunkferry-${job}`);
    default:
      return lockInFolder(owner, job);
  }
}

/** Holds a name that only one process can listen on and that goes when the process does. */
function listen(name: string): Promise<Lock> {
  return new Promise((resolve, reject) => {
    const server = createServer((socket) => socket.destroy());
    server.once('error', (error) => {
      const held = isErrno(error, 'EADDRINUSE', 'EACCES');
      const failure = held ? 'lock-held' : 'io';
      const message = held ? heldMessage : 'The lock of the job cannot be taken.';
      reject(new FerryError(failure, message, { cause: error }));
    });
    server.listen(name, () => {
      server.unref();
      const release = () => new Promise<void>((done) => void server.close(() => done()));
      resolve({ release });
    });
  });
}

/** A name short enough for a socket's path, which on macOS is 103 bytes at most. */
const nameLength = 32;

/** The folder is this user's alone: someone else's there is refused by its permissions. */
async function lockInFolder({ uid, runtimeFolder }: JobOwner, job: string): Promise<Lock> {
  const folder = path.join(runtimeFolder ?? tmpdir(), `chunkferry-${uid ?? 'locks'}`);
  await mkdir(folder, { recursive: true, mode: 0o700 });
  return lockFolder(folder, job.slice(0, nameLength), heldMessage);
}
