/** The client's connections to one daemon, when several works share them. */
import { once } from 'node:events';
import net from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import test, { type ExecutionContext } from 'ava';
import { Session } from '../../client/session.ts';
import { type ConnectOptions, defaultConnectOptions } from '../../client/transfer-options.ts';
import { parseToken } from '../../transfer/authentication.ts';
import type { Connection } from '../../transfer/connection.ts';
import { testToken } from '../helpers/token.ts';
import { startDaemon } from './helpers/daemon.ts';
import { tempFolder } from './helpers/files.ts';

interface Way {
  readonly session: Session;
  /** Cuts all connections; new ones come through. */
  cut(): void;
}

/** A session with a real daemon, over a way that takes so long for each direction. */
async function sessionOver(
  t: ExecutionContext,
  delayMs: number,
  options: Partial<ConnectOptions> = {},
): Promise<Way> {
  const folder = await tempFolder();
  const daemon = await startDaemon({ folder: folder.path });
  const sockets = new Set<net.Socket>();
  const cut = (): void => {
    for (const socket of sockets) socket.destroy();
    sockets.clear();
  };
  const proxy = net.createServer((near) => {
    const far = net.connect(daemon.port, '127.0.0.1');
    for (const [from, to] of [
      [near, far],
      [far, near],
    ] as const) {
      sockets.add(from);
      from.on('data', (bytes) => setTimeout(() => to.destroyed || to.write(bytes), delayMs));
      from.on('error', () => undefined).on('close', () => to.destroy());
    }
  });
  await once(proxy.listen(0, '127.0.0.1'), 'listening');
  const { port } = proxy.address() as net.AddressInfo;
  const remote = {
    scheme: 'ferry+tcp',
    host: '127.0.0.1',
    port,
    path: '',
    isFolder: true,
  } as const;
  const { credentials } = defaultConnectOptions;
  const session = new Session(remote, {
    ...defaultConnectOptions,
    credentials: { ...credentials, token: parseToken(testToken) },
    ...options,
  });
  t.teardown(async () => {
    await session.close();
    cut();
    proxy.close();
    await daemon.stop();
    await folder.remove();
  });
  return { session, cut };
}

test('several may ask at once how far the daemon is', async (t) => {
  t.timeout(60_000);
  const { session } = await sessionOver(t, 15);
  await session.connection();
  const answers = Promise.all(Array.from({ length: 4 }, () => session.isFurtherThan(10)));
  const late = sleep(20_000, 'late', { ref: false });
  t.deepEqual(await Promise.race([answers, late]), [true, true, true, true]);
});

for (const [kind, on] of [
  ['one connection', (session: Session, work: Work) => session.run((one) => work([one]))],
  ['several connections', (session: Session, work: Work) => session.runOnSeveral(2, work)],
] as const) {
  test(`what all of several works lost at once counts once: ${kind}`, async (t) => {
    t.timeout(60_000);
    const { session, cut } = await sessionOver(t, 0, { retries: 3 });
    const attempts: number[] = [];
    session.onRetry = ({ attempt }) => void attempts.push(attempt);
    await session.connection();
    session.progressed();
    let begun = 0;
    let isCut = false;
    const work: Work = async ([first]) => {
      if (isCut) return 'done';
      begun += 1;
      throw (await (first as Connection).closed) as Error;
    };
    const all = Promise.all(Array.from({ length: 4 }, () => on(session, work)));
    while (begun < 4) await sleep(10);
    isCut = true;
    cut();
    t.deepEqual(await all, ['done', 'done', 'done', 'done']);
    t.deepEqual(new Set(attempts), new Set([1]));
  });
}

type Work = (connections: readonly Connection[]) => Promise<unknown>;
