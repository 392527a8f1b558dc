/**
 * Tells senders now and then what is held of their content. A stream's is made durable first, so that its
 * sender may forget it.
 */
import type { FrameOf } from '../protocol/frames.ts';
import type { KnownSize } from './known-size.ts';
import { transferLimits } from './limits.ts';
import type { ChunkSink } from './storage.ts';

export type Have = Pick<FrameOf<'have'>, 'received' | 'durable'>;

export interface CheckpointOptions {
  /** Whether the sender can send any part again at any time. */
  readonly rewindable: boolean;
  /** Bytes of the file that are held. */
  readonly heldBytes: () => number;
  readonly say: (have: Have) => void;
  /** Making it durable failed. */
  readonly onFailed: (error: unknown) => void;
}

export class Checkpoints {
  readonly #sink: ChunkSink;
  readonly #knownSize: KnownSize;
  readonly #options: CheckpointOptions;
  #sinceBytes = 0;
  #durableBytes = 0;
  #underWay: Promise<void> | undefined;

  constructor(sink: ChunkSink, knownSize: KnownSize, options: CheckpointOptions) {
    this.#sink = sink;
    this.#knownSize = knownSize;
    this.#options = options;
  }

  /** So many bytes more are held. */
  wrote(bytes: number): void {
    this.#sinceBytes += bytes;
    if (this.#sinceBytes >= transferLimits.checkpointBytes) this.take();
  }

  /** Takes one now, if none is under way. */
  take(): void {
    this.#sinceBytes = 0;
    if (this.#options.rewindable) {
      this.#sayHave();
      return;
    }
    if (this.#underWay !== undefined) return;
    const [leading] = this.#sink.ledger.held;
    const leadingChunks = leading?.start === 0 ? leading.end : 0;
    this.#underWay = this.#sink
      .checkpoint()
      .then(() => {
        this.#durableBytes = this.#knownSize.bytesOf(0, leadingChunks);
        this.#sayHave();
      })
      .catch(this.#options.onFailed)
      .finally(() => {
        this.#underWay = undefined;
        if (this.#sinceBytes >= transferLimits.checkpointBytes) this.take();
      });
  }

  #sayHave(): void {
    this.#options.say({ received: this.#options.heldBytes(), durable: this.#durableBytes });
  }

  /** Settles when the one under way is taken. */
  async settled(): Promise<void> {
    await this.#underWay;
  }
}
