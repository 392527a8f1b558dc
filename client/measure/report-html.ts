/** A bench as one page that needs nothing else: no script, nothing loaded, charts in line. */
import { createHash } from 'node:crypto';
import type { FerryEvent, IntervalEvent } from '../events.ts';
import { escapeUnsafe } from '../render-names.ts';
import { bitRateText, bytesText, rateText } from '../render-units.ts';
import { type Chart, chartSvg, html, legendHtml, type Series } from './chart-svg.ts';
import type { Latency } from './latency.ts';
import { evidenceText, summaryText } from './render-text.ts';
import type { BenchSummary } from './summary.ts';

const style = `
:root { color-scheme: light dark; --ground: #fff; --text: #1c1f24; --soft: #5b6470; --rule: #d8dde3;
  --shade: #eef1f4; --c1: #0b62c4; --c2: #b54708; --c3: #3f7a1f; }
@media (prefers-color-scheme: dark) { :root { --ground: #14171b; --text: #e6e9ed; --soft: #a0a9b4;
  --rule: #343b44; --shade: #1e242b; --c1: #6cb0ff; --c2: #ffa657; --c3: #8fd16a; } }
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 1.5rem 1rem 3rem; max-width: 60rem; background: var(--ground);
  color: var(--text); font: 16px/1.5 system-ui, sans-serif; }
h1 { font-size: 1.5rem; margin: 0; overflow-wrap: anywhere; }
h2 { font-size: 1.1rem; margin: 2rem 0 .5rem; }
p { margin: .25rem 0; overflow-wrap: anywhere; }
.soft { color: var(--soft); }
.verdict { font-size: 1.25rem; font-weight: 600; margin-top: .75rem; }
.failure { color: var(--c2); font-weight: 600; }
.chart, .wide { overflow-x: auto; }
svg { display: block; width: 100%; min-width: 34rem; height: auto; }
.grid { stroke: var(--rule); }
.omitted { fill: var(--shade); }
.tick { fill: var(--soft); font-size: 12px; }
.end { text-anchor: end; }
.middle { text-anchor: middle; }
.line { fill: none; stroke-width: 2; }
.line.c1 { stroke: var(--c1); } .line.c2 { stroke: var(--c2); } .line.c3 { stroke: var(--c3); }
.dot.c1 { fill: var(--c1); } .dot.c2 { fill: var(--c2); } .dot.c3 { fill: var(--c3); }
.legend { list-style: none; display: flex; flex-wrap: wrap; gap: .25rem 1.25rem; padding: 0; margin: 0; }
.key { display: inline-block; width: 1rem; height: .25rem; margin-right: .4rem; vertical-align: middle; }
.k1 { background: var(--c1); } .k2 { background: var(--c2); } .k3 { background: var(--c3); }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { padding: .2rem .75rem .2rem 0; text-align: left; vertical-align: top;
  border-bottom: 1px solid var(--rule); }
td.number, th.number { text-align: right; }
td { overflow-wrap: anywhere; }
pre { overflow-x: auto; margin: 0; font-size: .875rem; white-space: pre-wrap; }
`;

/** Names from elsewhere are as good as a stranger's: their control signs are shown, not obeyed. */
const shownText = (text: string): string => html(escapeUnsafe(text));

const middle = ({ from, to }: IntervalEvent): number => (from + to) / 2;

function throughput(intervals: readonly IntervalEvent[], bench: BenchSummary): Series[] {
  return bench.directions.map(({ direction }, i) => ({
    name: direction,
    colour: i + 1,
    points: intervals.map((interval) => [
      middle(interval),
      direction === 'up' ? interval.upBytesPerSecond : interval.downBytesPerSecond,
    ]),
  }));
}

function latencies(
  intervals: readonly IntervalEvent[],
  of: (interval: IntervalEvent) => Latency | null,
): Series[] {
  const series = (name: 'p50' | 'p99', colour: number): Series => ({
    name,
    colour,
    points: intervals.flatMap((interval) => {
      const latency = of(interval);
      return latency === null ? [] : [[middle(interval), latency[name]] as const];
    }),
  });
  return [series('p50', 1), series('p99', 2)];
}

function processors(intervals: readonly IntervalEvent[]): Series[] {
  return [
    {
      name: 'client',
      colour: 1,
      points: intervals.map((interval) => [middle(interval), interval.clientCpu]),
    },
    {
      name: 'daemon',
      colour: 2,
      points: intervals.flatMap((interval) =>
        interval.daemonCpu === null ? [] : [[middle(interval), interval.daemonCpu] as const],
      ),
    },
  ];
}

function chartHtml(chart: Chart): string {
  const { title, series } = chart;
  if (series.every(({ points }) => points.length === 0)) return '';
  return `<h2>${html(title)}</h2>
${legendHtml(series)}
<div class="chart">${chartSvg(chart)}</div>`;
}

const msText = (ms: number): string => `${Number(ms.toPrecision(3))} ms`;
const processorsText = (count: number): string => Number(count.toPrecision(3)).toString();

/** What is left over at an edge is too short for a rate that means something. */
const sliver = 0.2;

function chartsHtml(all: readonly IntervalEvent[], bench: BenchSummary): string {
  const leastSeconds = (sliver * Number(bench.settings['intervalMs'] ?? 0)) / 1000;
  const intervals = all.filter(({ from, to }) => to - from >= leastSeconds || all.length === 1);
  const endX = intervals.at(-1)?.to ?? 0;
  const omittedX = intervals.filter(({ omitted }) => omitted).at(-1)?.to ?? 0;
  const common = { endX, omittedX };
  const ping = latencies(intervals, ({ pingMs }) => pingMs);
  const complete = latencies(intervals, ({ completeMs }) => completeMs);
  return [
    chartHtml({
      ...common,
      title: `Throughput${bench.directions.length === 1 ? ` ${bench.directions[0]?.direction}` : ''}`,
      series: throughput(intervals, bench),
      yText: rateText,
      isBinary: true,
    }),
    chartHtml({ ...common, title: 'Ping under load', series: ping, yText: msText }),
    chartHtml({
      ...common,
      title: 'Last byte to complete, under load',
      series: complete,
      yText: msText,
    }),
    chartHtml({
      ...common,
      title: 'Processors in use',
      series: processors(intervals),
      yText: processorsText,
    }),
  ].join('\n');
}

function settingsHtml(settings: Readonly<Record<string, unknown>>): string {
  const rows = Object.entries(settings).map(([name, value]) => {
    const text = typeof value === 'string' ? value : JSON.stringify(value);
    return `<tr><th scope="row">${shownText(name)}</th><td>${shownText(text)}</td></tr>`;
  });
  return `<div class="wide"><table>${rows.join('')}</table></div>`;
}

function intervalsHtml(intervals: readonly IntervalEvent[]): string {
  const number = (text: string): string => `<td class="number">${html(text)}</td>`;
  const rows = intervals.map(
    (interval) =>
      `<tr><td>${html(`${interval.from.toFixed(1)}–${interval.to.toFixed(1)} s`)}</td>` +
      number(bytesText(interval.bytes)) +
      number(rateText(interval.bytesPerSecond)) +
      number(bitRateText(interval.bitsPerSecond)) +
      number(interval.pingMs === null ? '' : msText(interval.pingMs.p50)) +
      number(interval.pingMs === null ? '' : msText(interval.pingMs.p99)) +
      number(String(interval.chunksRepeated)) +
      `<td>${interval.omitted ? 'warm-up' : ''}</td></tr>`,
  );
  const head = ['content', 'bytes', 'bits', 'ping p50', 'ping p99', 'repeated']
    .map((name) => `<th scope="col" class="number">${name}</th>`)
    .join('');
  return `<div class="wide"><table><tr><th scope="col">interval</th>${head}<th></th></tr>${rows.join('')}</table></div>`;
}

export interface ReportHead {
  /** Where it was measured to. */
  readonly remote: string;
  /** ISO 8601. */
  readonly at: string;
}

/** The page. `events` are those of one bench, its summary last. */
export function reportHtml(events: readonly FerryEvent[], { remote, at }: ReportHead): string {
  const intervals = events.filter((event) => event.type === 'interval');
  const summary = events.find((event) => event.type === 'summary');
  const errors = events.filter((event) => event.type === 'error');
  const bench = summary?.bench;
  const title = `ferry bench ${bench?.mode ?? ''} ${remote}`;
  const hash = createHash('sha256').update(style).digest('base64');
  const policy = `default-src 'none'; style-src 'sha256-${hash}'`;
  const parts = [
    `<h1>${shownText(title)}</h1>`,
    `<p class="soft">${shownText(at)}</p>`,
    ...errors.map(({ message }) => `<p class="failure">${shownText(message)}</p>`),
    ...(bench === undefined || summary === undefined
      ? []
      : [
          `<p class="verdict">Bottleneck: ${html(bench.verdict)}</p>`,
          ...(bench.mode === 'hash'
            ? []
            : bench.directions.map(
                ({ direction, shares }) =>
                  `<p class="soft">${html(`${direction}, ${evidenceText(shares)}`)}</p>`,
              )),
          chartsHtml(intervals, bench),
          '<h2>In all</h2>',
          `<pre>${html(summaryText(summary, bench))}</pre>`,
          '<h2>Settings in force</h2>',
          settingsHtml({ remote, ...bench.settings }),
          '<h2>Intervals</h2>',
          intervalsHtml(intervals),
        ]),
  ];
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="${html(policy)}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>${shownText(title)}</title>
<style>${style}</style>
</head>
<body>
${parts.join('\n')}
</body>
</html>
`;
}
