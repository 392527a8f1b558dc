/** The daemon, put together: storages, claims, the service and its server. */
import { mkdirSync, realpathSync, writeFileSync } from 'node:fs';
import type { AddressInfo } from 'node:net';
import path from 'node:path';
import { FerryError } from '../protocol/errors.ts';
import { shown } from '../protocol/paths.ts';
import { openLocalStorage } from '../transfer/local/local-storage.ts';
import type { Storage } from '../transfer/storage.ts';
import { Benches } from './benches.ts';
import { type Identity, loadIdentity } from './certificate.ts';
import { daemonLimits } from './limits.ts';
import { type Note, noteName, pairingLink } from './link.ts';
import type { Logger } from './log.ts';
import type { DaemonOptions, ShareOption } from './options.ts';
import { MemoryRegistry } from './registry.ts';
import { Service } from './serve.ts';
import { Server } from './server.ts';
import { Shares } from './shares.ts';
import { Tokens } from './tokens.ts';

export interface Daemon {
  readonly address: AddressInfo;
  readonly note: Note;
  /** What pairs another machine with it; holds the first token. Rejects when that is gone. */
  link(): Promise<string>;
  /** Stops serving; settles when everything is closed and what can be kept is kept. */
  stop(): Promise<void>;
}

/** Starts serving; `cpuUs` tells the processor time of this process in microseconds. Rejects with FerryError when it can't. */
export async function startDaemon(
  options: DaemonOptions,
  stateFolder: string,
  log: Logger,
  cpuUs: () => number,
): Promise<Daemon> {
  checkNetwork(options);
  const limits = daemonLimits(options.limits);
  const tokens = await Tokens.open(stateFolder, log);
  const identity = await identityOf(options, stateFolder);
  const shares = new Shares(await openShares(options, log));
  try {
    const benches = new Benches(shares, limits, cpuUs);
    const service = new Service(shares, new MemoryRegistry(), log, benches);
    const host = options.host ?? (options.plain ? '127.0.0.1' : '::');
    const { port } = options;
    const server = new Server(service, tokens, { host, port, identity, limits }, log);
    const address = await server.listen();
    tokens.onChange = () => server.dropRevoked();
    const note = { host: address.address, port: address.port, plain: options.plain };
    noteAddress(stateFolder, note, options.tlsCert && path.resolve(options.tlsCert));
    const { durability } = options;
    log.info(
      { event: 'listening', host: address.address, port: address.port, durability },
      `listening on ${address.address}:${address.port}`,
    );
    if (options.plain)
      log.warn({ event: 'plain' }, 'plain TCP: what passes can be read on its way');
    if (durability === 'none') log.warn({ event: 'durability' }, 'nothing is synced to disk');
    return {
      address,
      link: () => pairingLink(stateFolder, note, identity?.pin),
      note,
      async stop() {
        log.info({ event: 'stopping' }, 'stopping');
        await server.stop();
        await service.settled();
        await shares.close();
        tokens.close();
        log.info({ event: 'stopped' }, 'stopped');
      },
    };
  } catch (error) {
    tokens.close();
    await shares.close();
    throw error;
  }
}

const loopback = /^(127\.\d+\.\d+\.\d+|::1|localhost)$/;

/** Without TLS everybody on the way reads and changes what passes: it must be this machine. */
function checkNetwork({ plain, host, allowPlainNetwork }: DaemonOptions): void {
  if (!plain || allowPlainNetwork || host === undefined || loopback.test(host)) return;
  throw new FerryError(
    'usage',
    `With --plain ferryd listens on loopback only, not on ${host}: what passes could be read and changed on its way. Leave --plain out, or add --allow-plain-network.`,
  );
}

async function identityOf(
  { plain, tlsCert, tlsKey }: DaemonOptions,
  stateFolder: string,
): Promise<Identity | undefined> {
  if (plain) return undefined;
  if ((tlsCert === undefined) !== (tlsKey === undefined)) {
    throw new FerryError('usage', 'Give --tls-cert and --tls-key together.');
  }
  const files = tlsCert && tlsKey ? { cert: tlsCert, key: tlsKey } : undefined;
  return await loadIdentity(stateFolder, files);
}

async function openShares(
  { shares, durability, partialAgeMs }: DaemonOptions,
  log: Logger,
): Promise<Map<string, Storage>> {
  refuseOverlaps(shares);
  const opened = new Map<string, Storage>();
  try {
    for (const { name, folder, readOnly } of shares) {
      const storage = await openLocalStorage({
        root: folder,
        readOnly,
        durability,
        partialAgeMs,
        executor: 'worker',
        lock: !readOnly,
      });
      opened.set(name, storage);
      log.info({ event: 'share', share: name || '/', folder, readOnly }, 'serving');
    }
    return opened;
  } catch (error) {
    await new Shares(opened).close();
    throw error;
  }
}

/** Two shares of which one holds the other would each show and change the other's files. */
function refuseOverlaps(shares: readonly ShareOption[]): void {
  const roots = shares.map(({ folder }) => {
    try {
      return realpathSync(folder);
    } catch {
      return path.resolve(folder); // Opening it will say what is wrong with it.
    }
  });
  for (const [i, a] of roots.entries()) {
    for (const [j, b] of roots.entries()) {
      const fromAToB = path.relative(a, b);
      if (i === j || fromAToB.startsWith('..') || path.isAbsolute(fromAToB)) continue;
      const [outer, inner] = [shares[i], shares[j]] as [ShareOption, ShareOption];
      throw new FerryError(
        'usage',
        `The folder ${shown(inner.folder)} lies in ${shown(outer.folder)}: shares must not overlap.`,
      );
    }
  }
}

/** Leaves a note of where this daemon listens, for tools on the same machine. */
function noteAddress(stateFolder: string, note: Note, certificate: string | undefined): void {
  mkdirSync(stateFolder, { recursive: true, mode: 0o700 });
  const text = `${JSON.stringify({ ...note, certificate })}\n`;
  writeFileSync(path.join(stateFolder, noteName), text, { mode: 0o600 });
}
