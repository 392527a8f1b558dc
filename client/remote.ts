/** Where a daemon is, and what of it is meant: `ferry://host[:port]/path`. */
import { isIPv6 } from 'node:net';
import { FerryError, TransferError } from '../protocol/errors.ts';
import { shown, splitPath } from '../protocol/paths.ts';

export interface Remote {
  readonly scheme: 'ferry+tcp' | 'ferry';
  /** Name or address, IPv6 without brackets. */
  readonly host: string;
  readonly port: number;
  /** Wire path without slashes at either end; '' for the root. Literal: nothing is percent-decoded. */
  readonly path: string;
  /** Whether it names a folder: it was written with a slash at its end (`…/`), or is the root. */
  readonly isFolder: boolean;
}

/** A path on the wire, as `Remote` has it. */
export type RemotePath = Pick<Remote, 'path' | 'isFolder'>;

const defaultPort = 7873;
const highestPort = 65_535;
const howToWrite = 'write it as ferry://host/path or ferry://host:port/path';

/** Whether `text` names something on a daemon; everything else is local. */
export function isRemote(text: string): boolean {
  return text.startsWith('ferry://') || text.startsWith('ferry+tcp://');
}

/** Throws FerryError (`usage`). */
export function parseRemote(text: string): Remote {
  const match = /^(ferry|ferry\+tcp):\/\/([^/]*)(.*)$/s.exec(text);
  const [, scheme, authority, path] = match ?? [];
  if (scheme === undefined || authority === undefined || path === undefined) {
    throw new FerryError('usage', `${shown(text)} is not a remote: ${howToWrite}.`);
  }
  return {
    scheme: scheme === 'ferry' ? 'ferry' : 'ferry+tcp',
    ...parseAuthority(authority, text),
    ...parseRemotePath(path),
  };
}

/** The path of a remote, alone: `/music/` is the folder `music`. Throws FerryError (`usage`). */
export function parseRemotePath(text: string): RemotePath {
  const path = text.replace(/^\/+/, '').replace(/\/+$/, '');
  try {
    splitPath(path);
  } catch (error) {
    if (!(error instanceof TransferError)) throw error;
    throw new FerryError('usage', error.message, { cause: error });
  }
  return { path, isFolder: path === '' || text.endsWith('/') };
}

function parseAuthority(authority: string, text: string): Pick<Remote, 'host' | 'port'> {
  const [, host, port] = splitAuthority(authority);
  const fault = authorityFault(authority, host, port);
  if (host === undefined || fault !== undefined) {
    throw new FerryError('usage', `${shown(text)} ${fault ?? 'names no host'}: ${howToWrite}.`);
  }
  const bare = host.startsWith('[') ? host.slice(1, -1) : host;
  return { host: bare, port: port === undefined ? defaultPort : Number(port) };
}

/** Host, with the brackets of an IPv6 address, and port. */
function splitAuthority(authority: string): readonly (string | undefined)[] {
  return /^(\[[^\]]*\]|[^:]*)(?::(.*))?$/s.exec(authority) ?? [];
}

function authorityFault(
  authority: string,
  host: string | undefined,
  port: string | undefined,
): string | undefined {
  // Asked only where it may be one: Node's expression takes milliseconds to compile.
  if (/:.*:/.test(authority) && isIPv6(authority))
    return `needs brackets around its IPv6 address, as in [${authority}]`;
  if (authority === '' || host === '') return 'names no host';
  if (authority.includes('@')) return 'names a user, which ferry has no use for';
  if (host?.startsWith('[') === true && !isIPv6(host.slice(1, -1))) {
    return 'has no IPv6 address in its brackets';
  }
  if (port !== undefined && !isPort(port)) {
    return `needs a port from 1 to ${highestPort} after its colon`;
  }
  // What no host name holds; `?` and `#` would begin something else in other URLs.
  if (host === undefined || (!host.startsWith('[') && /[\s\p{C}[\]%\\?#"<>^`{|}]/u.test(host))) {
    return 'has a host name with a character that no host name has';
  }
  return undefined;
}

function isPort(text: string): boolean {
  return /^\d{1,5}$/.test(text) && Number(text) >= 1 && Number(text) <= highestPort;
}

/** How `remote` is written. */
export function remoteText({ scheme, host, port, path, isFolder }: Remote): string {
  const address = host.includes(':') ? `[${host}]` : host;
  const end = isFolder && path !== '' ? '/' : '';
  return `${scheme}://${address}${port === defaultPort ? '' : `:${port}`}/${path}${end}`;
}

/** Whether both are served by the same daemon, as far as their text tells. */
export function isSameDaemon(a: Remote, b: Remote): boolean {
  return a.scheme === b.scheme && a.host === b.host && a.port === b.port;
}

/** Where commands would take a remote, this one didn't get one. Throws FerryError (`usage`). */
export function requireRemote(text: string): Remote {
  if (isRemote(text)) return parseRemote(text);
  const [, elsewhere] = /^[a-z][a-z0-9+.-]*:\/\/(.+)$/is.exec(text) ?? [];
  if (elsewhere !== undefined) {
    const meant = shown(`ferry://${elsewhere}`);
    throw new FerryError('usage', `${shown(text)} is not a remote: did you mean ${meant}?`);
  }
  const hint = /^(?:[^/:@]+@)?([^/:@]+)::?(.*)$/s.exec(text);
  const host = hint?.[1];
  if (host === undefined || hint?.[2] === undefined || /^[a-z]$/i.test(host)) {
    throw new FerryError('usage', `${shown(text)} is not a remote: ${howToWrite}.`);
  }
  const path = hint[2].replace(/^\/+/, '');
  const meant = shown(`ferry://${host}/${path}`);
  throw new FerryError(
    'usage',
    `${shown(text)} is not a remote, as no daemon is paired as ${shown(host)}: did you mean ${meant}?`,
  );
}

/**
 * A local path as the command line names it. What looks like a URL but is none of ours is more
 * likely a slip than a file: `./` in front makes it a file. Throws FerryError (`usage`).
 */
export function requireLocal(text: string): string {
  if (text === '') throw new FerryError('usage', 'A local path is empty.');
  if (isRemote(text)) {
    throw new FerryError('usage', `${shown(text)} is a remote where a local path belongs.`);
  }
  if (/^[a-z][a-z0-9+.-]*:\/\//i.test(text)) {
    const meant = shown(`./${text}`);
    throw new FerryError(
      'usage',
      `${shown(text)} is neither a remote nor clearly a file: ${howToWrite}, or a file as ${meant}.`,
    );
  }
  return text;
}
