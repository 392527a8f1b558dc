/** The checksums that one request is asked for while its file is sent: read, and told page by page. */
import { ProtocolError } from '../protocol/errors.ts';
import type { Level } from '../protocol/frames/requests.ts';
import type { FrameOf } from '../protocol/frames.ts';
import type { Range } from '../protocol/ranges.ts';
import { Demand } from './demand.ts';
import type { Request } from './request.ts';
import type { Sending } from './send.ts';
import { Signal } from './signal.ts';
import { SourceChecksums, sumsPage } from './source-checksums.ts';

interface Job extends Range {
  readonly level: Level;
}

export class Comparisons {
  readonly #sending: Sending;
  readonly #request: Request;
  readonly #wake = new Signal();
  readonly #asked = { segment: new Demand(), chunk: new Demand() };
  readonly #jobs: Job[] = [];
  #checksums: SourceChecksums | undefined;
  #isReading = false;

  constructor(sending: Sending, request: Request) {
    this.#sending = sending;
    this.#request = request;
  }

  /** Ranges that were asked for and not begun. */
  get waiting(): number {
    return this.#jobs.length;
  }

  /** Whether something is still to be told. */
  get isBusy(): boolean {
    return this.#isReading || this.#jobs.length > 0;
  }

  /** Takes the question in. Throws ProtocolError when too much is asked for again and again. */
  hear({ level, ranges }: FrameOf<'compare'>): void {
    const { chunks, source } = this.#sending;
    // Of what has no end, no number would be too often.
    if (!source.rewindable) {
      throw new ProtocolError('protocol', 'What a stream has given cannot be compared.');
    }
    const all = SourceChecksums.count(level, chunks);
    for (const range of ranges) {
      this.#jobs.push({ level, ...range });
      this.#asked[level].add(Math.min(range.end, all) - Math.min(range.start, all), all);
    }
    this.#wake.notify();
  }

  /** Looks again whether it is over. */
  wake(): void {
    this.#wake.notify();
  }

  /** Answers until `isOver`; `onTold` hears of each range that is through. */
  async run(isOver: () => boolean, onTold: () => void): Promise<void> {
    while (!isOver()) {
      const job = this.#jobs.shift();
      if (job === undefined) {
        await this.#wake.wait();
        continue;
      }
      this.#isReading = true;
      await this.#answer(job, isOver);
      this.#isReading = false;
      onTold();
    }
  }

  async #answer({ level, start, end }: Job, isOver: () => boolean): Promise<void> {
    const { source, options, ledger, chunks } = this.#sending;
    if (end > SourceChecksums.count(level, chunks)) {
      throw new ProtocolError('protocol', 'Checksums past the end are asked for.');
    }
    this.#checksums ??= new SourceChecksums(source, options.chunkBytes, ledger, isOver);
    for (let first = start; first < end && !isOver(); first += sumsPage) {
      const last = Math.min(end, first + sumsPage);
      const checksums = await this.#checksums.of(level, first, last, chunks);
      const request = this.#request.id;
      await this.#request.sayBulk({ type: 'sums', request, level, first, checksums, last: false });
    }
  }
}
