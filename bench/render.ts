/** The figures as text: a table for people, Markdown and a chart for docs/performance.md. Pure. */
import type { Results } from './results.ts';
import type { SeriesResult } from './series.ts';
import { keepsFloor, type RowResult, type Spread } from './statistics.ts';

const MB = 1e6;

const number = (value: number): string =>
  value >= 100 ? value.toFixed(0) : value >= 10 ? value.toFixed(1) : value.toFixed(2);

const spread = ({ median, least, most }: Spread): string =>
  `${number(median)} (${number(least)}–${number(most)})`;

const bound = ({ compared }: RowResult, value: number | null): string =>
  value === null ? '' : `${compared === 'seconds' ? '≤' : '≥'} ${value}`;

const reached = (row: RowResult): string =>
  ({ true: 'yes', false: '**no**', undefined: '' })[String(keepsFloor(row))] ?? '';

/** What was compared, of one of the two: seconds, or MB/s. */
function figure(row: RowResult, who: 'ours' | 'peer'): string {
  const { seconds, bytesPerSecond } = row[who];
  if (row.compared === 'seconds') return `${number(seconds.median)} s`;
  return bytesPerSecond === null ? '' : `${number(bytesPerSecond.median / MB)} MB/s`;
}

const peaks = ({ clientPeakBytes, serverPeakBytes }: RowResult['ours']): string =>
  `${number(clientPeakBytes / MB)} + ${number(serverPeakBytes / MB)}`;

const rowHead = [
  'work',
  'against',
  'ours',
  'theirs',
  'ratio (least–most)',
  'floor',
  'aim',
  'kept',
  'CPU s, ours',
  'theirs',
  'ratio',
  'peak MB, client + server',
  'theirs',
];

function rowCells(row: RowResult): string[] {
  return [
    row.title,
    row.peer.name,
    figure(row, 'ours'),
    figure(row, 'peer'),
    spread(row.ratio),
    bound(row, row.floor),
    bound(row, row.aim),
    reached(row),
    number(row.ours.cpuSeconds.median),
    number(row.peer.cpuSeconds.median),
    number(row.cpuRatio.median),
    peaks(row.ours),
    peaks(row.peer),
  ];
}

const seriesCells = ({ points }: SeriesResult): string[][] =>
  points.map(({ label, values }) => [
    label,
    ...values.map((value) => (value === null ? '' : number(value))),
  ]);

/** For a terminal. */
function textTable(head: readonly string[], lines: readonly (readonly string[])[]): string {
  const all = [head, ...lines].map((line) => line.map((cell) => cell.replaceAll('*', '')));
  const widths = head.map((_, i) => Math.max(...all.map((line) => line[i]?.length ?? 0)));
  const text = all.map((line) =>
    line
      .map((cell, i) => cell.padEnd(widths[i] ?? 0))
      .join('  ')
      .trimEnd(),
  );
  return `${text.join('\n')}\n`;
}

function markdownTable(head: readonly string[], lines: readonly (readonly string[])[]): string {
  const rule = head.map(() => '---');
  return `${[head, rule, ...lines].map((line) => `| ${line.join(' | ')} |`).join('\n')}\n`;
}

export const rowsText = (rows: readonly RowResult[]): string =>
  textTable(rowHead, rows.map(rowCells));

export const seriesText = (one: SeriesResult): string =>
  `${one.title}\n${textTable([one.axis, ...one.columns], seriesCells(one))}`;

/** What stands between the markers of docs/performance.md. */
export function markdown({ rows, series }: Results, chart: string): string {
  const measured = [...new Set([...rows, ...series].map((one) => one.measured))];
  return [
    `Measured ${measured.join('; ')}. Medians of interleaved runs; the ratio is ours ÷ theirs, run by run.`,
    '',
    `![Ratios of ours to theirs](${chart})`,
    '',
    markdownTable(rowHead, rows.map(rowCells)),
    ...series.flatMap((one) => [
      `**${one.title}**`,
      '',
      markdownTable([one.axis, ...one.columns], seriesCells(one)),
    ]),
  ].join('\n');
}

// ---- the chart -----------------------------------------------------------------------------------

const lineHeight = 30;
const labelWidth = 380;
const barWidth = 420;
const widest = 2;

const escapeText = (text: string): string =>
  text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;');

/** Bars of ratios; of throughput they are turned over, so that shorter is better everywhere. */
export function chart(rows: readonly RowResult[]): string {
  const height = rows.length * lineHeight + 50;
  const at = (ratio: number): number => labelWidth + (Math.min(ratio, widest) / widest) * barWidth;
  const bars = rows.map((row, i) => {
    const turn = (ratio: number): number => (row.compared === 'seconds' ? ratio : 1 / ratio);
    const y = 30 + i * lineHeight;
    const ratio = turn(row.ratio.median);
    const kept = keepsFloor(row);
    const color = kept === undefined ? '#8a8f98' : kept ? '#2e8b57' : '#c0392b';
    const ends = [turn(row.ratio.least), turn(row.ratio.most)].map(at);
    const floor =
      row.floor === null
        ? ''
        : `<line x1="${at(turn(row.floor))}" x2="${at(turn(row.floor))}" y1="${y - 3}" y2="${y + 21}" stroke="currentColor" stroke-width="2"/>`;
    return `<text x="${labelWidth - 8}" y="${y + 14}" text-anchor="end">${escapeText(`${row.title} / ${row.peer.name}`)}</text>
<rect x="${labelWidth}" y="${y}" width="${at(ratio) - labelWidth}" height="18" fill="${color}"/>
<line x1="${ends[0]}" x2="${ends[1]}" y1="${y + 9}" y2="${y + 9}" stroke="#f4d03f" stroke-width="2"/>${floor}
<text x="${at(ratio) + 6}" y="${y + 14}">${ratio.toFixed(2)}</text>`;
  });
  const width = labelWidth + barWidth + 60;
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" width="${width}" height="${height}" font-family="system-ui, sans-serif" font-size="13" fill="currentColor" color="#444">
<title>Ours ÷ theirs: shorter is better</title>
<rect width="100%" height="100%" fill="#fff"/>
<text x="${labelWidth}" y="18">ours ÷ theirs (throughput: theirs ÷ ours); shorter is better; | is the floor</text>
<line x1="${at(1)}" x2="${at(1)}" y1="24" y2="${height - 14}" stroke="#bbb" stroke-dasharray="3 3"/>
${bars.join('\n')}
</svg>
`;
}
