/** What a token allows: the daemon's side of it, without the token itself. */
import type { Credential } from '../transfer/authentication.ts';

export const scopes = ['read', 'write', 'delete', 'bench'] as const;
export type Scope = (typeof scopes)[number];

export interface Grant extends Credential {
  /** How people call it: `ferryd token list`, logs. */
  readonly name: string;
  readonly scopes: ReadonlySet<Scope>;
  /** Names of the shares it may reach; undefined: all. */
  readonly shares: readonly string[] | undefined;
  /** Wire path below which it may reach; '': everything. */
  readonly prefix: string;
  /** Milliseconds since 1970; undefined: never. */
  readonly expiresAtMs: number | undefined;
  /** Content bytes in all, up and down; undefined: no limit. */
  readonly quotaBytes: number | undefined;
  /** Connections at once; undefined: no limit of its own. */
  readonly maxConnections: number | undefined;
  /** Content bytes a second, all its connections together; undefined: no limit. */
  readonly bytesPerSecond: number | undefined;
}

/** Who is at the other end of a connection. */
export interface Peer {
  /** IP address, for logs. */
  readonly address: string;
  readonly grant: Grant;
}

/**
 * An id that a client chose, as one of its token: nobody else can carry on, take over or ask after
 * what it names, even who has seen it.
 */
export function ownedBy({ id }: Grant, chosen: Uint8Array): Uint8Array {
  return Buffer.concat([id, chosen]);
}
