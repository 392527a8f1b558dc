/** TLS from the client's side: who the daemon has to be, and what its channel is. */
import { createHash, timingSafeEqual } from 'node:crypto';
import net, { type TcpSocketConnectOpts } from 'node:net';
import { connect, type TLSSocket } from 'node:tls';
import { FerryError } from '../protocol/errors.ts';
import { alpnName, channelOf, unbound } from '../transfer/channel.ts';
import type { Channel } from '../transfer/handshake.ts';
import type { InputBuffer } from '../transfer/input-buffer.ts';
import { onreadInto, readInto } from '../transfer/read-into.ts';
import { LargeReads } from './large-reads.ts';
import type { Remote } from './remote.ts';
import type { Credentials } from './transfer-options.ts';

export interface Dialed {
  /** What comes lands there. */
  readonly input: InputBuffer;
  /** Whether content mostly comes, rather than goes. */
  readonly receives: boolean;
}

/** Dials with TLS 1.3. What the certificate is worth is checked afterwards, by `channelTo`. */
export function dialSecure(
  { host, port }: Remote,
  credentials: Credentials,
  { input, receives }: Dialed,
): TLSSocket {
  const options = {
    // Node compares the certificate with it, where the stream below is ours, too.
    host,
    port,
    ALPNProtocols: [alpnName],
    minVersion: 'TLSv1.3',
    // A name in TLS is never an address (RFC 6066, section 3).
    servername: net.isIP(host) === 0 ? host : '',
    rejectUnauthorized: false,
    ...authorities(credentials),
  } as const;
  if (receives) {
    const socket = connect({ ...options, socket: new LargeReads({ host, port }) });
    // tls.connect reads into a buffer only where it connects itself.
    readInto(input, socket);
    return socket;
  }
  // The types of tls.connect lack it; its documentation has it.
  const reading: Pick<TcpSocketConnectOpts, 'onread'> = { onread: onreadInto(input, true) };
  return connect({ ...options, ...reading });
}

/**
 * Who may vouch for the daemon. To read all whom the system trusts takes 20 ms: only where they have a say.
 * A list, since Node would take an empty text for none given, and ask the system.
 */
function authorities({ ca, pin, token, binding }: Credentials): { ca?: string[] } {
  const isKnownOtherwise = pin !== undefined || (token !== undefined && binding !== 'none');
  if (ca !== undefined) return { ca: [ca] };
  return isKnownOtherwise ? { ca: [] } : {};
}

/** The channel that stands now, to a daemon that may be talked to. Throws FerryError. */
export function channelTo(socket: TLSSocket, credentials: Credentials): Channel {
  checkDaemon(socket, credentials);
  return credentials.binding === 'exporter' ? channelOf(socket) : unbound;
}

/**
 * Whether the daemon at the other end may be talked to. A pinned certificate must be that one; named
 * authorities must have signed it; without either, the system's authorities or a token will do: the
 * daemon proves that it knows the token, bound to this very channel, before the client proves
 * anything. Throws FerryError (`authentication`).
 */
function checkDaemon(socket: TLSSocket, credentials: Credentials): void {
  const { pin, ca, token, binding } = credentials;
  if (socket.alpnProtocol !== alpnName) {
    throw new FerryError('protocol', 'What answers there speaks TLS, but is no ferryd.');
  }
  if (pin !== undefined) {
    if (!isPinned(socket, pin)) throw new FerryError('authentication', changedCertificate);
    return;
  }
  if (socket.authorized) return;
  if (ca !== undefined) {
    const reason = reasonOf(socket);
    throw new FerryError(
      'authentication',
      reason === otherName
        ? "The daemon's certificate is signed by the authorities of --ca, but for another host: connect by a name or address that it holds."
        : `The daemon's certificate is not signed by the authorities of --ca: ${reason}.`,
    );
  }
  if (token === undefined) {
    throw new FerryError(
      'authentication',
      'The daemon cannot be told from an impostor: pair with it (ferry pair), or give its certificate (--pin, --ca) and a token (--token-file).',
    );
  }
  if (binding === 'none') {
    throw new FerryError(
      'authentication',
      `With --binding none the certificate must be pinned, or signed by an authority: ${reasonOf(socket)}.`,
    );
  }
}

const changedCertificate =
  'The daemon shows another certificate than the pinned one: somebody stands between you and it, or it was installed anew. If you know that it was, pair again (ferry pair).';

/** How Node calls a certificate that is good, but not for this host. */
const otherName = 'ERR_TLS_CERT_ALTNAME_INVALID';

function isPinned(socket: TLSSocket, pin: Uint8Array): boolean {
  const { raw } = socket.getPeerCertificate();
  if (raw === undefined) return false;
  const digest = createHash('sha256').update(raw).digest();
  return digest.length === pin.length && timingSafeEqual(digest, pin);
}

function reasonOf({ authorizationError }: TLSSocket): string {
  const error: unknown = authorizationError;
  return error instanceof Error ? error.message : String(error);
}
