/** A bench as comma-separated values (RFC 4180): a row for each interval, and one for the whole. */
import type { FerryEvent, IntervalEvent, SummaryEvent } from '../events.ts';
import { type Outputs, type Renderer, write } from '../render.ts';
import { escapeUnsafe } from '../render-names.ts';
import type { Latency } from './latency.ts';
import type { BenchSummary } from './summary.ts';

type Cell = string | number | boolean | null;

const latencyCells = (name: string, latency: Latency | null): Record<string, Cell> => ({
  [`${name}P50Ms`]: latency?.p50 ?? null,
  [`${name}P95Ms`]: latency?.p95 ?? null,
  [`${name}P99Ms`]: latency?.p99 ?? null,
  [`${name}MaxMs`]: latency?.max ?? null,
});

function intervalRow(event: IntervalEvent): Record<string, Cell> {
  return {
    row: 'interval',
    from: event.from,
    to: event.to,
    omitted: event.omitted,
    bytes: event.bytes,
    bytesPerSecond: event.bytesPerSecond,
    bitsPerSecond: event.bitsPerSecond,
    upBytesPerSecond: event.upBytesPerSecond,
    downBytesPerSecond: event.downBytesPerSecond,
    chunksRepeated: event.chunksRepeated,
    ...latencyCells('ping', event.pingMs),
    ...latencyCells('complete', event.completeMs),
    clientCpu: event.clientCpu,
    daemonCpu: event.daemonCpu,
    verdict: null,
  };
}

function summaryRow(event: SummaryEvent, bench: BenchSummary): Record<string, Cell> {
  const rate = (direction: string): number =>
    bench.directions.find((one) => one.direction === direction)?.bytesPerSecond ?? 0;
  return {
    row: 'summary',
    from: 0,
    to: event.seconds,
    omitted: false,
    bytes: event.bytes,
    bytesPerSecond: event.bytesPerSecond,
    bitsPerSecond: bench.bitsPerSecond,
    upBytesPerSecond: rate('up'),
    downBytesPerSecond: rate('down'),
    chunksRepeated: event.chunksRepeated,
    ...latencyCells('ping', bench.pingMs),
    ...latencyCells('complete', bench.completeMs),
    clientCpu: bench.clientCpu,
    daemonCpu: bench.daemonCpu,
    verdict: bench.verdict,
  };
}

export function csvLine(cells: Iterable<Cell>): string {
  const texts = [...cells].map((cell) => {
    const text = cell === null ? '' : String(cell);
    return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
  });
  return `${texts.join(',')}\r\n`;
}

export class BenchCsvRenderer implements Renderer {
  readonly #outputs: Outputs;
  #hasHead = false;

  constructor(outputs: Outputs) {
    this.#outputs = outputs;
  }

  show(event: FerryEvent): Promise<void> | undefined {
    switch (event.type) {
      case 'interval':
        return this.#write(intervalRow(event));
      case 'summary':
        return event.bench && this.#write(summaryRow(event, event.bench));
      case 'error':
        this.note(event.message);
        return undefined;
      default:
        return undefined;
    }
  }

  #write(row: Record<string, Cell>): Promise<void> | undefined {
    const head = this.#hasHead ? '' : csvLine(Object.keys(row));
    this.#hasHead = true;
    return write(this.#outputs.stdout, head + csvLine(Object.values(row)));
  }

  note(text: string): void {
    void write(this.#outputs.stderr, `ferry: ${escapeUnsafe(text)}\n`);
  }

  close(): void {
    // Nothing moves on the terminal.
  }
}
