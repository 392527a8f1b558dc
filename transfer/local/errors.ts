/**
 * Failures of the file system as `TransferError`s, in one table.
 *
 * Messages name the wire path alone. What Node says of a failure contains the absolute path, so it is
 * kept as `cause`, which never travels.
 */
import { type FailureName, TransferError } from '../../protocol/errors.ts';
import { shown } from '../../protocol/paths.ts';

const byErrno: Readonly<Record<string, readonly [FailureName, string]>> = {
  ENOENT: ['not-found', 'does not exist'],
  ENOTDIR: ['not-found', 'does not exist: a part of the path is not a folder'],
  EACCES: ['permission', 'may not be accessed'],
  EPERM: ['permission', 'may not be changed'],
  EROFS: ['permission', 'is on a read-only file system'],
  EXDEV: ['permission', 'is on another file system'],
  ELOOP: ['permission', 'is a symbolic link, and links are not followed'],
  EBUSY: ['permission', 'is in use by the system'],
  ENOSPC: ['no-space', 'does not fit: no space is left'],
  EDQUOT: ['no-space', 'does not fit: the disk quota is used up'],
  EFBIG: ['no-space', 'is larger than the file system allows'],
  EISDIR: ['wrong-kind', 'is a folder'],
  ENXIO: ['wrong-kind', 'is not a regular file'],
  ENODEV: ['wrong-kind', 'is not a regular file'],
  EEXIST: ['exists', 'exists already'],
  ENOTEMPTY: ['not-empty', 'is not empty'],
  ENAMETOOLONG: ['bad-path', 'is a name that the file system cannot hold'],
  EILSEQ: ['bad-path', 'is a name that the file system cannot hold'],
  EINVAL: ['bad-path', 'is a name that the file system cannot hold'],
  EMFILE: ['limit', 'cannot be opened: too many files are open'],
  ENFILE: ['limit', 'cannot be opened: too many files are open'],
  EPIPE: ['io', 'cannot be written: whoever read it has stopped reading'],
};

/** The errno name of a failed system call, or undefined for any other error. */
function errnoOf(error: unknown): string | undefined {
  if (!(error instanceof Error) || !('code' in error) || !('syscall' in error)) return undefined;
  return typeof error.code === 'string' ? error.code : undefined;
}

/** Whether `error` is a failed system call with one of these errno names. */
export function isErrno(error: unknown, ...names: string[]): boolean {
  const errno = errnoOf(error);
  return errno !== undefined && names.includes(errno);
}

/** A path as the subject of a sentence. */
export function subject(path: string): string {
  return path === '' ? 'The root folder' : shown(path);
}

/** What went wrong with the wire path `path`; a TransferError stays what it is. */
export function storageError(cause: unknown, path: string): TransferError {
  if (cause instanceof TransferError) return cause;
  const errno = errnoOf(cause);
  if (errno === undefined) {
    return new TransferError('internal', `${subject(path)} met an unexpected error.`, { cause });
  }
  const [failure, text] = byErrno[errno] ?? ['io', `cannot be accessed (${errno})`];
  return new TransferError(failure, `${subject(path)} ${text}.`, { cause });
}

/** Runs `run`; what it throws becomes a TransferError about `path`. */
export function about<T>(path: string, run: () => T): T {
  try {
    return run();
  } catch (error) {
    throw storageError(error, path);
  }
}

/** A TransferError that can be posted between threads. */
export interface PackedError {
  readonly failure: FailureName;
  readonly message: string;
  /** What the system said. */
  readonly reason?: string;
}

export function packError(error: TransferError): PackedError {
  const { failure, message, cause } = error;
  return cause instanceof Error
    ? { failure, message, reason: cause.message }
    : { failure, message };
}

export function unpackError({ failure, message, reason }: PackedError): TransferError {
  return reason === undefined
    ? new TransferError(failure, message)
    : new TransferError(failure, message, { cause: new Error(reason) });
}
