/**
 * Keeps a daemon below its descriptor limit. At the limit Node drops new connections without a word,
 * so that nobody could be told why: fewer are let in instead.
 */
import type { DaemonLimits } from './limits.ts';

/** The program's own: its libraries, threads, listening socket, log, state. */
const ownFiles = 64;
/** Folders that a share holds open: its root and staging, those on the way to a file, one listing. */
const shareFiles = 80;
/** Data and journal of an upload; a download has one. */
const transferFiles = 2;
/** With fewer there is no room for a client beside one share. */
export const leastFiles: number = ownFiles + shareFiles + 16;

/** The limits that so many open files have room for: connections and transfers have about half each. */
export function fitDescriptors(limits: DaemonLimits, files: number, shares: number): DaemonLimits {
  const room = Math.max(0, files - ownFiles - shares * shareFiles);
  const pendingConnections = atLeastOne(Math.min(limits.pendingConnections, room / 8));
  const connections = atLeastOne(Math.min(limits.connections, room / 2 - pendingConnections));
  const left = room - pendingConnections - connections;
  const transfers = atLeastOne(Math.min(limits.transfers, left / transferFiles));
  return { ...limits, pendingConnections, connections, transfers };
}

const atLeastOne = (count: number): number => Math.max(1, Math.floor(count));
