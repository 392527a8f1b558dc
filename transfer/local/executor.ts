/** Where the synchronous operations run: in the thread of their caller, or in a worker. */
import { TransferError } from '../../protocol/errors.ts';
import { isErrno } from './errors.ts';
import type { FileIo } from './file-io.ts';
import { createOperations, type Operations, type OperationsOptions } from './operations.ts';
import { promptIo } from './prompt-io.ts';

export interface Executor {
  /**
   * Runs one operation and rejects with its TransferError. Calls begin in order. A byte array among
   * the arguments is handed over: the caller uses it no more.
   */
  call<N extends keyof Operations>(
    name: N,
    ...args: Parameters<Operations[N]>
  ): Promise<Awaited<ReturnType<Operations[N]>>>;
  /** How content is read and written. */
  readonly io: FileIo;
  /** Settles when every call made before has; none may follow. */
  close(): Promise<void>;
}

/**
 * Calls `name` of `operations`, and rejects with what it throws; TypeScript can't follow the tie of name
 * and arguments. Where one fails as no descriptor was left, pages of small files give theirs back first.
 */
export async function callOperation<N extends keyof Operations>(
  operations: Operations,
  name: N,
  args: Parameters<Operations[N]>,
): Promise<Awaited<ReturnType<Operations[N]>>> {
  const operation = operations[name] as (
    ...args: Parameters<Operations[N]>
  ) => Awaited<ReturnType<Operations[N]>> | Promise<Awaited<ReturnType<Operations[N]>>>;
  try {
    return await operation(...args);
  } catch (error) {
    // Of folders that a first `mkdir` made, a second one would not sync the names.
    if (!isWithoutDescriptor(error) || name === 'mkdir') throw error;
    await operations.settled();
    return await operation(...args);
  }
}

/** Whether an operation failed before it changed anything, as descriptors come first. */
function isWithoutDescriptor(error: unknown): boolean {
  // What is `not-durable` for want of one has happened.
  const isLimit = error instanceof TransferError && error.failure === 'limit';
  return isLimit && isErrno(error.cause, 'EMFILE', 'ENFILE');
}

/** Runs operations at once in this thread. Throws TransferError when the root can't be opened. */
export function inlineExecutor(options: OperationsOptions): Executor {
  const operations = createOperations(options);
  return {
    io: promptIo(),
    call: (name, ...args) => callOperation(operations, name, args),
    close: () => operations.close(),
  };
}
