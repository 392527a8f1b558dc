/** Where the synchronous operations run: in the thread of their caller, or in a worker. */
import type { FileIo } from './file-io.ts';
import { createOperations, type Operations, type OperationsOptions } from './operations.ts';
import { promptIo } from './prompt-io.ts';

export interface Executor {
  /**
   * Runs one operation and rejects with its TransferError. Calls run in order. A byte array among
   * the arguments is handed over: the caller uses it no more.
   */
  call<N extends keyof Operations>(
    name: N,
    ...args: Parameters<Operations[N]>
  ): Promise<ReturnType<Operations[N]>>;
  /** How content is read and written. */
  readonly io: FileIo;
  /** Settles when every call made before has; none may follow. */
  close(): Promise<void>;
}

/** Calls `name` of `operations`; TypeScript can't follow the tie of name and arguments. */
export function callOperation<N extends keyof Operations>(
  operations: Operations,
  name: N,
  args: Parameters<Operations[N]>,
): ReturnType<Operations[N]> {
  const operation = operations[name] as (
    ...args: Parameters<Operations[N]>
  ) => ReturnType<Operations[N]>;
  return operation(...args);
}

/** Runs operations at once in this thread. Throws TransferError when the root can't be opened. */
export function inlineExecutor(options: OperationsOptions): Executor {
  const operations = createOperations(options);
  return {
    io: promptIo(),
    // Being async turns what an operation throws into a rejection.
    call: async (name, ...args) => callOperation(operations, name, args),
    close: async () => operations.close(),
  };
}
