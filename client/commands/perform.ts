/** Runs one command: connection, lock, signals, what is shown, exit code. */
import { FerryError } from '../../protocol/errors.ts';
import { findCredentials } from '../credentials.ts';
import type { ErrorEvent, FerryEvent, StartEvent } from '../events.ts';
import type { Ferry } from '../ferry.ts';
import { stopAfter } from '../out-of-time.ts';
import { type Remote, remoteText } from '../remote.ts';
import { createRenderer, type Renderer, type View } from '../render.ts';
import type { Connecting } from './options.ts';
import type { Shell } from './shell.ts';
import { emptySummary } from './summary.ts';

export interface Task {
  readonly remote: Remote;
  readonly connect: Connecting;
  /** What was given and what holds by default, for the `start` event. */
  readonly settings: Readonly<Record<string, unknown>>;
  /** What makes it the same job as another one, when only one of them may run. */
  readonly lock?: readonly string[] | undefined;
  /** Whether it listens to the signal itself and ends with a summary; others are just left. */
  readonly stopsItself: boolean;
  /** Whether the same command carries on where this one stopped. */
  readonly resumes: boolean;
  /** It stops after this time, in which it may never connect; undefined: no limit. */
  readonly maxDurationMs?: number | undefined;
  /** Its events, a summary last. */
  run(ferry: Ferry, signal: AbortSignal): AsyncIterable<FerryEvent>;
}

/** A connection that doesn't close by then is left to the end of the process. */
const closeMs = 2_000;

/** Performs what `prepare` makes of the command line, and gives the exit code. Never throws. */
export async function perform(
  shell: Shell,
  command: string,
  view: View,
  prepare: () => Task | Promise<Task>,
): Promise<number> {
  const renderer = await createRenderer(shell, view);
  const startedAtMs = performance.now();
  const stop = new AbortController();
  let resumes = false;
  let timer: NodeJS.Timeout | undefined;
  shell.onStop((failure) => {
    stop.abort(new FerryError(failure, stoppedMessage(failure, resumes)));
    if (resumes) renderer.note('Stopping; once more, and it stops at once.');
  });
  try {
    // Raced, since a list may be read from a stdin that never ends.
    const task = await untilAborted(Promise.resolve().then(prepare), stop.signal);
    ({ resumes } = task);
    // From here on, since a transfer counts its own time only once the connection stands.
    timer = stopAfter(task.maxDurationMs, stop);
    return await runTask(shell, command, task, renderer, stop.signal);
  } catch (error) {
    return await showFailure(shell, view, renderer, error, startedAtMs);
  } finally {
    clearTimeout(timer);
    renderer.close();
  }
}

function stoppedMessage(failure: 'interrupted' | 'terminated', resumes: boolean): string {
  const what = failure === 'interrupted' ? 'Interrupted' : 'Terminated';
  return resumes ? `${what}: run the same command again to carry on.` : `${what}.`;
}

async function runTask(
  shell: Shell,
  command: string,
  task: Task,
  renderer: Renderer,
  signal: AbortSignal,
): Promise<number> {
  const { remote } = task;
  let started = false;
  const start = async (agreed: object | null): Promise<void> => {
    if (started) return;
    started = true;
    await renderer.show(startEvent(command, task, agreed));
  };
  let release = async (): Promise<void> => undefined;
  let ferry: Ferry | undefined;
  try {
    if (task.lock !== undefined) {
      const { lockJob } = await import('../job-lock.ts');
      const lock = await lockJob(task.lock, shell.owner);
      release = () => lock.release();
    }
    const { connect } = await import('../ferry.ts');
    const credentials = await findCredentials(remote, shell, task.connect.access);
    const onRetry = (event: FerryEvent): void => {
      void start(null);
      void renderer.show(event);
    };
    ferry = await connect(remote, { ...task.connect, credentials }, onRetry, signal);
    await start(ferry.agreed);
    // With other settings V8 would refuse what was compiled ahead: the task loads what it needs before it waits.
    setImmediate(shell.atWork);
    return await showAll(ferry, task, renderer, signal);
  } catch (error) {
    await start(null);
    throw error;
  } finally {
    if (ferry !== undefined) await close(ferry);
    await release();
  }
}

function startEvent(command: string, task: Task, agreed: object | null): StartEvent {
  const { connect, remote } = task;
  const settings = {
    remote: remoteText(remote),
    ...task.settings,
    retries: connect.retries,
    retryFirst: connect.retryFirst,
    timeoutMs: connect.timeoutMs,
    lock: task.lock !== undefined,
    agreed,
  };
  return { type: 'start', schema: 1, command, settings: withNulls(settings) };
}

/** JSON has no `undefined`: what is not set is null. */
function withNulls(settings: Readonly<Record<string, unknown>>): Record<string, unknown> {
  return Object.fromEntries(Object.entries(settings).map(([name, value]) => [name, value ?? null]));
}

async function showAll(
  ferry: Ferry,
  task: Task,
  renderer: Renderer,
  signal: AbortSignal,
): Promise<number> {
  const events = task.run(ferry, signal)[Symbol.asyncIterator]();
  let said = false;
  for (;;) {
    const next = events.next();
    const result = await (task.stopsItself ? next : untilAborted(next, signal));
    if (result.done === true) throw new Error('The command ended without a summary.');
    const event = result.value;
    const full = renderer.show(event);
    if (full !== undefined) await full;
    if (event.type === 'error') said ||= event.message.includes('same command again');
    if (event.type === 'summary') {
      if (task.resumes && !said && carriesOn.has(event.exitCode)) {
        renderer.note('Run the same command again to carry on.');
      }
      return event.exitCode;
    }
  }
}

/** Exit codes after which the same command may carry on where this one stopped. */
const carriesOn = new Set([5, 30, 130, 143]);

/** Settles as `promise` does, or rejects with the reason when the signal comes first. */
async function untilAborted<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  signal.throwIfAborted();
  return await new Promise<T>((resolve, reject) => {
    const abort = (): void => {
      reject(signal.reason as Error);
      promise.catch(() => undefined);
    };
    signal.addEventListener('abort', abort);
    promise.then(resolve, reject).finally(() => signal.removeEventListener('abort', abort));
  });
}

async function close(ferry: Ferry): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const enough = new Promise<void>((resolve) => {
    timer = setTimeout(resolve, closeMs);
  });
  // The work is done or has failed by now; how the connection ends changes neither.
  await Promise.race([ferry.close().catch(() => undefined), enough]);
  clearTimeout(timer);
}

/** Tells what ended the command, and gives its exit code. */
async function showFailure(
  shell: Shell,
  view: View,
  renderer: Renderer,
  error: unknown,
  startedAtMs: number,
): Promise<number> {
  const event = errorEvent(error);
  if (shell.env['FERRY_DEBUG'] === '1' && error instanceof Error && !view.json) {
    renderer.note(error.stack ?? error.message);
  }
  await renderer.show(event);
  await renderer.show(emptySummary(startedAtMs, event.exitCode));
  return event.exitCode;
}

export function errorEvent(error: unknown): ErrorEvent {
  if (error instanceof FerryError) {
    const { failure, message, exitCode } = error;
    return { type: 'error', failure, message, exitCode };
  }
  const what = error instanceof Error ? error.message : String(error);
  const message = `something unexpected went wrong: ${what}`;
  return { type: 'error', failure: 'internal', message, exitCode: 1 };
}
