/** Receives pages of small files, for the daemon's uploads and the client's downloads. */
import { oneByOne } from '../protocol/chunk-run.ts';
import type { Entry } from '../protocol/entry.ts';
import { type FerryError, ProtocolError, TransferError } from '../protocol/errors.ts';
import type { Answer, Offers, PageFailure } from '../protocol/frames/pages.ts';
import type { ChunkFrame, ControlFrame, FrameOf } from '../protocol/frames.ts';
import { limits } from '../protocol/limits.ts';
import { joinPath } from '../protocol/paths.ts';
import type { Block } from './input-buffer.ts';
import { isSmall, type PageOutcome } from './page.ts';
import { givePageMemory, type PageMemory, pageMemoryBytes, takePageMemory } from './page-memory.ts';
import { whyRefused } from './refusal.ts';
import type { Request } from './request.ts';
import { Signal } from './signal.ts';
import type { SmallFile, Storage } from './storage.ts';
import { whileWorking } from './working.ts';

export interface ReceivePageOptions {
  /** What to answer; by default the storage compares by the page's policy. */
  readonly decide?: () => Promise<Answer[]>;
  /**
   * Asks for memory for so many bytes of content: calls `onRoom` when there is room for them, at once
   * if there is; gives what lets go of it. By default there always is.
   */
  readonly room?: (bytes: number, onRoom: () => void) => { readonly leave: () => void };
  readonly onReceived?: (bytes: number, repeatedChunks: number) => void;
}

export interface ReceivedPage extends PageOutcome {
  /** Bytes of content that were stored. */
  readonly storedBytes: number;
}

/**
 * Receives a page into the folder `base` of `storage`. Must be called in the moment its `offers` were
 * heard.
 */
export async function receivePage(
  request: Request,
  offers: Offers,
  storage: Storage,
  base: string,
  options: ReceivePageOptions = {},
): Promise<ReceivedPage> {
  const page = new IncomingPage(request, offers, options);
  try {
    const deciding = options.decide?.() ?? storage.examine(base, offers.entries, offers.policy);
    const answers = await whileWorking(() => [request], 'comparing', deciding);
    await whileWorking(() => [request], 'waiting', page.roomFor(answers));
    page.answer(answers);
    await page.arrived();
    const { files, places, failures, storedBytes } = page.contents();
    for (const [index, { path }] of offers.entries.entries()) {
      if (answers[index] !== 'refused') continue;
      const { failure, message } = await whyRefused(storage, joinPath(base, path));
      failures.push({ index, failure, message });
    }
    const storing = files.length === 0 ? Promise.resolve([]) : storage.putSmall(base, files);
    const stored = await whileWorking(() => [request], 'syncing', storing);
    for (const [i, error] of stored.entries()) {
      if (error === undefined) continue;
      const { failure, message } = error;
      failures.push({ index: places[i] as number, failure, message });
    }
    request.say({ type: 'results', request: request.id, failures });
    return { answers, failures, storedBytes };
  } catch (error) {
    if (error instanceof TransferError || error instanceof ProtocolError) request.fail(error);
    throw error;
  } finally {
    page.leave();
  }
}

/**
 * Waits for the `offers` that answer a `fetch`, and calls `receive` with them in that very moment:
 * the chunks may follow in the same read.
 */
export async function hearOffers<T>(
  request: Request,
  receive: (offers: FrameOf<'offers'>) => Promise<T>,
): Promise<T> {
  return await new Promise<T>((resolve, reject) => {
    request.listen({
      onFrame(frame) {
        if (frame.type === 'offers') receive(frame).then(resolve, reject);
      },
      onFailed: reject,
    });
  });
}

/** The chunks of a page as they come in. */
class IncomingPage {
  readonly #request: Request;
  readonly #entries: readonly Entry[];
  readonly #options: ReceivePageOptions;
  /** Where each content begins when all lie end to end. */
  readonly #starts: readonly number[];
  readonly #contentBytes: number;
  /** Room for the content, once it was asked for. */
  #berth: { readonly leave: () => void } | undefined;
  #hasRoom: boolean;
  /** What came before there was room, where it lay when it came. */
  #waiting: { readonly index: number; readonly payload: Uint8Array; readonly block: Block }[] = [];
  /** Taken when the first chunk comes: a page that is unchanged needs none. */
  #content: PageMemory | undefined;
  #isOver = false;
  readonly #arrived: Uint8Array;
  readonly #damaged = new Map<number, number>();
  readonly #again = new Set<number>();
  readonly #wake = new Signal();
  #answers: readonly Answer[] | undefined;
  #round = 0;
  #ended = false;
  #failure: FerryError | undefined;

  constructor(request: Request, { entries, eager }: Offers, options: ReceivePageOptions) {
    let contentBytes = 0;
    this.#starts = entries.map((entry) => {
      const start = contentBytes;
      if (isSmall(entry)) contentBytes += entry.size;
      return start;
    });
    if (contentBytes > limits.pageContentBytes) {
      throw new ProtocolError('protocol', 'A page carries more content than is allowed.');
    }
    this.#request = request;
    this.#entries = entries;
    this.#options = options;
    this.#contentBytes = contentBytes;
    this.#arrived = new Uint8Array(entries.length);
    this.#hasRoom = contentBytes === 0 || options.room === undefined;
    if (eager) this.#askRoom();
    request.listen({
      onFrame: (frame) => this.#hear(frame),
      onChunks: (run) => {
        for (const { first } of oneByOne(run)) this.#hearChunk(first);
      },
      onFailed: (error) => {
        this.#failure = error;
        this.#wake.notify();
      },
    });
  }

  #askRoom(): void {
    if (this.#hasRoom || this.#berth !== undefined) return;
    this.#berth = this.#options.room?.(pageMemoryBytes(this.#contentBytes), () => {
      this.#hasRoom = true;
      this.#takeWaiting();
      this.#wake.notify();
    });
  }

  /** Waits for room for what is wanted: a sender says nothing more before it is answered. */
  async roomFor(answers: readonly Answer[]): Promise<void> {
    const wantsContent = this.#entries.some((entry, i) => isSmall(entry) && answers[i] === 'want');
    if (!wantsContent) {
      this.#takeWaiting();
      return;
    }
    this.#askRoom();
    while (!this.#hasRoom && this.#failure === undefined) await this.#wake.wait();
  }

  /** Nothing of it is stored any more, and nothing comes. */
  leave(): void {
    this.#isOver = true;
    this.#takeWaiting();
    if (this.#content !== undefined) givePageMemory(this.#content);
    this.#content = undefined;
    this.#berth?.leave();
  }

  answer(answers: readonly Answer[]): void {
    this.#answers = answers;
    this.#request.say({ type: 'answers', request: this.#request.id, answers });
  }

  #hear(frame: ControlFrame): void {
    if (frame.type !== 'end') return;
    if (frame.round !== this.#round) return;
    const again = [...this.#again].filter((place) => this.#answers?.[place] === 'want');
    this.#again.clear();
    if (again.length > 0) {
      this.#round += 1;
      const ranges = again.sort((a, b) => a - b).map((i) => ({ start: i, end: i + 1 }));
      this.#request.say({
        type: 'want',
        request: this.#request.id,
        round: this.#round,
        transfer: new Uint8Array(16),
        epoch: 0,
        last: false,
        ranges,
      });
      return;
    }
    this.#ended = true;
    this.#wake.notify();
  }

  #hearChunk({ index, payload, intact, zero }: ChunkFrame): void {
    const entry = this.#entries[index];
    if (entry === undefined || !isSmall(entry) || zero || payload.length !== entry.size) {
      throw new ProtocolError('protocol', 'A chunk does not fit its place in the page.');
    }
    if (intact) {
      this.#keep(index, payload);
      this.#options.onReceived?.(payload.length, 0);
    } else {
      this.#repeat(index);
      this.#options.onReceived?.(payload.length, 1);
    }
    this.#request.carrier.consumed(payload.length);
  }

  /** Copies it: a page is stored as a whole, and its pieces are small. */
  #keep(index: number, payload: Uint8Array): void {
    if (this.#isOver || this.#arrived[index] === 1) return;
    if (!this.#hasRoom) {
      this.#waitWith(index, payload);
      return;
    }
    this.#again.delete(index);
    this.#arrived[index] = 1;
    this.#request.moved();
    this.#content ??= takePageMemory(this.#contentBytes);
    this.#content.set(payload, this.#starts[index]);
  }

  /**
   * Without room a chunk stays where it lies: that pauses reading, and the sender waits. Where others
   * share the connection, and might wait for each other, it is dropped and wanted again instead.
   */
  #waitWith(index: number, payload: Uint8Array): void {
    const { carrier } = this.#request;
    if (this.#answers !== undefined || (this.#waiting.length === 0 && carrier.openRequests > 1)) {
      this.#again.add(index);
      return;
    }
    this.#waiting.push({ index, payload, block: carrier.pin() });
  }

  /** Copies what waited, if there is room now; otherwise nobody wants it. */
  #takeWaiting(): void {
    for (const { index, payload, block } of this.#waiting.splice(0)) {
      if (this.#hasRoom) this.#keep(index, payload);
      this.#request.carrier.unpin(block);
    }
  }

  #contentOf(index: number, { kind, size }: Entry): Uint8Array | undefined {
    if (size === 0 || kind === 'directory') return new Uint8Array();
    if (this.#arrived[index] === 0) return undefined;
    const start = this.#starts[index] as number;
    return this.#content?.subarray(start, start + size);
  }

  #repeat(index: number): void {
    const times = (this.#damaged.get(index) ?? 0) + 1;
    this.#damaged.set(index, times);
    if (times > limits.chunkRepeats) return;
    this.#again.add(index);
    this.#request.moved();
  }

  /** Waits for the page's end. */
  async arrived(): Promise<void> {
    while (!this.#ended && this.#failure === undefined) await this.#wake.wait();
    if (this.#failure !== undefined) throw this.#failure;
  }

  /** What is to be stored, and what did not come. */
  contents(): {
    files: SmallFile[];
    places: number[];
    failures: PageFailure[];
    storedBytes: number;
  } {
    const files: SmallFile[] = [];
    const places: number[] = [];
    const failures: PageFailure[] = [];
    let storedBytes = 0;
    for (const [index, entry] of this.#entries.entries()) {
      const answer = this.#answers?.[index];
      if (answer !== 'want' || (entry.kind === 'file' && !isSmall(entry))) continue;
      const content = this.#contentOf(index, entry);
      if (content === undefined) {
        failures.push(this.#missing(index));
        continue;
      }
      files.push({ entry, content });
      places.push(index);
      storedBytes += content.length;
    }
    return { files, places, failures, storedBytes };
  }

  #missing(index: number): PageFailure {
    return this.#damaged.has(index)
      ? { index, failure: 'integrity', message: 'The file arrived damaged each time.' }
      : { index, failure: 'source-changed', message: 'The file was not sent after all.' };
  }
}
