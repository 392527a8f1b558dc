/** `/metrics` and `/healthz`, over plain HTTP and apart from everything else. */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { cannotListen } from './listening.ts';
import { createMetrics, type Metrics, type Watched } from './metrics.ts';

export interface MetricsServer {
  readonly address: AddressInfo;
  close(): Promise<void>;
}

export interface MetricsServerOptions {
  readonly host: string;
  /** 0 takes a free one. */
  readonly port: number;
  readonly metrics: Pick<Metrics, 'text' | 'contentType'>;
  /** Whether the daemon takes connections. */
  readonly isHealthy: () => boolean;
  /** Whether an address may ask. */
  readonly allows: (address: string) => boolean;
}

/** Scrapers are few; whoever else found the port gets little. */
const mostConnections = 16;
const requestMs = 5_000;
const headerBytes = 4_096;

/** Throws FerryError where it can't listen. */
export async function serveMetrics(options: MetricsServerOptions): Promise<MetricsServer> {
  const { host, port, allows } = options;
  const server = createServer(
    {
      headersTimeout: requestMs,
      requestTimeout: requestMs,
      keepAliveTimeout: requestMs,
      connectionsCheckingInterval: requestMs,
      maxHeaderSize: headerBytes,
    },
    (request, response) => void answer(request, response, options).catch(() => response.destroy()),
  );
  server.maxConnections = mostConnections;
  // Whoever stops reading its answer is let go, too.
  server.setTimeout(requestMs);
  server.on('connection', (socket) => {
    if (!allows(socket.remoteAddress ?? '')) socket.destroy();
  });
  await new Promise<void>((resolve, reject) => {
    server.once('error', (cause) => reject(cannotListen(cause, host, port, '--metrics')));
    server.listen({ host, port }, resolve);
  });
  return { address: server.address() as AddressInfo, close: () => close(server) };
}

async function answer(
  { method, url = '' }: IncomingMessage,
  response: ServerResponse,
  { metrics, isHealthy }: MetricsServerOptions,
): Promise<void> {
  const say = (status: number, text: string, type = 'text/plain; charset=utf-8'): void => {
    response.writeHead(status, { 'content-type': type, 'content-length': Buffer.byteLength(text) });
    response.end(method === 'HEAD' ? '' : text);
  };
  if (method !== 'GET' && method !== 'HEAD') return say(405, 'GET or HEAD\n');
  switch (url.replace(/\?.*$/s, '')) {
    case '/metrics':
      return say(200, await metrics.text(), metrics.contentType);
    case '/healthz':
      return isHealthy() ? say(200, 'ok\n') : say(503, 'stopping\n');
    default:
      return say(404, '/metrics or /healthz\n');
  }
}

async function close(server: Server): Promise<void> {
  await new Promise<void>((resolve) => {
    server.close(() => resolve());
    server.closeAllConnections();
  });
}

/** The figures of `watched`, where `host` and `port` say. Throws FerryError. */
export async function startMetrics(
  watched: Watched,
  options: Omit<MetricsServerOptions, 'metrics'>,
): Promise<MetricsServer> {
  return await serveMetrics({ ...options, metrics: createMetrics(watched) });
}
