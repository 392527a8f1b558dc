/** TLS on an accepted socket: 1.3 only, and the ALPN name of the protocol. */
import type net from 'node:net';
import { TLSSocket } from 'node:tls';
import { alpnName, channelOf } from '../transfer/channel.ts';
import type { Channel } from '../transfer/handshake.ts';
import type { Identity } from './certificate.ts';

/**
 * Secures `accepted`, which must not have begun to read. `onSecure` gets the channel when the
 * handshake is through; before that, and when it fails, the socket just closes.
 */
export function secure(
  accepted: net.Socket,
  { context }: Identity,
  onSecure: (link: TLSSocket, channel: Channel) => void,
): void {
  const link = new TLSSocket(accepted, {
    isServer: true,
    secureContext: context,
    ALPNProtocols: [alpnName],
  });
  // Nobody is told why: before the greeting the daemon says nothing to strangers.
  link.on('error', () => link.destroy());
  // Of a socket without a tls.Server Node tells no `error` of TLS, and goes on reading what nobody can decrypt.
  link.on('_tlsError', (error: Error) => link.destroy(error));
  accepted.on('error', () => link.destroy());
  accepted.on('close', () => link.destroy());
  link.once('secure', () => {
    if (link.destroyed) return;
    if (link.alpnProtocol !== alpnName) {
      link.destroy();
      return;
    }
    onSecure(link, channelOf(link));
  });
}
