/** How long a connection, and what goes on in it, is waited for. */
import { FramePace } from './frame-pace.ts';
import { transferLimits } from './limits.ts';
import type { Request } from './request.ts';

/** What may differ from `transferLimits`, where each is explained. */
export interface Timeouts {
  readonly greetingMs?: number;
  readonly heartbeatMs?: number;
  readonly silenceMs?: number;
  readonly tickMs?: number;
  readonly progressMs?: number;
  /** What whoever set it knows `progressMs` by. */
  readonly progressName?: string;
  readonly workingMs?: number;
}

export class Deadlines {
  readonly #timeouts: Required<Timeouts>;
  readonly #pace: FramePace;
  readonly startedAtMs: number = performance.now();
  /** When the peer was last heard from. */
  heardAtMs: number = performance.now();
  /** When content last went either way, of whatever request: the others wait for their turn. */
  movedAtMs: number = performance.now();

  constructor(timeouts: Timeouts) {
    this.#timeouts = { ...transferLimits, progressName: 'progressMs', ...timeouts };
    this.#pace = new FramePace(this.#timeouts.progressMs);
  }

  /** Between two looks at the clock. */
  get tickMs(): number {
    return this.#timeouts.tickMs;
  }

  /** So many bytes wait to be parsed, those of before included. */
  heard(bytes: number): void {
    this.heardAtMs = performance.now();
    this.#pace.heard(bytes);
  }

  /** So many of them are the beginning of a frame. */
  parsed(pendingBytes: number): void {
    this.#pace.parsed(pendingBytes);
  }

  /** While we don't read for our own reasons, silence says nothing about the peer. */
  notReading(nowMs: number): void {
    this.heardAtMs = nowMs;
    this.#pace.restart(nowMs);
  }

  /** Whether the peer should have greeted by now. */
  greetingIsOver(nowMs: number): boolean {
    return nowMs - this.startedAtMs > this.#timeouts.greetingMs;
  }

  /** Whether we have to say something, having last done so at `wroteAtMs`: the next tick is too late. */
  owesSign(nowMs: number, wroteAtMs: number): boolean {
    const { heartbeatMs, tickMs } = this.#timeouts;
    return nowMs - wroteAtMs > heartbeatMs - tickMs;
  }

  /** What the other side does wrong, if it is to be given up by now. */
  overdue(nowMs: number): string | undefined {
    if (nowMs - this.heardAtMs > this.#timeouts.silenceMs) return 'has not been heard from';
    if (!this.#pace.isTooSlow(nowMs)) return undefined;
    return `sends a frame too slowly (${this.#timeouts.progressName})`;
  }

  /** Why a request is to be given up by now, if it is. To be asked after `overdue`. */
  requestOverdue(request: Request, nowMs: number): string | undefined {
    const othersMovedAtMs = Math.max(this.movedAtMs, this.#pace.movedAtMs);
    return request.overdue(nowMs, othersMovedAtMs, this.#timeouts);
  }
}
