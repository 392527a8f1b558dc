/**
 * Stores pages of small files, several at a time: while one waits for the disk, the next is written.
 *
 * Strategy: pages get their names in the order in which they came, so that the times of folders come
 * out as if one had followed the other; and they are synced in that order, so that none is called
 * durable before the folders are that an earlier one made for it.
 */
import type { Entry } from '../../protocol/entry.ts';
import type { PackedError } from './errors.ts';
import type { Folder } from './folder.ts';
import { SmallBatch } from './small-batch.ts';
import type { Staging } from './staging.ts';
import { SyncLane } from './sync-lane.ts';

/** Pages that keep their files open: one is written, one waits for its content. With names they are closed. */
const openPages = 2;

type Failures = (PackedError | undefined)[];

/** A page's turn among the others. */
class Turn {
  /** Settles when its files have their names. */
  readonly named: Promise<void>;
  tellNamed: () => void = () => undefined;
  /** Settles when it is over. */
  over: Promise<void> = Promise.resolve();

  constructor() {
    this.named = new Promise((resolve) => {
      this.tellNamed = resolve;
    });
  }
}

export class SmallBatches {
  readonly #folder: Folder;
  readonly #staging: Staging;
  readonly #durable: boolean;
  #lane: SyncLane | undefined;
  /** Those under way, in the order in which they came. */
  #turns: Turn[] = [];
  #namesSynced: Promise<unknown> = Promise.resolve();

  constructor(folder: Folder, staging: Staging, durable: boolean) {
    this.#folder = folder;
    this.#staging = staging;
    this.#durable = durable;
  }

  /** Stores a page; gives what went wrong with each entry, undefined where nothing did. */
  store(base: string, entries: readonly Entry[], content: Uint8Array): Promise<Failures> {
    if (this.#durable)
      this.#lane ??= new SyncLane(this.#folder.root, () => this.#staging.directory());
    const batch = new SmallBatch(this.#folder, this.#staging, this.#lane, base, entries);
    const turn = new Turn();
    const storing = this.#store(batch, content, turn);
    const leave = (): void => {
      turn.tellNamed();
      this.#turns = this.#turns.filter((each) => each !== turn);
    };
    turn.over = storing.then(leave, leave);
    this.#turns.push(turn);
    return storing;
  }

  async #store(batch: SmallBatch, content: Uint8Array, turn: Turn): Promise<Failures> {
    const place = this.#turns.at(-openPages);
    const before = this.#turns.at(-1);
    if (place !== undefined) await place.named;
    await batch.stage(content);
    await before?.named;
    const syncing = batch.name();
    this.#namesSynced = Promise.allSettled([this.#namesSynced, syncing]);
    turn.tellNamed();
    await syncing;
    return batch.failures;
  }

  /** Settles when the names given so far are on the disk: what is in a folder that a page made needs them. */
  async namesSynced(): Promise<void> {
    await this.#namesSynced;
  }

  /** Settles when nothing is under way. */
  async settled(): Promise<void> {
    await Promise.all(this.#turns.map(({ over }) => over));
  }
}
