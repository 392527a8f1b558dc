/** Where the synchronous operations run: in the thread of their caller, or in a worker. */
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
 * and arguments.
 */
export async function callOperation<N extends keyof Operations>(
  operations: Operations,
  name: N,
  args: Parameters<Operations[N]>,
): Promise<Awaited<ReturnType<Operations[N]>>> {
  const operation = operations[name] as (
    ...args: Parameters<Operations[N]>
  ) => Awaited<ReturnType<Operations[N]>> | Promise<Awaited<ReturnType<Operations[N]>>>;
  return await operation(...args);
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
