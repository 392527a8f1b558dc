/** Settings of uploads and downloads, with their defaults. */
import type { Overwrite, Policy } from '../protocol/frames/transfer.ts';
import type { Binding } from '../transfer/authentication.ts';

/** Which paths take part; see filter.ts. */
export interface Selection {
  /** Whether `path` (relative to its source, `/` between components) takes part. */
  includes(path: string, isDirectory: boolean): boolean;
}

export interface TransferOptions {
  readonly overwrite: Overwrite;
  /** Times that differ by no more are equal. */
  readonly modifyWindowMs: number;
  /** Compare content instead of size and mtime. */
  readonly checksum: boolean;
  /** Use what matches of an existing target. */
  readonly delta: boolean;
  /** Continue what an earlier attempt left. */
  readonly resume: boolean;
  /** Prove each file by a SHA-256 at both ends. */
  readonly sha256: boolean;
  /** Connections for one large file; undefined: chosen by its size and the distance. */
  readonly connections: number | undefined;
  /** Undefined: no limit. */
  readonly bytesPerSecond: number | undefined;
  readonly dryRun: boolean;
  readonly links: 'skip' | 'follow';
  readonly selection: Selection;
  /** Only these paths below each source, each with all it holds; undefined: everything. */
  readonly filesFrom: readonly string[] | undefined;
  /** The transfer stops, to be continued later, after this time; undefined: no limit. */
  readonly maxDurationMs: number | undefined;
  /** Whether each file that is done with becomes an event (default); what failed or is only planned always does. */
  readonly fileEvents?: boolean;
}

export const everything: Selection = { includes: () => true };

export const defaultTransferOptions: TransferOptions = {
  overwrite: 'always',
  modifyWindowMs: 0.01,
  checksum: false,
  delta: false,
  resume: true,
  sha256: false,
  connections: undefined,
  bytesPerSecond: undefined,
  dryRun: false,
  links: 'skip',
  selection: everything,
  filesFrom: undefined,
  maxDurationMs: undefined,
};

/** How to reach and keep a connection. */
export interface ConnectOptions {
  /** Attempts to connect again before giving up; progress resets the count. */
  readonly retries: number;
  /** Whether `retries` also counts for the very first connection. */
  readonly retryFirst: boolean;
  /** A transfer that doesn't come forward for so long is given up and tried again. */
  readonly timeoutMs: number;
  readonly credentials: Credentials;
  /** What the daemon may send ahead of what was taken, in all connections; as much as may be by default. */
  readonly inFlightBytes?: number;
  /** Whether content mostly comes, rather than goes: TLS then reads more at a time. */
  readonly receives?: boolean;
}

/** What the two ends know each other by. */
export interface Credentials {
  /** 32 bytes; undefined: none, which only a daemon without tokens accepts. */
  readonly token: Uint8Array | undefined;
  /** SHA-256 of the daemon's certificate (DER), which must be exactly this one. */
  readonly pin: Uint8Array | undefined;
  /** PEM of the authorities that must have signed the daemon's certificate; undefined: the system's. */
  readonly ca: string | undefined;
  /** What proofs are bound to under TLS; `none` only where a proxy ends the TLS. */
  readonly binding: Binding;
}

export const noCredentials: Credentials = {
  token: undefined,
  pin: undefined,
  ca: undefined,
  binding: 'exporter',
};

export const defaultConnectOptions: ConnectOptions = {
  retries: 5,
  retryFirst: false,
  timeoutMs: 60_000,
  credentials: noCredentials,
};

/** What the receiver decides by. */
export function policyOf(options: TransferOptions): Policy {
  return {
    overwrite: options.overwrite,
    checksum: options.checksum,
    delta: options.delta,
    fresh: !options.resume,
    modifyWindowNs: Math.round(options.modifyWindowMs * 1_000_000),
  };
}
