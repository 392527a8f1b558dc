/**
 * Sends pages of small files, for the client's uploads and the daemon's downloads.
 *
 * A page is one request: `offers`, `answers`, the contents as one chunk a file, `end`, `results`. Many
 * pages are under way at once, so that files cost bandwidth and not round trips.
 */
import { checksum } from '../protocol/checksum.ts';
import type { Entry } from '../protocol/entry.ts';
import { type FerryError, ProtocolError, TransferError } from '../protocol/errors.ts';
import type { Answer, Offers, PageFailure } from '../protocol/frames/pages.ts';
import type { ControlFrame } from '../protocol/frames.ts';
import { Demand } from './demand.ts';
import { transferLimits } from './limits.ts';
import { isSmall, type PageOutcome } from './page.ts';
import type { Request } from './request.ts';
import { Signal } from './signal.ts';

/** Gives the contents of the entries at these places, undefined for one that can't be read now. */
export type ContentsOf = (places: readonly number[]) => Promise<(Uint8Array | undefined)[]>;

/** Content was handed to the connection: bytes, and how many of the chunks were repeats. */
export type OnSent = (bytes: number, repeatedChunks: number) => void;

/**
 * Sends a page whose `offers` were said. What cannot be read any more is left out: the receiver then
 * reports it as failed.
 */
export async function sendPage(
  request: Request,
  page: Pick<Offers, 'entries' | 'eager'>,
  contentsOf: ContentsOf,
  onSent: OnSent = () => undefined,
): Promise<PageOutcome> {
  try {
    return await new OutgoingPage(request, page, contentsOf, onSent).send();
  } catch (error) {
    if (error instanceof TransferError || error instanceof ProtocolError) request.fail(error);
    throw error;
  }
}

class OutgoingPage {
  readonly #request: Request;
  readonly #entries: readonly Entry[];
  readonly #eager: boolean;
  readonly #contentsOf: ContentsOf;
  readonly #onSent: OnSent;
  readonly #wake = new Signal();
  /** Places that arrived damaged, to be sent again. */
  readonly #again = new Set<number>();
  readonly #demand = new Demand();
  #round = 0;
  #answers: readonly Answer[] | undefined;
  #failures: readonly PageFailure[] | undefined;
  #failure: FerryError | undefined;

  constructor(
    request: Request,
    { entries, eager }: Pick<Offers, 'entries' | 'eager'>,
    contentsOf: ContentsOf,
    onSent: OnSent,
  ) {
    this.#request = request;
    this.#entries = entries;
    this.#eager = eager;
    this.#contentsOf = contentsOf;
    this.#onSent = onSent;
    request.listen({
      onFrame: (frame) => this.#hear(frame),
      onFailed: (error) => {
        this.#failure = error;
        this.#wake.notify();
      },
    });
  }

  #hear(frame: ControlFrame): void {
    if (frame.type === 'answers') this.#answers = frame.answers;
    else if (frame.type === 'results') this.#failures = frame.failures;
    else if (frame.type === 'want') {
      this.#round = frame.round;
      for (const { start, end } of frame.ranges) {
        if (end > this.#entries.length) {
          throw new ProtocolError('protocol', 'There is no such place in the page.');
        }
        for (let place = start; place < end; place += 1) this.#again.add(place);
        this.#demand.add(end - start, this.#entries.length);
      }
    }
    this.#wake.notify();
  }

  async send(): Promise<PageOutcome> {
    if (this.#eager) await this.#sendPlaces([...this.#entries.keys()], false);
    await this.#until(() => this.#answers !== undefined);
    const answers = this.#answers ?? [];
    if (answers.length !== this.#entries.length) {
      throw new ProtocolError('protocol', 'A page was not answered entry by entry.');
    }
    if (!this.#eager) {
      const wanted = [...answers.keys()].filter((place) => answers[place] === 'want');
      await this.#sendPlaces(wanted, false);
    }
    for (let ended = -1; this.#failures === undefined; ) {
      const again = [...this.#again];
      this.#again.clear();
      await this.#sendPlaces(again, true);
      if (ended < this.#round && this.#again.size === 0) {
        ended = this.#round;
        this.#request.say({ type: 'end', request: this.#request.id, round: ended, size: 0 });
      }
      await this.#until(() => this.#failures !== undefined || this.#round > ended);
    }
    return { answers, failures: this.#failures };
  }

  async #sendPlaces(places: readonly number[], repeated: boolean): Promise<void> {
    const filled = places.filter((place) => {
      const entry = this.#entries[place] as Entry;
      return isSmall(entry) && entry.size > 0;
    });
    if (filled.length === 0) return;
    const contents = await this.#contentsOf(filled);
    // What changed since it was offered, or cannot be read, is not what was offered.
    const isAsOffered = (place: number, i: number): boolean =>
      contents[i]?.length === this.#entries[place]?.size;
    const indexes = filled.filter(isAsOffered);
    const slices = contents.filter((content, i): content is Uint8Array => {
      return content !== undefined && isAsOffered(filled[i] as number, i);
    });
    for (let from = 0; from < slices.length; from += transferLimits.sendRunChunks) {
      // An answer may come while an eager page is under way.
      const wanted = [...slices.keys()]
        .slice(from, from + transferLimits.sendRunChunks)
        .filter(
          (i) => this.#answers === undefined || this.#answers[indexes[i] as number] === 'want',
        );
      const run = wanted.map((i) => slices[i] as Uint8Array);
      const runIndexes = wanted.map((i) => indexes[i] as number);
      let repeats = repeated ? run.length : 0;
      await this.#request.sayChunks(runIndexes, run, run.map(checksum), (written) => {
        this.#onSent(written, repeats);
        repeats = 0;
      });
    }
  }

  async #until(isThere: () => boolean): Promise<void> {
    while (!isThere() && this.#failure === undefined) await this.#wake.wait();
    if (this.#failure !== undefined) throw this.#failure;
  }
}
