/** A thread of clients: their connections, and the streams on them. */
import { randomBytes } from 'node:crypto';
import { parentPort, workerData } from 'node:worker_threads';
import { FerryError } from '../../protocol/errors.ts';
import { hasherReady } from '../../protocol/hasher.ts';
import { openLocalStorage } from '../../transfer/local/local-storage.ts';
import { BusyClock } from '../../transfer/measure/busy-clock.ts';
import type { Storage } from '../../transfer/storage.ts';
import { dial } from '../dial.ts';
import type { ClientCall, ClientReply, ClientTask } from './crew.ts';
import { later, noSample, type Sample, sumDirections } from './figures.ts';
import { FetchingStream, HashedStream, ReceivingStream } from './receiving-streams.ts';
import { HashingStream, SendingStream, StoringStream } from './sending-streams.ts';
import type { BenchSettings, Direction } from './settings.ts';
import type { Stream, StreamContext } from './stream.ts';

const port = parentPort;
if (port === null) throw new Error('This file runs as a worker thread.');
const say = (reply: ClientReply): void => port.postMessage(reply);

const clock = new BusyClock();

interface Running {
  readonly direction: Direction;
  readonly stream: Stream;
}

function newStream({ mode }: BenchSettings, direction: Direction, context: StreamContext): Stream {
  const isUp = direction === 'up';
  switch (mode) {
    case 'net':
    case 'disk-read':
    case 'disk-write':
      return isUp ? new SendingStream(context) : new ReceivingStream(context);
    case 'hash':
      return isUp ? new HashingStream(context) : new HashedStream(context);
    case 'e2e':
      return isUp ? new StoringStream(context) : new FetchingStream(context);
  }
}

/** The local disk, where one end of a stream is on it. */
async function openStorage(settings: BenchSettings): Promise<Storage | undefined> {
  const { mode, directions, folder } = settings;
  const isHere =
    (mode === 'disk-read' && directions.includes('up')) ||
    (mode === 'disk-write' && directions.includes('down'));
  return isHere ? await openLocalStorage({ root: folder }) : undefined;
}

/** Opens the connections of one client. */
async function openStreams(
  { remote, options, settings }: ClientTask,
  storage: Storage | undefined,
  running: Running[],
): Promise<void> {
  const session = randomBytes(16);
  const { timeoutMs, credentials } = options;
  const receives = !settings.directions.includes('up');
  for (let i = 0; i < settings.connections; i += 1) {
    const connection = await dial(remote, { session, timeoutMs, credentials, receives });
    const context = { settings, connection, storage };
    for (const direction of settings.directions) {
      running.push({ direction, stream: newStream(settings, direction, context) });
    }
  }
}

function sampleOf(running: readonly Running[]): Sample {
  const directions = { ...noSample.directions };
  let { daemon } = noSample;
  for (const { direction, stream } of running) {
    directions[direction] = sumDirections(directions[direction], stream.figures);
    daemon = later(daemon, stream.daemon);
  }
  return { directions, threads: [clock.read()], daemon };
}

function serveCalls(running: readonly Running[], go: () => void): void {
  port?.on('message', ({ type }: ClientCall) => {
    if (type === 'sample') say({ type: 'sample', sample: sampleOf(running) });
    else if (type === 'go') go();
    else for (const { stream } of running) stream.stop();
  });
}

async function run(task: ClientTask): Promise<void> {
  const running: Running[] = [];
  const going = new Promise<void>((resolve) => serveCalls(running, resolve));
  const storage = await openStorage(task.settings);
  try {
    for (let i = 0; i < task.clients; i += 1) await openStreams(task, storage, running);
    for (const { stream } of running) await stream.prepare();
    say({ type: 'ready' });
    await going;
    const all = (of: (stream: Stream) => Promise<void>): Promise<unknown> =>
      Promise.all(running.map(({ stream }) => of(stream)));
    const first = Promise.race(running.map(({ stream }) => stream.begun));
    const begun = task.settings.bytes === undefined ? all((stream) => stream.begun) : first;
    void begun.then(() => say({ type: 'begun' }));
    void all(({ through }) => through).then(() => say({ type: 'done' }));
    await all((stream) => stream.run().then(stream.end));
  } finally {
    await storage?.close();
  }
}

void hasherReady
  .then(() => run(workerData as ClientTask))
  .catch((error: unknown) => {
    const failure = error instanceof FerryError ? error.failure : 'internal';
    say({
      type: 'failed',
      failure,
      message: error instanceof Error ? error.message : String(error),
    });
  })
  .finally(() => say({ type: 'tidy' }));
