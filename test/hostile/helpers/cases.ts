/** Many small cases against one daemon: a few at a time, each with a name of its own in a failure. */
import type { ExecutionContext } from 'ava';
import { until } from '../../system/helpers/wait.ts';
import type { Ground } from './ground.ts';
import type { Peer } from './peer.ts';

const atOnce = 16;
/** Only a failing test waits so long; a stranger has 10 s for its greeting. */
const patienceMs = 15_000;

/** Calls `work` for each item, a few at a time: strangers beyond the pool would give way. */
export async function inTurns<T>(
  items: readonly T[],
  work: (item: T) => Promise<void>,
): Promise<void> {
  const left = [...items];
  const worker = async (): Promise<void> => {
    for (let item = left.shift(); item !== undefined; item = left.shift()) {
      await work(item).catch((error: unknown) => {
        // One failure is enough: the others end with what they are at.
        left.length = 0;
        throw error;
      });
    }
  };
  await Promise.all(Array.from({ length: atOnce }, worker));
}

/** Codes of failures, from the table of docs/protocol.md. */
export const failures = {
  protocol: 1,
  version: 2,
  authentication: 3,
  corrupt: 4,
  timeout: 5,
  notFound: 20,
  permission: 21,
  wrongKind: 22,
  exists: 23,
  badPath: 25,
  integrity: 30,
  limit: 27,
  unknownTransfer: 34,
} as const;

/** The connection ends, and one error says why. */
export async function isRefused(
  t: ExecutionContext,
  peer: Peer,
  code: number,
  what: string,
): Promise<void> {
  await until(`${what} ends the connection`, () => peer.isOver, patienceMs);
  const said = peer.failures.map((failure) => failure.code);
  t.deepEqual(said, [code], `${what}: ${JSON.stringify(peer.messages)}`);
}

/** The connection ends without a word. */
export async function isSilent(t: ExecutionContext, peer: Peer, what: string): Promise<void> {
  await until(`${what} ends the connection`, () => peer.isOver, patienceMs);
  t.is(peer.heardBytes, 0, what);
}

/** Says `bytes` on a connection of their own each; each must be answered by an error of this code. */
export async function areRefused(
  t: ExecutionContext,
  ground: Ground,
  code: number,
  cases: Readonly<Record<string, Uint8Array>>,
): Promise<void> {
  await inTurns(Object.entries(cases), async ([what, bytes]) => {
    const peer = await ground.peer();
    peer.write(bytes);
    await isRefused(t, peer, code, what);
  });
}
