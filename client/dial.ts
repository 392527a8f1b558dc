/** Opens a connection to a daemon. */
import net from 'node:net';
import { FerryError } from '../protocol/errors.ts';
import { limits } from '../protocol/limits.ts';
import { credentialOf } from '../transfer/authentication.ts';
import { unbound } from '../transfer/channel.ts';
import { Connection } from '../transfer/connection.ts';
import { newHello } from '../transfer/greeting.ts';
import type { Channel, Prover } from '../transfer/handshake.ts';
import { InputBuffer } from '../transfer/input-buffer.ts';
import { onreadInto } from '../transfer/read-into.ts';
import type { Remote } from './remote.ts';
import type { Credentials } from './transfer-options.ts';

export interface DialOptions {
  /** Names this run of the program on all its connections. */
  readonly session: Uint8Array;
  /** A request that doesn't come forward for so long fails. */
  readonly timeoutMs: number;
  /** The connection's share of what may be on its way; by default all of it. */
  readonly inFlightBytes?: number;
  readonly credentials: Credentials;
  /** Whether content mostly comes, rather than goes. */
  readonly receives?: boolean | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** Time for the TCP connection and the greeting. */
const dialMs = 10_000;

/** A connection that has greeted. Throws FerryError: `never-connected`, or what the daemon said. */
export async function dial(remote: Remote, options: DialOptions): Promise<Connection> {
  const input = new InputBuffer();
  // TLS takes time to load: only where it is spoken.
  const secure = remote.scheme === 'ferry' ? await import('./secure.ts') : undefined;
  options.signal?.throwIfAborted();
  const { credentials, receives = false } = options;
  const secured = secure?.dialSecure(remote, credentials, { input, receives });
  const socket = secured ?? dialPlain(remote, input);
  input.onResume = () => socket.resume();
  socket.once('close', () => input.closed());
  socket.setNoDelay(true);
  const abort = (): void => void socket.destroy(options.signal?.reason as Error);
  options.signal?.addEventListener('abort', abort);
  try {
    await connected(socket, remote);
    // Throws when the daemon is the wrong one.
    const channel = secured && secure?.channelTo(secured, credentials);
    const connection = new Connection(socket, input, {
      side: 'client',
      hello: newHello(options.session, {
        inFlightBytes: options.inFlightBytes ?? limits.inFlightBytes,
      }),
      prover: proverOn(channel ?? unbound, credentials),
      progressMs: options.timeoutMs,
      progressName: '--timeout',
      greetingMs: dialMs,
    });
    await connection.ready.catch((error: unknown) => {
      throw notGreeted(remote, error as FerryError);
    });
    return connection;
  } catch (error) {
    socket.destroy();
    throw error;
  } finally {
    options.signal?.removeEventListener('abort', abort);
  }
}

function dialPlain({ host, port }: Remote, input: InputBuffer): net.Socket {
  return net.connect({ host, port, onread: onreadInto(input, false) });
}

/** How we prove ourselves on this channel. */
function proverOn(channel: Channel, { token }: Credentials): Prover | undefined {
  return token === undefined ? undefined : { ...channel, credential: credentialOf(token) };
}

async function connected(socket: net.Socket, remote: Remote): Promise<void> {
  await new Promise<void>((resolve, reject) => {
    const timer = setTimeout(() => {
      socket.destroy(Object.assign(new Error('timed out'), { code: 'ETIMEDOUT' }));
    }, dialMs);
    socket.once(remote.scheme === 'ferry' ? 'secureConnect' : 'connect', () => {
      clearTimeout(timer);
      resolve();
    });
    socket.once('error', (cause: NodeJS.ErrnoException) => {
      clearTimeout(timer);
      reject(cause instanceof FerryError ? cause : notConnected(remote, cause));
    });
  });
}

function notConnected({ scheme, host, port }: Remote, cause: NodeJS.ErrnoException): FerryError {
  const code =
    cause.code ?? (cause as { errors?: NodeJS.ErrnoException[] }).errors?.[0]?.code ?? '';
  const cut = 'it was cut off before anything was said';
  const inHandshake =
    scheme === 'ferry'
      ? `${cut}; does that daemon serve plain TCP (ferry+tcp://), or not allow this address?`
      : `${cut}; does that daemon not allow this address?`;
  const reasons: Record<string, string> = {
    ECONNRESET: inHandshake,
    ERR_SSL_WRONG_VERSION_NUMBER: inHandshake,
    EPROTO: 'what answers there speaks no TLS 1.3; is that ferryd?',
    ERR_SSL_TLSV1_ALERT_NO_APPLICATION_PROTOCOL: 'what answers there speaks TLS, but is no ferryd',
    ERR_SSL_TLSV1_ALERT_PROTOCOL_VERSION: 'what answers there speaks no TLS 1.3; is that ferryd?',
    ECONNREFUSED: `nothing listens on port ${port} there; is ferryd running, on this port, and not on loopback only?`,
    ENOTFOUND: 'the host name is unknown; check the spelling, or use its address',
    EAI_AGAIN: 'the host name could not be looked up; is the network up?',
    ETIMEDOUT: 'no answer; is the machine on, and does a firewall let the port through?',
    EHOSTUNREACH:
      'there is no way to that machine; is it on, on this network, and does a firewall let the port through?',
    ENETUNREACH: 'there is no way to that network; is this machine connected?',
  };
  const reason = reasons[code] ?? brokenHandshake(cause) ?? (cause.message || code);
  return new FerryError(
    'never-connected',
    `Cannot connect to ${host}:${port}: ${reason}${reason.endsWith('?') ? '' : '.'}`,
    {
      cause,
    },
  );
}

/** What OpenSSL found wrong, if it did: of itself it tells it with addresses and lines of its code. */
function brokenHandshake(cause: OpenSslError): string | undefined {
  const { code = '', library, reason = code } = cause;
  if (library === undefined && !code.startsWith('ERR_SSL_')) return undefined;
  return `the TLS handshake failed (${reason}); try again, and if it stays so, something on the way changes what is sent`;
}

/** The types of Node lack it; its documentation has it. */
interface OpenSslError extends NodeJS.ErrnoException {
  readonly library?: string;
  readonly reason?: string;
}

/** The TCP connection stood, but what answered is no daemon, or said no. */
function notGreeted(remote: Remote, error: FerryError): FerryError {
  const { scheme, host, port } = remote;
  if (error.failure !== 'connection-lost' && error.failure !== 'timeout') return error;
  const { cause } = error;
  // TLS 1.3 lets us speak before the other side has taken the handshake.
  if (cause instanceof Error && brokenHandshake(cause) !== undefined) {
    return notConnected(remote, cause);
  }
  const serves = scheme === 'ferry' ? 'TLS' : 'plain TCP; with TLS it is ferry://';
  return new FerryError(
    'never-connected',
    error.failure === 'timeout'
      ? `${host}:${port} took the connection, and did not answer for ${dialMs / 1000} s: is that ferryd, is it too busy, and does it serve ${serves}?`
      : `${host}:${port} closed the connection without a greeting: is that ferryd, does it allow this address, and serve ${serves}?`,
    { cause: error },
  );
}
