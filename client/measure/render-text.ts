/** A bench as lines for people: one for each interval as it passes, with a bar on a terminal, then the sum. */
import type { FerryEvent, IntervalEvent, SummaryEvent } from '../events.ts';
import { type Output, type Outputs, type Renderer, write } from '../render.ts';
import { escapeUnsafe } from '../render-names.ts';
import { bitRateText, bytesText, countText, rateText } from '../render-units.ts';
import type { Latency } from './latency.ts';
import type { BenchSummary, DirectionSummary } from './summary.ts';
import type { Shares } from './verdict.ts';

export interface BenchView {
  readonly quiet: boolean;
  readonly verbose: boolean;
}

export class BenchTextRenderer implements Renderer {
  readonly #outputs: Outputs;
  readonly #view: BenchView;
  /** The fastest interval so far, which fills the bar. */
  #topBytesPerSecond = 1;

  constructor(outputs: Outputs, view: BenchView) {
    this.#outputs = outputs;
    this.#view = view;
  }

  show(event: FerryEvent): Promise<void> | undefined {
    switch (event.type) {
      case 'interval': {
        if (this.#view.quiet) return undefined;
        this.#topBytesPerSecond = Math.max(this.#topBytesPerSecond, event.bytesPerSecond);
        const share = event.bytesPerSecond / this.#topBytesPerSecond;
        const columns = columnsOf(this.#outputs.stdout);
        return write(this.#outputs.stdout, `${intervalText(event, share, columns)}\n`);
      }
      case 'summary':
        // Where nothing ever flowed there is nothing to sum up.
        if (this.#view.quiet || event.bench === undefined || event.bytes === 0) return undefined;
        return write(this.#outputs.stdout, `${summaryText(event, event.bench)}\n`);
      case 'error':
        this.#say(event.message);
        return undefined;
      case 'retry':
        this.note(`${event.reason} Trying again in ${event.delaySeconds.toFixed(0)} s.`);
        return undefined;
      case 'start':
        if (this.#view.verbose) this.note(JSON.stringify(event.settings));
        return undefined;
      default:
        return undefined;
    }
  }

  note(text: string): void {
    if (!this.#view.quiet) this.#say(text);
  }

  #say(text: string): void {
    void write(this.#outputs.stderr, `ferry: ${escapeUnsafe(text)}\n`);
  }

  close(): void {
    // Nothing moves on the terminal.
  }
}

const fallbackColumns = 80;

/** Of a terminal; 0 where there is none, and so no bar. */
function columnsOf({ isTTY, columns }: Output): number {
  if (isTTY !== true) return 0;
  return columns === undefined || columns === 0 ? fallbackColumns : columns;
}

const eighths = ['', '▏', '▎', '▍', '▌', '▋', '▊', '▉'] as const;
const barColumnsMin = 8;
const barColumnsMax = 40;

/** A bar of up to `columns` columns, in steps of an eighth of one. */
export function barText(share: number, columns: number): string {
  const steps = Math.round(Math.min(1, Math.max(0, share)) * columns * 8);
  return '█'.repeat(Math.floor(steps / 8)) + (eighths[steps % 8] ?? '');
}

/** One interval; `columns` of a terminal leave room for a bar, 0 for none. */
export function intervalText(event: IntervalEvent, share: number, columns: number): string {
  const { from, to, pingMs, completeMs, clientCpu, daemonCpu } = event;
  const parts = [
    `${from.toFixed(1).padStart(6)}–${to.toFixed(1).padEnd(6)}s`,
    rateText(event.bytesPerSecond).padStart(12),
    bitRateText(event.bitsPerSecond).padStart(13),
    pingMs === null ? '' : `ping ${msText(pingMs.p50)}, p99 ${msText(pingMs.p99)}`,
    completeMs === null ? '' : `complete ${msText(completeMs.p50)}`,
    `CPU ${clientCpu.toFixed(2)}/${daemonCpu === null ? '?' : daemonCpu.toFixed(2)}`,
    ...(event.chunksRepeated > 0 ? [`${countText(event.chunksRepeated, 'chunk')} repeated`] : []),
    ...(event.omitted ? ['(warm-up)'] : []),
  ].filter((part) => part !== '');
  // Where not all fits, the bar has its place right behind the rates.
  const room = (text: string): number => Math.min(barColumnsMax, columns - text.length - 3);
  const whole = parts.join('  ');
  if (room(whole) >= barColumnsMin) return `${whole}  ${barText(share, room(whole))}`;
  const head = parts.slice(0, 3).join('  ');
  return room(head) >= barColumnsMin ? `${head}  ${barText(share, room(head))}` : whole;
}

const msText = (ms: number): string => `${ms < 10 ? ms.toFixed(2) : ms.toFixed(0)} ms`;

const percent = (share: number): string => `${Math.round(100 * share)} %`;

function latencyText(name: string, latency: Latency | null): string[] {
  if (latency === null) return [];
  const { p50, p95, p99, max, count } = latency;
  const values = [`p50 ${msText(p50)}`, `p95 ${msText(p95)}`, `p99 ${msText(p99)}`];
  return [`  ${name.padEnd(10)} ${values.join(', ')}, max ${msText(max)} (${count})`];
}

/** What the verdict is drawn from, as one line. */
export function evidenceText(shares: Shares): string {
  const of = (name: string, share: number): string => `${name} ${percent(share)}`;
  return [
    `of the time: sender ${of('thread', shares.senderThread)}`,
    of('disk', shares.senderDisk),
    of('waiting for the window', shares.window),
    of('for the socket', shares.socket),
    of('for the rate', shares.paced),
    `receiver ${of('thread', shares.receiverThread)}`,
    of('disk', shares.receiverDisk),
  ].join(', ');
}

function directionText({ direction, bytes, bytesPerSecond, bitsPerSecond }: DirectionSummary) {
  return `  ${direction.padEnd(10)} ${bytesText(bytes)}, ${rateText(bytesPerSecond)}, ${bitRateText(bitsPerSecond)}`;
}

/** Data that fits into memory may never have seen the disk. */
export function dataText(who: string, dataBytes: number, memoryBytes: number | null): string[] {
  if (dataBytes === 0) return [];
  const beside = memoryBytes === null ? '' : ` (memory: ${bytesText(memoryBytes)})`;
  const fits = memoryBytes !== null && dataBytes < memoryBytes;
  const hint = fits ? '; it fits into memory, which may have answered for the disk' : '';
  return [`  ${'data'.padEnd(10)} ${bytesText(dataBytes)} on the ${who}'s disk${beside}${hint}`];
}

/** What a bench came to. */
export function summaryText(event: SummaryEvent, bench: BenchSummary): string {
  const { bytes, seconds, bytesPerSecond, chunksRepeated } = event;
  const { directions, daemonCpu } = bench;
  return [
    `${bench.mode}: ${bytesText(bytes)} in ${seconds.toFixed(1)} s, ${rateText(bytesPerSecond)}, ${bitRateText(bench.bitsPerSecond)}`,
    ...(directions.length > 1 ? directions.map(directionText) : []),
    ...latencyText('ping', bench.pingMs),
    ...latencyText('complete', bench.completeMs),
    `  ${'CPU'.padEnd(10)} client ${bench.clientCpu.toFixed(2)}, daemon ${daemonCpu === null ? 'unknown' : daemonCpu.toFixed(2)} processors`,
    ...(chunksRepeated > 0
      ? [`  ${'repeated'.padEnd(10)} ${countText(chunksRepeated, 'chunk')}`]
      : []),
    ...dataText('client', bench.clientDataBytes, bench.clientMemoryBytes),
    ...dataText('daemon', bench.daemonDataBytes, bench.daemonMemoryBytes),
    ...directions.flatMap(({ direction, verdict, shares }) => [
      `bottleneck${directions.length > 1 ? ` ${direction}` : ''}: ${verdict}`,
      ...(bench.mode === 'hash' ? [] : [`  ${evidenceText(shares)}`]),
    ]),
  ].join('\n');
}
