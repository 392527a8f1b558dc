/**
 * The daemon's figures for Prometheus. They are read where they are kept, when somebody asks; nothing is
 * labelled by what a peer says, nor by token, address or path.
 */
import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client';
import { version } from '../transfer/version.ts';
import type { Counts } from './counts.ts';

export interface Watched {
  readonly counts: Counts;
  /** Who is connected at this moment. */
  readonly connections: () => { readonly admitted: number; readonly pending: number };
  readonly openRequests: () => number;
}

export interface Metrics {
  /** All of them, in the text format. */
  readonly text: () => Promise<string>;
  readonly contentType: string;
}

/** From what a file in memory takes to what a slow disk takes. */
const commitSeconds = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10];

export function createMetrics({ counts, connections, openRequests }: Watched): Metrics {
  const registry = new Registry();
  collectDefaultMetrics({ register: registry });
  const registers = [registry];
  const gauge = (name: string, help: string, value: () => number): void => {
    registry.registerMetric(new Gauge({ name, help, registers: [], collect: read }));
    function read(this: Gauge): void {
      this.set(value());
    }
  };
  type Row = readonly [labels: Record<string, string>, value: number];
  const counter = (name: string, help: string, labelNames: string[], rows: () => Row[]): void => {
    registry.registerMetric(new Counter({ name, help, labelNames, registers: [], collect: read }));
    function read(this: Counter): void {
      this.reset();
      for (const [labels, value] of rows()) this.inc(labels, value);
    }
  };
  new Gauge({
    name: 'chunkferry_build_info',
    help: 'Always 1; the version is its label.',
    labelNames: ['version'],
    registers,
  }).set({ version }, 1);
  gauge('chunkferry_connections', 'Connections behind the proof of a token.', () => {
    return connections().admitted;
  });
  gauge('chunkferry_pending_connections', 'Connections that have not proved a token yet.', () => {
    return connections().pending;
  });
  gauge('chunkferry_open_requests', 'Requests under way.', openRequests);
  counter('chunkferry_connections_total', 'Connections that proved a token.', [], () => [
    [{}, counts.connections],
  ]);
  counter('chunkferry_refused_total', 'Connections not let in, by reason.', ['reason'], () =>
    Object.entries(counts.refused).map(([reason, count]) => [{ reason }, count]),
  );
  counter('chunkferry_received_bytes_total', 'Content received, in bytes of chunks.', [], () => [
    [{}, counts.traffic.receivedBytes],
  ]);
  counter('chunkferry_sent_bytes_total', 'Content sent, in bytes of chunks.', [], () => [
    [{}, counts.traffic.sentBytes],
  ]);
  counter(
    'chunkferry_requests_total',
    'Requests that came to their end, by kind and result.',
    ['request', 'result'],
    () =>
      [...counts.requests].flatMap(([request, results]) =>
        [...results].map(([result, count]) => [{ request, result }, count] as const),
      ),
  );
  const commits = new Histogram({
    name: 'chunkferry_commit_seconds',
    help: 'Time to bring a file, or a page of small ones, to disk under its name.',
    buckets: commitSeconds,
    registers,
  });
  counts.onCommitted = (seconds) => commits.observe(seconds);
  return {
    text: () => registry.metrics(),
    contentType: registry.contentType,
  };
}
