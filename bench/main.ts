/**
 * `npm run bench`: the same work done by this project and by its peers, side by side, as ratios.
 *
 * Rows whose peer is not installed are left out and named. Results go to docs/performance.json, and
 * from there into docs/performance.md and its chart.
 */
import { readFile, writeFile } from 'node:fs/promises';
import { availableParallelism } from 'node:os';
import { parseArgs } from 'node:util';
import { killAll } from '../test/system/helpers/processes.ts';
import { contest } from './contest.ts';
import { find } from './peers.ts';
import { chart, markdown, rowsText, seriesText } from './render.ts';
import { merged, readResults, writeResults } from './results.ts';
import { type Row, rows } from './rows.ts';
import { type Series, type SeriesResult, series } from './series.ts';
import type { RowResult } from './statistics.ts';

const MiB = 1024 ** 2;
const usage = `npm run bench -- [options] [row or series…]

  --runs N       counted runs of each (5)
  --mib N        size of the large file in MiB (1024)
  --files N      files of the tree (10000)
  --sparse N,N   sizes in GiB of the files that show how memory grows (1,10)
  --no-docs      measure and print only
  --list         names of rows and series
`;

const { values, positionals } = parseArgs({
  allowPositionals: true,
  allowNegative: true,
  options: {
    runs: { type: 'string', default: '5' },
    mib: { type: 'string', default: '1024' },
    files: { type: 'string', default: '10000' },
    sparse: { type: 'string', default: '1,10' },
    docs: { type: 'boolean', default: true },
    list: { type: 'boolean', default: false },
    help: { type: 'boolean', default: false },
  },
});

const say = (text: string): void => void process.stdout.write(`${text}\n`);
const docs = (name: string): URL => new URL(`../../docs/${name}`, import.meta.url);
const everything: readonly (Row | Series)[] = [...rows, ...series];
const ids = everything.map(({ id }) => id);

/** Which were asked for and can be done here. */
function chosen<T extends Row | Series>(all: readonly T[]): T[] {
  const wanted = all.filter(({ id }) => positionals.length === 0 || positionals.includes(id));
  return wanted.filter(({ id, needs }) => {
    const missing = needs.filter((program) => find(program) === undefined);
    if (missing.length > 0) say(`${id}: left out, ${missing.join(' and ')} not installed`);
    return missing.length === 0;
  });
}

async function main(): Promise<number> {
  if (values.help || values.list) {
    say(values.help ? usage : everything.map(({ id, title }) => `${id}: ${title}`).join('\n'));
    return 0;
  }
  const unknown = positionals.filter((id) => !ids.includes(id));
  if (unknown.length > 0) {
    process.stderr.write(`There is no row ${unknown.join(', ')}; --list names them.\n`);
    return 2;
  }
  const runs = Number(values.runs);
  const sizes = {
    largeBytes: Number(values.mib) * MiB,
    treeFiles: Number(values.files),
    sparseGiB: values.sparse.split(',').map(Number),
  };
  const day = new Date().toISOString().slice(0, 10);
  const measured = `on ${day}, ${availableParallelism()} cores, Node ${process.versions.node}, ${runs === 1 ? '1 run' : `${runs} runs`}`;
  const rowResults: RowResult[] = [];
  const seriesResults: SeriesResult[] = [];
  // At once: what was measured is not lost when a later row fails.
  const keep = async (): Promise<void> => {
    if (values.docs) await writeDocs(rowResults, seriesResults);
  };
  for (const row of chosen(rows)) {
    say(`\n${row.id}: ${row.title}`);
    const onRun = (name: string, sample: { seconds: number }): void =>
      say(`  ${name}: ${sample.seconds.toFixed(2)} s`);
    rowResults.push(await contest(row, { sizes, runs, measured, onRun }));
    await keep();
  }
  for (const { needs: _, points, ...one } of chosen(series)) {
    say(`\n${one.id}: ${one.title}`);
    const found = [];
    for await (const point of points(sizes, runs)) {
      say(`  ${point.label}: ${point.values.map((value) => value?.toFixed(2)).join(', ')}`);
      found.push(point);
    }
    seriesResults.push({ ...one, points: found, measured });
    await keep();
  }
  say('');
  if (rowResults.length > 0) say(rowsText(rowResults));
  for (const one of seriesResults) say(seriesText(one));
  if (values.docs) say('docs/performance.{md,json,svg} are up to date.');
  return 0;
}

const begin = '<!-- bench: written by `npm run bench` -->';
const end = '<!-- /bench -->';

async function writeDocs(now: RowResult[], nowSeries: SeriesResult[]): Promise<void> {
  const file = docs('performance.json').pathname;
  const before = await readResults(file);
  const results = {
    rows: merged(ids, before.rows, now),
    series: merged(ids, before.series, nowSeries),
  };
  await writeResults(file, results);
  await writeFile(docs('performance.svg'), chart(results.rows));
  const page = await readFile(docs('performance.md'), 'utf8');
  const [from, to] = [page.indexOf(begin), page.indexOf(end)];
  if (from < 0 || to < from) throw new Error('docs/performance.md has lost its bench markers.');
  const table = markdown(results, 'performance.svg');
  await writeFile(
    docs('performance.md'),
    `${page.slice(0, from)}${begin}\n\n${table}\n${page.slice(to)}`,
  );
}

process.on('exit', killAll);
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => process.exit(130));
process.exitCode = await main();
