/** Runs one row: both in turn, the one who begins changing, and every result checked. */
import type { Sample } from './measure.ts';
import { Place, type Sizes } from './place.ts';
import type { Contestant, Row } from './rows.ts';
import { cpuRatios, figuresOf, type RowResult, ratios } from './statistics.ts';

export interface ContestSettings {
  readonly sizes: Sizes;
  /** Counted runs of each; one more warms up. */
  readonly runs: number;
  readonly measured: string;
  readonly onRun: (name: string, sample: Sample) => void;
}

export async function contest(row: Row, settings: ContestSettings): Promise<RowResult> {
  const { sizes, runs, measured, onRun } = settings;
  const place = await Place.open(sizes, row.where);
  try {
    const { ours, peer, bytes, close } = await row.begin(place);
    const samples = new Map<Contestant, Sample[]>([
      [ours, []],
      [peer, []],
    ]);
    try {
      for (let run = 0; run <= runs; run += 1) {
        for (const one of run % 2 === 0 ? [ours, peer] : [peer, ours]) {
          await one.reset();
          const sample = await one.run();
          await one.check();
          if (run === 0) continue;
          samples.get(one)?.push(sample);
          onRun(one.name, sample);
        }
      }
    } finally {
      await close();
    }
    const [mine = [], theirs = []] = [samples.get(ours), samples.get(peer)];
    const { id, title, compared, floor = null, aim = null } = row;
    return {
      id,
      title,
      compared,
      floor,
      aim,
      bytes,
      runs,
      measured,
      ours: figuresOf(ours.name, mine),
      peer: figuresOf(peer.name, theirs),
      ratio: ratios(mine, theirs, (sample) => sample[compared] ?? 0),
      cpuRatio: cpuRatios(mine, theirs),
    };
  } finally {
    await place.close();
  }
}
