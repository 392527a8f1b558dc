/** What a bench measures, and how. */

export const benchModes = ['net', 'disk-read', 'disk-write', 'hash', 'e2e'] as const;
/** `net`: memory to memory. `e2e`: files that are stored and removed again. */
export type BenchMode = (typeof benchModes)[number];

export const directions = ['up', 'down'] as const;
/** Up is from the client to the daemon; with `hash`, the client's part. */
export type Direction = (typeof directions)[number];

export interface BenchSettings {
  readonly mode: BenchMode;
  readonly directions: readonly Direction[];
  /** Wire path of a folder: whose disk is measured, and where `e2e` puts its files. */
  readonly path: string;
  /** Local folder whose disk is measured. */
  readonly folder: string;
  /** Clients at once, and connections of each of them. */
  readonly clients: number;
  readonly connections: number;
  /** Time that is measured; undefined where `bytes` says how much. */
  readonly durationMs: number | undefined;
  /** Content in each direction, all streams together. */
  readonly bytes: number | undefined;
  readonly chunkBytes: number;
  /** Bytes handed to socket or disk at a time; undefined: as for files. */
  readonly writeBytes: number | undefined;
  /** Offered load of each direction, all streams together; undefined: as much as passes. */
  readonly bytesPerSecond: number | undefined;
  /** Time at the beginning that does not count. */
  readonly omitMs: number;
  readonly intervalMs: number;
  readonly checksums: boolean;
  /** Less than this is a failure (`too-slow`). */
  readonly minBytesPerSecond: number | undefined;
}

const MiB = 1024 * 1024;

/** Files on a disk have at most so many bytes: more is measured in several, one after another. */
const fileBytes = 1024 * MiB;
/** All files of a bench together, so that a daemon with its limits as they come takes them. */
const allFilesBytes = 4096 * MiB;

/** One stream's part of the whole. */
export interface Share {
  /** Undefined: until it is stopped. */
  readonly bytes: number | undefined;
  readonly bytesPerSecond: number | undefined;
  /** Bytes of one file on a disk. */
  readonly fileBytes: number;
}

export function shareOf(settings: BenchSettings): Share {
  const { clients, connections, bytes, bytesPerSecond, chunkBytes } = settings;
  const streams = clients * connections;
  const part = (whole: number | undefined): number | undefined =>
    whole === undefined ? undefined : Math.max(1, Math.ceil(whole / streams));
  const most = Math.min(fileBytes, allFilesBytes / streams / settings.directions.length);
  return {
    bytes: part(bytes),
    bytesPerSecond: part(bytesPerSecond),
    fileBytes: Math.max(chunkBytes, Math.floor(most / chunkBytes) * chunkBytes),
  };
}
