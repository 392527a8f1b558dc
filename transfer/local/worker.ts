/** The storage thread: opens a root, then runs one operation for each message, in order. */
import { parentPort, workerData } from 'node:worker_threads';
import { packError, storageError } from './errors.ts';
import { callOperation } from './executor.ts';
import { manageDescriptors } from './libc.ts';
import { createOperations, type Operations, type OperationsOptions } from './operations.ts';
import { buffersOf, openingId, type WorkerCall, type WorkerReply } from './worker-executor.ts';

// It was made without `trackUnmanagedFds`.
manageDescriptors();
const port = parentPort;
if (port === null) throw new Error('This file runs as a worker thread.');

async function answer(id: number, run: () => unknown): Promise<void> {
  let reply: WorkerReply;
  try {
    reply = { id, result: await run() };
  } catch (error) {
    reply = { id, error: packError(storageError(error, '')) };
  }
  const parts = 'result' in reply && reply.result instanceof Object ? reply.result : {};
  port?.postMessage(reply, buffersOf(Object.values(parts)));
}

let operations: Operations | undefined;
void answer(openingId, () => {
  operations = createOperations(workerData as OperationsOptions);
});

port.on('message', ({ id, name, args }: WorkerCall) => {
  void answer(id, () => {
    if (operations === undefined) throw new Error('The root could not be opened.');
    return callOperation(operations, name, args as Parameters<Operations[typeof name]>);
  });
});
