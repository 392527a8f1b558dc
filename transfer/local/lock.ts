/**
 * A lock that dies with its process: a listening unix socket in a folder. Whoever can connect to it
 * knows that the holder lives, wherever on this machine; a refused connection means that it died.
 *
 * The socket listens under a random name before it gets the lock's name by a link, which fails if the
 * name is taken: so the name never stands for a socket that does not answer yet. A dead one is removed
 * only by who holds a second lock for that, or two who found it dead could each remove the other's
 * new one. On a file system without sockets or links
 * there is no lock, and two processes on one folder are the user's to avoid.
 */
import { randomBytes } from 'node:crypto';
import { constants, existsSync } from 'node:fs';
import { type FileHandle, link, open, unlink } from 'node:fs/promises';
import { connect, createServer, type Server } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { TransferError } from '../../protocol/errors.ts';
import { isErrno, storageError } from './errors.ts';

const descriptorsHaveNames = existsSync('/proc/self/fd');
/** Marks who takes a dead lock over; should that process die too, its mark is taken over likewise. */
const takeover = '.takeover';
const takeoverDepth = 4;
/** Who removes a dead lock needs a millisecond, and may not want it. */
const claimTries = 50;
const claimRetryMs = 10;

export interface Lock {
  release(): Promise<void>;
}

const noLock: Lock = { release: () => Promise.resolve() };

/**
 * Takes the lock `name` in the folder at the local path `folderPath`. Throws TransferError:
 * `lock-held` with `heldMessage` when a living process has it.
 */
export async function lockFolder(
  folderPath: string,
  name: string,
  heldMessage: string,
): Promise<Lock> {
  let handle: FileHandle | undefined;
  let server: Server | undefined;
  try {
    handle = await open(folderPath, constants.O_RDONLY | constants.O_DIRECTORY);
    const base = baseOf(handle, folderPath);
    const own = temporaryName(base);
    server = await listen(own);
    try {
      if (!(await claim(own, `${base}/${name}`))) throw new TransferError('lock-held', heldMessage);
    } finally {
      await removeName(own);
    }
    return heldLock(`${base}/${name}`, server, handle);
  } catch (cause) {
    const error = await bindError(cause, handle);
    server?.close();
    await handle?.close();
    if (isErrno(error, 'EPERM', 'EOPNOTSUPP', 'ENOTSUP', 'ENOSYS')) return noLock;
    throw storageError(error, name);
  }
}

/** Removes the lock `name` if a process left it that died, and leaves it to whoever has it. */
export async function removeDeadLock(folderPath: string, name: string): Promise<void> {
  let handle: FileHandle | undefined;
  let server: Server | undefined;
  try {
    handle = await open(folderPath, constants.O_RDONLY | constants.O_DIRECTORY);
    const base = baseOf(handle, folderPath);
    if ((await look(`${base}/${name}`)) !== 'dead') return;
    const own = temporaryName(base);
    server = await listen(own);
    try {
      await removeDead(own, `${base}/${name}`, 0);
    } finally {
      await removeName(own);
    }
  } catch (error) {
    throw storageError(await bindError(error, handle), name);
  } finally {
    server?.close();
    await handle?.close();
  }
}

/** A descriptor's name is short, which a socket's must be, and stays right if the folder moves. */
function baseOf({ fd }: FileHandle, folderPath: string): string {
  return descriptorsHaveNames ? `/proc/self/fd/${fd}` : folderPath;
}

/** libuv tells ENOENT of a bind as EACCES: the folder may have been removed meanwhile. */
async function bindError(error: unknown, folder: FileHandle | undefined): Promise<unknown> {
  if (!isErrno(error, 'EACCES') || folder === undefined) return error;
  const { nlink } = await folder.stat();
  return nlink > 0 ? error : Object.assign(error as Error, { code: 'ENOENT' });
}

/** Such names are deleted as abandoned, should the process die in between. */
function temporaryName(base: string): string {
  return `${base}/${randomBytes(8).toString('hex')}.tmp`;
}

function listen(path: string): Promise<Server> {
  return new Promise((resolve, reject) => {
    const server = createServer((socket) => socket.destroy());
    server.once('error', reject);
    server.listen(path, () => resolve(server.unref()));
  });
}

/** Whether `path` became a name of the listening socket `own`; false when someone alive has it. */
async function claim(own: string, path: string, depth = 0): Promise<boolean> {
  for (let tries = 1; tries <= claimTries; tries += 1) {
    if (await linked(own, path)) return true;
    const found = await look(path);
    if (found === 'alive') return false;
    // Let go or removed meanwhile: whoever is first has it.
    if (found === 'gone' || (await removeDead(own, path, depth))) continue;
    await sleep(claimRetryMs);
  }
  return false;
}

/** Removes what a dead process left at `path`; false while somebody else is about to. */
async function removeDead(own: string, path: string, depth: number): Promise<boolean> {
  const guard = path + takeover;
  if (depth === takeoverDepth || !(await claim(own, guard, depth + 1))) return false;
  try {
    // It may have changed hands before the guard was ours; a dead one stays until we remove it.
    if ((await look(path)) === 'dead') await removeName(path);
    return true;
  } finally {
    await removeName(guard);
  }
}

/** Whether `path` became another name of `own`; false when it is taken. */
async function linked(own: string, path: string): Promise<boolean> {
  try {
    await link(own, path);
    return true;
  } catch (error) {
    if (isErrno(error, 'EEXIST')) return false;
    throw error;
  }
}

/** What stands at `path`: a socket of a living process, what a dead one left, or nothing any more. */
function look(path: string): Promise<'alive' | 'dead' | 'gone'> {
  return new Promise((resolve, reject) => {
    const socket = connect(path);
    const settle = (finish: () => void) => () => {
      socket.destroy();
      finish();
    };
    socket.once(
      'connect',
      settle(() => resolve('alive')),
    );
    socket.once('error', (error) => {
      // It was let go while we waited to be taken: what stands there now has to be asked again.
      if (isErrno(error, 'ECONNRESET')) settle(() => resolve(look(path)))();
      else if (isErrno(error, 'ENOENT')) settle(() => resolve('gone'))();
      else if (isErrno(error, 'ECONNREFUSED', 'ENOTSOCK')) settle(() => resolve('dead'))();
      else if (isErrno(error, 'EAGAIN')) settle(() => resolve('alive'))();
      else settle(() => reject(error))();
    });
  });
}

/** Removes a name that may have gone already. */
async function removeName(path: string): Promise<void> {
  try {
    await unlink(path);
  } catch (error) {
    if (!isErrno(error, 'ENOENT')) throw error;
  }
}

function heldLock(path: string, server: Server, handle: FileHandle): Lock {
  return {
    async release() {
      try {
        await removeName(path);
      } finally {
        server.close();
        await handle.close();
      }
    },
  };
}
