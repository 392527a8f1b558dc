/**
 * The pairing link: everything that another machine needs to know of a daemon, in one word that is
 * pasted at a prompt. It holds the token: who has the link has the token.
 *
 *   ferry://HOST[,HOST…]:PORT#TOKEN.PIN.NAME      TLS
 *   ferry+tcp://HOST[,HOST…]:PORT#TOKEN..NAME     plain TCP
 *
 * PIN is the SHA-256 of the certificate in base64url, NAME what the remote shall be called.
 */
import { isIPv6 } from 'node:net';
import { FerryError } from '../protocol/errors.ts';
import { parseToken, tokenText } from './authentication.ts';

export interface Link {
  readonly scheme: 'ferry' | 'ferry+tcp';
  /** Names or addresses of the one daemon, IPv6 without brackets; the likeliest first. */
  readonly hosts: readonly string[];
  readonly port: number;
  readonly token: Uint8Array;
  /** Undefined for plain TCP. */
  readonly pin: Uint8Array | undefined;
  readonly name: string;
}

const pinBytes = 32;
const highestPort = 65_535;
const hostsAtMost = 32;
const hostPattern = /^[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?$/;

export function linkText({ scheme, hosts, port, token, pin, name }: Link): string {
  const list = hosts.map((host) => (host.includes(':') ? `[${host}]` : host)).join(',');
  const pinText = pin === undefined ? '' : Buffer.from(pin).toString('base64url');
  return `${scheme}://${list}:${port}#${tokenText(token)}.${pinText}.${name}`;
}

/** Throws FerryError (`usage`), which repeats nothing of the text. */
export function parseLink(text: string): Link {
  const match =
    /^(ferry(?:\+tcp)?):\/\/([^#]+):(\d{1,5})#([\w-]+)\.([\w-]*)\.([a-z0-9-]{1,63})$/.exec(
      text.trim(),
    );
  const [, scheme, list = '', portText, token = '', pinText = '', name = ''] = match ?? [];
  const hosts = list.split(',').map((host) => host.replace(/^\[(.*)\]$/, '$1'));
  const port = Number(portText);
  const pin = pinText === '' ? undefined : new Uint8Array(Buffer.from(pinText, 'base64url'));
  const isWhole =
    (scheme === 'ferry' ? pin?.length === pinBytes : scheme === 'ferry+tcp' && !pin) &&
    hosts.length <= hostsAtMost &&
    hosts.every((host) => hostPattern.test(host) || isIPv6(host)) &&
    port >= 1 &&
    port <= highestPort;
  if (!isWhole) {
    throw new FerryError(
      'usage',
      'That is no whole pairing link: copy the line that ferryd shows (ferryd link shows it again).',
    );
  }
  const known = scheme === 'ferry' ? 'ferry' : 'ferry+tcp';
  return { scheme: known, hosts, port, token: new Uint8Array(parseToken(token)), pin, name };
}

/** A host's name as remotes are called: `nas.local` is `nas`. */
export function remoteName(hostname: string): string {
  const [first = ''] = hostname.toLowerCase().split('.');
  const name = first.replace(/[^a-z0-9-]+/g, '-').replace(/^-+|-+$/g, '');
  // One letter would be a drive elsewhere.
  return name.length > 1 ? name.slice(0, 63) : 'ferryd';
}
