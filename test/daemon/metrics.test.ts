/** What Prometheus gets, and what the port that it asks stands. */
import net from 'node:net';
import test, { type ExecutionContext } from 'ava';
import { Counts } from '../../daemon/counts.ts';
import { createMetrics } from '../../daemon/metrics.ts';
import { type MetricsServerOptions, serveMetrics } from '../../daemon/metrics-server.ts';
import { FerryError } from '../../protocol/errors.ts';

async function serving(
  t: ExecutionContext,
  options: Partial<MetricsServerOptions> = {},
): Promise<{ port: number; url: (path: string) => string }> {
  const server = await serveMetrics({
    host: '127.0.0.1',
    port: 0,
    metrics: { text: async () => 'figures\n', contentType: 'text/plain; version=0.0.4' },
    isHealthy: () => true,
    allows: () => true,
    ...options,
  });
  t.teardown(() => server.close());
  const { port } = server.address;
  return { port, url: (path) => `http://127.0.0.1:${port}${path}` };
}

test('counts and gauges stand in the text as they are, each time anew', async (t) => {
  const counts = new Counts();
  let admitted = 2;
  const metrics = createMetrics({
    counts,
    connections: () => ({ admitted, pending: 1 }),
    openRequests: () => 3,
  });
  counts.traffic.receivedBytes = 5_000_000_000_000;
  counts.refused.token = 4;
  counts.ended('offer', 'ok');
  counts.ended('offer', 'ok');
  counts.ended('offer', 'no-space');
  counts.onCommitted(0.02);
  for (const line of [
    'chunkferry_connections 2',
    'chunkferry_pending_connections 1',
    'chunkferry_open_requests 3',
    'chunkferry_received_bytes_total 5000000000000',
    'chunkferry_sent_bytes_total 0',
    'chunkferry_refused_total{reason="token"} 4',
    'chunkferry_refused_total{reason="address"} 0',
    'chunkferry_requests_total{request="offer",result="ok"} 2',
    'chunkferry_requests_total{request="offer",result="no-space"} 1',
    'chunkferry_commit_seconds_bucket{le="0.01"} 0',
    'chunkferry_commit_seconds_bucket{le="0.025"} 1',
    'chunkferry_commit_seconds_count 1',
  ]) {
    t.true((await metrics.text()).split('\n').includes(line), line);
  }
  admitted = 5;
  const text = await metrics.text();
  t.true(text.includes('\nchunkferry_connections 5\n'));
  t.regex(text, /^process_resident_memory_bytes \d+$/m);
  t.regex(text, /^nodejs_eventloop_lag_p99_seconds [\d.e-]+$/m);
  t.regex(text, /^chunkferry_build_info\{version="[^"]+"\} 1$/m);
});

test('metrics and health are answered, nothing else is', async (t) => {
  let isHealthy = true;
  const { url } = await serving(t, { isHealthy: () => isHealthy });
  const metrics = await fetch(url('/metrics?x=1'));
  t.is(metrics.status, 200);
  t.is(metrics.headers.get('content-type'), 'text/plain; version=0.0.4');
  t.is(await metrics.text(), 'figures\n');
  t.is(await (await fetch(url('/healthz'))).text(), 'ok\n');
  isHealthy = false;
  t.is((await fetch(url('/healthz'))).status, 503);
  t.is((await fetch(url('/'))).status, 404);
  t.is((await fetch(url('/metrics/../etc/passwd%00'))).status, 404);
  t.is((await fetch(url('/metrics'), { method: 'POST', body: 'x'.repeat(100_000) })).status, 405);
  const head = await fetch(url('/metrics'), { method: 'HEAD' });
  t.is(head.headers.get('content-length'), '8');
});

test('whoever may not ask is closed without an answer', async (t) => {
  const asked: string[] = [];
  const allows = (address: string): boolean => {
    asked.push(address);
    return false;
  };
  const { port } = await serving(t, { allows });
  const socket = net.connect(port, '127.0.0.1');
  let heardBytes = 0;
  socket.on('data', ({ length }) => {
    heardBytes += length;
  });
  socket.on('error', () => undefined);
  socket.write('GET /metrics HTTP/1.1\r\nhost: x\r\n\r\n');
  await new Promise<void>((resolve) => socket.once('close', () => resolve()));
  t.is(heardBytes, 0);
  t.is(asked[0], '127.0.0.1');
});

test('a failure to make the text is no answer, and no end', async (t) => {
  let fails = true;
  const text = async (): Promise<string> => {
    if (fails) throw new Error('no figures');
    return 'figures\n';
  };
  const { url } = await serving(t, { metrics: { text, contentType: 'text/plain' } });
  await t.throwsAsync(fetch(url('/metrics')));
  fails = false;
  t.is((await fetch(url('/metrics'))).status, 200);
});

test('many silent connections and long headers are bounded, and closing ends them', async (t) => {
  const server = await serveMetrics({
    host: '127.0.0.1',
    port: 0,
    metrics: { text: async () => '', contentType: 'text/plain' },
    isHealthy: () => true,
    allows: () => true,
  });
  const { port } = server.address;
  let closed = 0;
  const sockets = Array.from({ length: 40 }, () => net.connect(port, '127.0.0.1'));
  const allClosed = Promise.all(
    sockets.map(
      (socket) =>
        new Promise<void>((resolve) => {
          socket.on('error', () => undefined);
          socket.once('close', () => {
            closed += 1;
            resolve();
          });
        }),
    ),
  );
  while (closed < 24) await new Promise((resolve) => setTimeout(resolve, 5));
  t.is(closed, 24, 'all but the 16 that it takes');
  await server.close();
  await allClosed;
  t.is(closed, 40);

  const { url } = await serving(t);
  const long = await fetch(url('/metrics'), { headers: { x: 'x'.repeat(8_000) } });
  t.is(long.status, 431);
});

test('an address that is taken is told with the option that says it', async (t) => {
  const { port } = await serving(t);
  const error = await t.throwsAsync(serving(t, { port }), { instanceOf: FerryError });
  t.regex(error?.message ?? '', /another port with --metrics/);
});
