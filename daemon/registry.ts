/**
 * Who works on which upload. One interface, so that several processes or machines can share the
 * claims later; in memory now.
 */
import { randomBytes } from 'node:crypto';
import { TransferError } from '../protocol/errors.ts';
import { shown } from '../protocol/paths.ts';

/** A holder that was heard from within this time keeps its claim against other sessions. */
export const holderMs = 10_000;
const transferIdBytes = 16;

/** The right to write one target. */
export interface Claim {
  /** Names the transfer on the wire, 16 bytes. */
  readonly transfer: Uint8Array;
  /** Grows by one with each takeover of the target. */
  readonly epoch: number;
  /** Whether the result is being made: nobody can take over any more, only wait. */
  committing: boolean;
  /** When the holder was last heard from, by the monotonic clock. */
  heardAtMs: () => number;
  /** Ends the holder's work with this error; `release` follows. */
  fence: (error: TransferError) => void;
}

export interface TransferRegistry {
  /**
   * Claims `target` for `session`. A claim of the same session is fenced off; one of another session
   * only when its holder has not been heard from for 10 s: otherwise throws TransferError (`busy`).
   */
  claim(target: string, session: Uint8Array): Promise<Claim>;
  /** The claim of this id for `join`: `unknown-transfer`, or `fenced` for an older epoch. */
  find(transfer: Uint8Array, epoch: number, session: Uint8Array): Claim;
  release(claim: Claim): void;
}

class Holder implements Claim {
  readonly target: string;
  readonly session: string;
  readonly epoch: number;
  readonly transfer: Uint8Array = randomBytes(transferIdBytes);
  readonly released: Promise<void>;
  committing = false;
  heardAtMs: () => number;
  onReleased: () => void = () => undefined;
  #fence: (error: TransferError) => void = () => undefined;
  #fenced: TransferError | undefined;

  constructor(target: string, session: string, epoch: number) {
    this.target = target;
    this.session = session;
    this.epoch = epoch;
    const startedAtMs = performance.now();
    this.heardAtMs = () => startedAtMs;
    this.released = new Promise((resolve) => {
      this.onReleased = resolve;
    });
  }

  get fence(): (error: TransferError) => void {
    return (error) => {
      this.#fenced ??= error;
      this.#fence(error);
    };
  }

  /** Who was fenced off before it said how learns of it at once. */
  set fence(fence: (error: TransferError) => void) {
    this.#fence = fence;
    if (this.#fenced !== undefined) fence(this.#fenced);
  }
}

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex');

export class MemoryRegistry implements TransferRegistry {
  readonly #byTarget = new Map<string, Holder>();
  readonly #byTransfer = new Map<string, Holder>();

  async claim(target: string, session: Uint8Array): Promise<Claim> {
    let epoch = 1;
    for (;;) {
      const holder = this.#byTarget.get(target);
      if (holder === undefined) return this.#hold(target, hex(session), epoch);
      if (!holder.committing) this.#takeOver(holder, hex(session));
      epoch = holder.epoch + 1;
      await holder.released;
    }
  }

  #takeOver(holder: Holder, session: string): void {
    if (holder.session !== session && performance.now() - holder.heardAtMs() < holderMs) {
      throw new TransferError(
        'busy',
        `Another client is writing ${shown(holder.target)}: try again when it is done.`,
      );
    }
    holder.fence(
      new TransferError('fenced', `Another connection took over ${shown(holder.target)}.`),
    );
  }

  #hold(target: string, session: string, epoch: number): Holder {
    const holder = new Holder(target, session, epoch);
    this.#byTarget.set(target, holder);
    this.#byTransfer.set(hex(holder.transfer), holder);
    return holder;
  }

  find(transfer: Uint8Array, epoch: number, session: Uint8Array): Claim {
    const holder = this.#byTransfer.get(hex(transfer));
    if (holder === undefined || holder.session !== hex(session)) {
      throw new TransferError('unknown-transfer', 'The transfer to join is over.');
    }
    if (holder.epoch !== epoch) {
      throw new TransferError('fenced', 'Another connection took over the transfer.');
    }
    return holder;
  }

  release(claim: Claim): void {
    const holder = this.#byTransfer.get(hex(claim.transfer));
    if (holder === undefined) return;
    this.#byTarget.delete(holder.target);
    this.#byTransfer.delete(hex(holder.transfer));
    holder.onReleased();
  }
}
