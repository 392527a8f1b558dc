/** The daemon, put together: storages, claims, the service and its server. */
import { realpathSync, writeFileSync } from 'node:fs';
import type { AddressInfo } from 'node:net';
import path from 'node:path';
import { FerryError } from '../protocol/errors.ts';
import { shown } from '../protocol/paths.ts';
import { openLocalStorage } from '../transfer/local/local-storage.ts';
import { openFilesLimit } from '../transfer/local/open-files.ts';
import type { Storage } from '../transfer/storage.ts';
import { AllowList } from './allow-list.ts';
import { Allowances } from './allowances.ts';
import { Benches } from './benches.ts';
import { type Identity, loadIdentity } from './certificate.ts';
import { Counts } from './counts.ts';
import { fitDescriptors } from './descriptors.ts';
import { keepFree } from './free-space.ts';
import { type DaemonLimits, daemonLimits, limitNames } from './limits.ts';
import { type Note, noteName, pairingLink } from './link.ts';
import type { Logger } from './log.ts';
import type { MetricsServer } from './metrics-server.ts';
import { type DaemonOptions, loopback } from './options.ts';
import { limitPaths } from './path-limits.ts';
import { onlyPortableNames } from './portable-names.ts';
import { unusable } from './private-file.ts';
import { MemoryRegistry } from './registry.ts';
import { Service } from './serve.ts';
import { Server } from './server.ts';
import { changesOf } from './settings.ts';
import { Shares } from './shares.ts';
import { timed } from './timed-storage.ts';
import { Tokens } from './tokens.ts';
import { Usage } from './usage.ts';
import type { ShareOption } from './values.ts';

const dayMs = 24 * 3_600_000;

export interface Daemon {
  readonly address: AddressInfo;
  readonly note: Note;
  /**
   * Brings new settings into force, all that can be without a new start, or none. Transfers go on,
   * but those whom the new settings don't admit. Throws FerryError.
   */
  reload(options: DaemonOptions): Promise<void>;
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
  // One object for all who were given it: a reload changes its values.
  const fit = fitting(options.shares.length, log);
  const limits = { ...fit(options.limits) };
  const tokens = await Tokens.open(stateFolder, log);
  tokens.configure(options.grants);
  const identity = await identityOf(options, stateFolder);
  const counts = new Counts();
  const shares = new Shares(await openShares(options, limits, counts, log));
  try {
    const usage = await Usage.open(stateFolder, log);
    const service = new Service(shares, new MemoryRegistry(), log, {
      allowances: new Allowances(limits, usage),
      benches: new Benches(shares, limits, cpuUs),
      counts,
      limits,
    });
    const { listen } = options;
    const host = listen.host ?? (options.plain ? '127.0.0.1' : '::');
    const allow = new AllowList(options.allow);
    const { port } = listen;
    const how = { host, port, identity, limits, counts, allow };
    const server = new Server(service, tokens, how, log);
    const metrics = await metricsOf(options, { counts, server, service, log });
    const address = await server.listen().catch(async (error: unknown) => {
      await metrics?.close();
      throw error;
    });
    tokens.onChange = () => server.dropRevoked();
    const note = { host: address.address, port: address.port, plain: options.plain };
    noteAddress(stateFolder, note, options.tlsCert && path.resolve(options.tlsCert));
    const { durability } = options;
    log.info(
      { event: 'listening', host: address.address, port: address.port, durability },
      `listening on ${shownAddress(address)}`,
    );
    if (options.plain)
      log.warn({ event: 'plain' }, 'plain TCP: what passes can be read on its way');
    if (durability === 'none') log.warn({ event: 'durability' }, 'nothing is synced to disk');
    return {
      address,
      link: () => pairingLink(stateFolder, note, identity?.pin),
      note,
      reload: reloader(options, stateFolder, { tokens, server, limits, fit, log }),
      async stop() {
        log.info({ event: 'stopping' }, 'stopping');
        await server.stop();
        await metrics?.close();
        await service.settled();
        await usage.save();
        for (const { name, error } of await shares.close()) {
          // Its text would name paths of ours: the system's word for it will do.
          const { code } = error as NodeJS.ErrnoException;
          const reason = code ?? String(error);
          log.error({ event: 'share', share: name || '/', reason }, 'it could not be tidied up');
        }
        await tokens.close();
        log.info({ event: 'stopped' }, 'stopped');
      },
    };
  } catch (error) {
    await tokens.close();
    await shares.close();
    throw error;
  }
}

interface Observed {
  readonly counts: Counts;
  readonly server: Server;
  readonly service: Service;
  readonly log: Logger;
}

/** Serves what is observed, where that is wanted: it loads what nothing else needs. */
async function metricsOf(
  { metrics: where }: DaemonOptions,
  { counts, server, service, log }: Observed,
): Promise<MetricsServer | undefined> {
  if (where === undefined) return undefined;
  const { startMetrics } = await import('./metrics-server.ts');
  const watched = {
    counts,
    connections: () => server.connections,
    openRequests: () => service.openRequests,
  };
  const metrics = await startMetrics(watched, {
    host: where.host ?? '127.0.0.1',
    port: where.port,
    isHealthy: () => server.isListening,
    allows: (address) => loopback.test(address) || server.allows(address),
  });
  const { address: host, port } = metrics.address;
  log.info({ event: 'metrics', host, port }, `metrics on ${host}:${port}`);
  return metrics;
}

/** What can change while the daemon runs. */
interface Live {
  readonly tokens: Tokens;
  readonly server: Server;
  readonly limits: DaemonLimits;
  readonly fit: Fit;
  readonly log: Logger;
}

type Fit = (wanted: Partial<DaemonLimits>) => DaemonLimits;

/** All limits, lowered to what the process may open, which is told. */
function fitting(shares: number, log: Logger): Fit {
  const files = openFilesLimit();
  return (wanted) => {
    const limits = daemonLimits(wanted);
    if (files === undefined) return limits;
    const fitted = fitDescriptors(limits, files, shares);
    for (const name of limitNames) {
      if (fitted[name] === limits[name]) continue;
      // Somebody who asked for more should know; a default is merely a default.
      log[wanted[name] === undefined ? 'info' : 'warn'](
        { event: 'descriptors', limit: name, value: fitted[name], files },
        `${name} is ${fitted[name]} instead of ${limits[name]}: this process may open ${files} files`,
      );
    }
    return fitted;
  };
}

function reloader(
  started: DaemonOptions,
  stateFolder: string,
  { tokens, server, limits, fit, log }: Live,
): Daemon['reload'] {
  let current = started;
  return async (wanted) => {
    const identity = await identityOf({ ...wanted, plain: started.plain }, stateFolder);
    // All of it is understood: from here on nothing fails.
    const changed = changesOf(current, wanted);
    const waiting = changesOf(started, wanted).filter(({ isLive }) => !isLive);
    log.level = wanted.logLevel;
    tokens.configure(wanted.grants);
    Object.assign(limits, fit(wanted.limits));
    server.configure({ identity, limits, allow: new AllowList(wanted.allow) });
    current = wanted;
    const names = changed.filter(({ isLive }) => isLive).map(({ name }) => name);
    log.info({ event: 'reloaded', changed: names }, 'settings read again');
    if (waiting.length === 0) return;
    const later = waiting.map(({ name }) => name);
    log.warn(
      { event: 'reload', restart: later },
      `${later.join(', ')}: the new value waits for the next start`,
    );
  };
}

export async function identityOf(
  { plain, tlsCert, tlsKey }: DaemonOptions,
  stateFolder: string,
): Promise<Identity | undefined> {
  if (plain) return undefined;
  const files = tlsCert && tlsKey ? { cert: tlsCert, key: tlsKey } : undefined;
  return await loadIdentity(stateFolder, files);
}

async function openShares(
  { shares, durability, partialAgeDays, metrics }: DaemonOptions,
  limits: DaemonLimits,
  counts: Counts,
  log: Logger,
): Promise<Map<string, Storage>> {
  refuseOverlaps(shares);
  const opened = new Map<string, Storage>();
  try {
    for (const { name, folder, readOnly, portableNames } of shares) {
      const storage = await openLocalStorage({
        root: folder,
        readOnly,
        durability,
        partialAgeMs: partialAgeDays * dayMs,
        executor: 'worker',
        lock: !readOnly,
      });
      const isTimed = metrics !== undefined && !readOnly;
      const served = isTimed ? timed(storage, (seconds) => counts.onCommitted(seconds)) : storage;
      const limited = limitPaths(keepFree(served, limits), limits);
      opened.set(name, portableNames ? onlyPortableNames(limited) : limited);
      log.info({ event: 'share', share: name || '/', folder, readOnly, portableNames }, 'serving');
    }
    return opened;
  } catch (error) {
    await new Shares(opened).close();
    throw error;
  }
}

/** Two shares of which one holds the other would each show and change the other's files. */
export function refuseOverlaps(shares: readonly ShareOption[]): void {
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
  const file = path.join(stateFolder, noteName);
  const text = `${JSON.stringify({ ...note, certificate })}\n`;
  try {
    // In its place, since a full disk may have no room for another one: each start writes it anew.
    writeFileSync(file, text, { mode: 0o600 });
  } catch (cause) {
    throw unusable(file, cause);
  }
}

function shownAddress({ address, port }: AddressInfo): string {
  return address.includes(':') ? `[${address}]:${port}` : `${address}:${port}`;
}
