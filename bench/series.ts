/** How our own figures change as one thing grows. */
import { truncate, writeFile } from 'node:fs/promises';
import { Proxy } from '../test/system/helpers/proxy.ts';
import { type Command, measure, type Sample } from './measure.ts';
import { startRsync } from './peers.ts';
import { ferry, Place, type Sizes } from './place.ts';
import { spreadOf } from './statistics.ts';

export interface Point {
  readonly label: string;
  /** One for each column; null where it was not measured. */
  readonly values: readonly (number | null)[];
}

export interface SeriesResult {
  readonly id: string;
  readonly title: string;
  /** What the points are points of. */
  readonly axis: string;
  readonly columns: readonly string[];
  readonly points: readonly Point[];
  readonly measured: string;
}

export interface Series extends Pick<SeriesResult, 'id' | 'title' | 'axis' | 'columns'> {
  readonly needs: readonly string[];
  /** Gives the points one by one, as they are measured. */
  points(sizes: Sizes, runs: number): AsyncIterable<Point>;
}

const MB = 1e6;
const GiB = 1024 ** 3;
const roundTripMs = 50;

async function median(runs: number, one: () => Promise<number>): Promise<number> {
  const values: number[] = [];
  for (let run = 0; run < runs; run += 1) values.push(await one());
  return spreadOf(values).median;
}

/** Does something in a place of its own. */
async function* inPlace(
  sizes: Sizes,
  work: (place: Place) => AsyncIterable<Point>,
): AsyncIterable<Point> {
  const place = await Place.open(sizes);
  try {
    yield* work(place);
  } finally {
    await place.close();
  }
}

/** The most clients of the series at once, each with a connection for its content and one for pings. */
const manyClients = ['connections', 'connectionsPerAddress', 'connectionsPerToken']
  .concat('pendingConnections', 'benches', 'transfersPerToken')
  .flatMap((limit) => ['--limit', `${limit}=600`]);

function netSeries(id: string, axis: string, option: string, values: readonly string[]): Series {
  return {
    id,
    title: `memory to memory as the ${axis} grows`,
    axis,
    columns: ['MB/s'],
    needs: [],
    points: (sizes, runs) =>
      inPlace(sizes, async function* (place) {
        const daemon = await place.daemon({ plain: true, args: manyClients });
        for (const value of values) {
          const command = ferry(
            'bench',
            'net',
            daemon.url(),
            option,
            value,
            '--duration',
            '2s',
            '--json',
          );
          const speed = await median(runs, async () => {
            const { output } = await measure(command, daemon.pid);
            const summary = JSON.parse(output.trim().split('\n').at(-1) ?? '') as {
              bytesPerSecond: number;
            };
            return summary.bytesPerSecond / MB;
          });
          yield { label: value, values: [speed] };
        }
      }),
  };
}

const fileCounts = [1_000, 10_000, 100_000];

const files: Series = {
  id: 'files',
  title: 'upload of small files as their number grows',
  axis: 'files',
  columns: [
    'ferry, files/s',
    'rsync -a, files/s',
    'again: ferry, files/s',
    'again: rsync -a, files/s',
  ],
  needs: ['rsync'],
  async *points(sizes, runs) {
    for (const count of fileCounts) {
      yield* inPlace(sizes, async function* (place) {
        const { folder } = await place.tree(count);
        const daemon = await place.daemon({ plain: true });
        const rsync = await startRsync(place.at('peer'), place.at('theirs'));
        const ours = ferry('upload', folder, daemon.url());
        const args = ['-a', folder, `rsync://127.0.0.1:${rsync.port}/files/`];
        const theirs = { file: 'rsync', args };
        const rate = ({ seconds }: Sample): number => count / seconds;
        const fresh = (target: string, command: Command, pid: number): Promise<number> =>
          median(runs, async () => {
            await place.remove(target);
            return rate(await measure(command, pid));
          });
        const again = (command: Command, pid: number): Promise<number> =>
          median(runs, async () => rate(await measure(command, pid)));
        yield {
          label: String(count),
          values: [
            await fresh('ours/tree', ours, daemon.pid),
            await fresh('theirs/tree', theirs, rsync.pid),
            await again(ours, daemon.pid),
            await again(theirs, rsync.pid),
          ],
        };
        await rsync.stop();
      });
    }
  },
};

/** Sparse files, as of other content there is no room for so much: zeros travel without their bytes. */
const memory: Series = {
  id: 'memory',
  title: 'peak memory as a sparse file grows',
  axis: 'GiB',
  columns: ['client up, MB', 'daemon up, MB', 'seconds up'],
  needs: [],
  points: (sizes) =>
    inPlace(sizes, async function* (place) {
      for (const gib of sizes.sparseGiB) {
        const daemon = await place.daemon({ plain: true });
        const file = place.at('sparse');
        await writeFile(file, '');
        await truncate(file, gib * GiB);
        const sample = await measure(ferry('upload', file, daemon.url('sparse')), daemon.pid);
        const { clientPeakBytes, serverPeakBytes, seconds } = sample;
        yield { label: String(gib), values: [clientPeakBytes / MB, serverPeakBytes / MB, seconds] };
        await place.remove('ours/sparse');
        await daemon.stop();
      }
    }),
};

const farBytes = 256 * 1024 ** 2;

const farAway: Series = {
  id: 'far',
  title: `over a link with a round trip of ${roundTripMs} ms`,
  axis: 'work',
  columns: ['seconds', 'MB/s'],
  needs: [],
  points: (sizes, runs) =>
    inPlace({ ...sizes, largeBytes: farBytes }, async function* (place) {
      const daemon = await place.daemon({ plain: true });
      const proxy = await Proxy.start(daemon.port, {
        delayMs: { up: roundTripMs / 2, down: roundTripMs / 2 },
      });
      const seconds = (command: Command, target?: string): Promise<number> =>
        median(runs, async () => {
          if (target !== undefined) await place.remove(target);
          return (await measure(command, daemon.pid)).seconds;
        });
      try {
        const large = ferry('upload', await place.largeFile(), proxy.url('large'));
        const largeSeconds = await seconds(large, 'ours/large');
        const speed = farBytes / largeSeconds / MB;
        yield { label: `upload ${farBytes / 1024 ** 2} MiB`, values: [largeSeconds, speed] };
        const { folder, bytes } = await place.tree();
        const tree = ferry('upload', folder, proxy.url());
        const treeSeconds = await seconds(tree, 'ours/tree');
        const what = `${sizes.treeFiles} small files`;
        yield { label: `upload ${what}`, values: [treeSeconds, bytes / treeSeconds / MB] };
        yield { label: `${what} again, unchanged`, values: [await seconds(tree), null] };
      } finally {
        await proxy.close();
      }
    }),
};

export const series: readonly Series[] = [
  netSeries('clients', 'number of clients', '--clients', ['1', '4', '16', '64', '256']),
  netSeries('chunk', 'chunk size', '--chunk', ['1K', '4K', '16K', '64K', '256K', '1M', '4M']),
  files,
  memory,
  farAway,
];
