/** Opens a connection to a daemon. */
import net from 'node:net';
import { FerryError } from '../protocol/errors.ts';
import { limits } from '../protocol/limits.ts';
import { Connection } from '../transfer/connection.ts';
import { newHello } from '../transfer/greeting.ts';
import { InputBuffer } from '../transfer/input-buffer.ts';
import type { Remote } from './remote.ts';

export interface DialOptions {
  /** Names this run of the program on all its connections. */
  readonly session: Uint8Array;
  /** A request that doesn't come forward for so long fails. */
  readonly timeoutMs: number;
  /** The connection's share of what may be on its way; by default all of it. */
  readonly inFlightBytes?: number;
  readonly signal?: AbortSignal | undefined;
}

/** Time for the TCP connection and the greeting. */
const dialMs = 10_000;

/** A connection that has greeted. Throws FerryError: `never-connected`, or what the daemon said. */
export async function dial(remote: Remote, options: DialOptions): Promise<Connection> {
  const input = new InputBuffer();
  const socket = net.connect({
    host: remote.host,
    port: remote.port,
    noDelay: true,
    onread: {
      buffer: () => input.space(),
      callback: (count) => input.filled(count),
    },
  });
  input.onResume = () => socket.resume();
  const abort = (): void => void socket.destroy(options.signal?.reason as Error);
  options.signal?.addEventListener('abort', abort);
  try {
    await connected(socket, remote);
    const told = { inFlightBytes: options.inFlightBytes ?? limits.inFlightBytes };
    const connection = new Connection(socket, input, {
      side: 'client',
      hello: newHello(options.session, told),
      progressMs: options.timeoutMs,
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

async function connected(socket: net.Socket, remote: Remote): Promise<void> {
  await new Promise<void>((resolve, reject) => {
    const timer = setTimeout(() => {
      socket.destroy(Object.assign(new Error('timed out'), { code: 'ETIMEDOUT' }));
    }, dialMs);
    socket.once('connect', () => {
      clearTimeout(timer);
      resolve();
    });
    socket.once('error', (cause: NodeJS.ErrnoException) => {
      clearTimeout(timer);
      reject(cause instanceof FerryError ? cause : notConnected(remote, cause));
    });
  });
}

function notConnected({ host, port }: Remote, cause: NodeJS.ErrnoException): FerryError {
  const code =
    cause.code ?? (cause as { errors?: NodeJS.ErrnoException[] }).errors?.[0]?.code ?? '';
  const reasons: Record<string, string> = {
    ECONNREFUSED: `nothing listens on port ${port} there; is ferryd running, on this port, and not on loopback only?`,
    ENOTFOUND: 'the host name is unknown; check the spelling, or use its address',
    EAI_AGAIN: 'the host name could not be looked up; is the network up?',
    ETIMEDOUT: 'no answer; is the machine on, and does a firewall let the port through?',
    EHOSTUNREACH: 'there is no way to that machine; is it on, and on this network?',
    ENETUNREACH: 'there is no way to that network; is this machine connected?',
  };
  const reason = reasons[code] ?? (cause.message || code);
  return new FerryError(
    'never-connected',
    `Cannot connect to ${host}:${port}: ${reason}${reason.endsWith('?') ? '' : '.'}`,
    {
      cause,
    },
  );
}

/** The TCP connection stood, but what answered is no daemon, or said no. */
function notGreeted({ host, port }: Remote, error: FerryError): FerryError {
  if (error.failure !== 'connection-lost' && error.failure !== 'timeout') return error;
  return new FerryError(
    'never-connected',
    `${host}:${port} closed the connection without a greeting: is that ferryd, and does it serve plain TCP?`,
    { cause: error },
  );
}
