/** Line charts as SVG: pure, without scripts, coloured by the classes of the page that they stand in. */

export interface Series {
  readonly name: string;
  /** 1, 2 or 3: which colour. */
  readonly colour: number;
  /** x ascending; what is missing is left out of the line. */
  readonly points: readonly (readonly [x: number, y: number])[];
}

export interface Chart {
  readonly title: string;
  readonly series: readonly Series[];
  /** Right end of the x axis, in seconds. */
  readonly endX: number;
  /** What lies left of it is shaded: the warm-up. */
  readonly omittedX: number;
  readonly yText: (y: number) => string;
  /** Whether y counts bytes, so that its ticks are round in steps of 1024. */
  readonly isBinary?: boolean;
}

const width = 720;
const height = 240;
const left = 84;
const right = 12;
const top = 12;
const bottom = 28;

/** Escapes text for HTML and SVG, also within attributes. */
export function html(text: string): string {
  const names: Readonly<Record<string, string>> = {
    '&': '&amp;',
    '<': '&lt;',
    '>': '&gt;',
    '"': '&quot;',
    "'": '&#39;',
  };
  return text.replace(/[&<>"']/g, (sign) => names[sign] ?? sign);
}

/** Three to six round values from 0 to at least `most`. */
export function ticksUpTo(most: number): number[] {
  if (!(most > 0)) return [0, 1];
  const rough = most / 4;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 2.5, 5, 10].map((n) => n * power).find((n) => n >= rough) ?? 10 * power;
  const count = Math.ceil(most / step - 1e-9);
  return Array.from({ length: count + 1 }, (_, i) => i * step);
}

const at = (value: number): string => (Math.round(value * 10) / 10).toString();

export function chartSvg(chart: Chart): string {
  const { title, series, endX, omittedX, yText, isBinary = false } = chart;
  const most = Math.max(0, ...series.flatMap(({ points }) => points.map(([, y]) => y)));
  const unit = isBinary && most >= 1 ? 1024 ** Math.floor(Math.log2(most) / 10) : 1;
  const ticks = ticksUpTo(most / unit).map((tick) => tick * unit);
  const topY = ticks.at(-1) ?? 1;
  const x = (value: number): number =>
    left + (Math.min(value, endX) / Math.max(endX, 1e-9)) * (width - left - right);
  const y = (value: number): number => height - bottom - (value / topY) * (height - top - bottom);
  const parts = [
    `<svg viewBox="0 0 ${width} ${height}" role="img" aria-label="${html(title)}">`,
    ...(omittedX > 0
      ? [
          `<rect class="omitted" x="${left}" y="${top}" width="${at(x(omittedX) - left)}" height="${height - top - bottom}"><title>warm-up</title></rect>`,
        ]
      : []),
    ...ticks.map(
      (tick) =>
        `<line class="grid" x1="${left}" x2="${width - right}" y1="${at(y(tick))}" y2="${at(y(tick))}"/><text class="tick end" x="${left - 8}" y="${at(y(tick) + 4)}">${html(yText(tick))}</text>`,
    ),
    ...ticksUpTo(endX)
      .filter((tick) => tick <= endX)
      .map(
        (tick) =>
          `<text class="tick middle" x="${at(x(tick))}" y="${height - 8}">${html(`${at(tick)} s`)}</text>`,
      ),
    ...series.map(({ name, colour, points }) => {
      const line = points.map(([px, py]) => `${at(x(px))},${at(y(py))}`).join(' ');
      const dots = points.map(
        ([px, py]) =>
          `<circle class="dot c${colour}" cx="${at(x(px))}" cy="${at(y(py))}" r="3"><title>${html(`${name}, ${at(px)} s: ${yText(py)}`)}</title></circle>`,
      );
      return `<polyline class="line c${colour}" points="${line}"/>${dots.join('')}`;
    }),
    '</svg>',
  ];
  return parts.join('\n');
}

/** Which colour is what; nothing for one series, which the title names. */
export function legendHtml(series: readonly Series[]): string {
  if (series.length < 2) return '';
  const items = series.map(
    ({ name, colour }) => `<li><span class="key k${colour}"></span>${html(name)}</li>`,
  );
  return `<ul class="legend">${items.join('')}</ul>`;
}
