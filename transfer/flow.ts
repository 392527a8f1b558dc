/**
 * Flow control of one connection: how much bulk payload may be on its way, each way.
 *
 * It is counted in payload bytes, cumulative since the connection began, over all its requests:
 * what a peer can make us hold has one bound, and what a broken connection can cost to send again
 * has the same one.
 */
import { ProtocolError } from '../protocol/errors.ts';

/** Where the time of bulk frames went, and how far they got. */
export interface SendingFigures {
  /** With at least one of them waiting for the peer's `credit`. */
  readonly windowMs: number;
  /** With at least one of them waiting for the socket to take it. */
  readonly socketMs: number;
  /** Payload that the peer confirmed. */
  readonly confirmedBytes: number;
}

interface Waiter {
  readonly bytes: number;
  /** Whether the request still goes on, for which the bytes are. */
  readonly isWanted: () => boolean;
  /** Gives whether the bytes may be sent. */
  readonly start: (mayBeSent: boolean) => void;
  readonly fail: (error: Error) => void;
}

/** What we may still send. */
export class SendWindow {
  readonly limitBytes: number;
  #sent = 0;
  #consumed = 0;
  #waiters: Waiter[] = [];
  #failure: Error | undefined;

  constructor(limitBytes: number) {
    this.limitBytes = limitBytes;
  }

  /** Bytes that the peer confirmed. */
  get consumedBytes(): number {
    return this.#consumed;
  }

  /** Bytes on their way: sent, and not confirmed. */
  get inFlightBytes(): number {
    return this.#sent - this.#consumed;
  }

  #fits(bytes: number): boolean {
    return this.inFlightBytes === 0 || this.inFlightBytes + bytes <= this.limitBytes;
  }

  /**
   * Waits until `bytes` may be sent, in the order of the calls, and counts them as sent; gives false
   * when they were no longer wanted.
   */
  async reserve(bytes: number, isWanted: () => boolean = () => true): Promise<boolean> {
    if (this.#failure !== undefined) throw this.#failure;
    if (this.#waiters.length > 0 || !this.#fits(bytes)) {
      return await new Promise<boolean>((start, fail) =>
        this.#waiters.push({ bytes, isWanted, start, fail }),
      );
    }
    this.#sent += bytes;
    return true;
  }

  /** Lets go of those who wait and have no business any more: a peer that takes nothing could keep them. */
  dropUnwanted(): void {
    const unwanted = this.#waiters.filter(({ isWanted }) => !isWanted());
    if (unwanted.length === 0) return;
    this.#waiters = this.#waiters.filter((waiter) => !unwanted.includes(waiter));
    for (const { start } of unwanted) start(false);
    this.#startWaiting();
  }

  /** Bytes that were reserved will not be sent after all. */
  giveBack(bytes: number): void {
    this.#sent -= bytes;
    this.#startWaiting();
  }

  /** The peer confirmed `consumed` bytes in all. Throws ProtocolError when that can't be. */
  credit(consumed: number): void {
    if (consumed < this.#consumed || consumed > this.#sent) {
      throw new ProtocolError('protocol', 'A credit confirms bytes that were not sent.');
    }
    this.#consumed = consumed;
    this.#startWaiting();
  }

  #startWaiting(): void {
    while (this.#waiters.length > 0) {
      const { bytes, start } = this.#waiters[0] as Waiter;
      if (!this.#fits(bytes)) return;
      this.#waiters.shift();
      this.#sent += bytes;
      start(true);
    }
  }

  /** Nothing more will be sent: all who wait, and all who come, fail with `error`. */
  fail(error: Error): void {
    this.#failure = error;
    for (const { fail } of this.#waiters.splice(0)) fail(error);
  }
}

/** What the peer sends us. */
export class ReceiveWindow {
  readonly #limitBytes: number;
  #creditBytes: number;
  readonly #say: (consumed: number) => void;
  #received = 0;
  #consumed = 0;
  #told = 0;
  #reading = false;

  constructor(limitBytes: number, creditBytes: number, say: (consumed: number) => void) {
    this.#limitBytes = limitBytes;
    this.#creditBytes = Math.min(creditBytes, Math.floor(limitBytes / 4));
    this.#say = say;
  }

  /** The peer keeps to so much, if that is less than it may: it must hear before half of it is gone. */
  agree(limitBytes: number): void {
    this.#creditBytes = Math.min(this.#creditBytes, Math.floor(limitBytes / 4));
  }

  /** A bulk payload arrived. Throws ProtocolError when the peer exceeds what we told it. */
  received(bytes: number): void {
    const inFlightBytes = this.#received - this.#told;
    if (inFlightBytes > 0 && inFlightBytes + bytes > this.#limitBytes) {
      throw new ProtocolError('protocol', 'More data is on its way than was allowed.');
    }
    this.#received += bytes;
  }

  /** We are through with `bytes` of it, whether they were used or dropped. */
  consumed(bytes: number): void {
    this.#consumed += bytes;
    if (this.#consumed - this.#told >= this.#creditBytes) this.#tell();
    else this.#tellWhenDone();
  }

  /** Frames that came in one read follow: small ones are confirmed together, at its end. */
  readBegin(): void {
    this.#reading = true;
  }

  readEnd(): void {
    this.#reading = false;
    this.#tellWhenDone();
  }

  /** A peer that waits with nothing in flight must not wait for more. */
  #tellWhenDone(): void {
    const isDone = this.#consumed === this.#received && this.#consumed > this.#told;
    if (isDone && !this.#reading) this.#tell();
  }

  #tell(): void {
    this.#told = this.#consumed;
    this.#say(this.#consumed);
  }
}
