/** How long a thread had something to do, whether it was let run or not. */
import { throttledMs } from '../local/cpu-quota.ts';

/** Milliseconds since the thread began. */
interface ThreadTime {
  readonly busyMs: number;
  readonly aliveMs: number;
}

interface Readings {
  /** As of performance.eventLoopUtilization. */
  readonly loop: () => { readonly active: number; readonly idle: number };
  readonly throttledMs: () => number;
}

interface Reading {
  readonly activeMs: number;
  readonly aliveMs: number;
  readonly throttledMs: number;
}

const ofThisThread: Readings = {
  loop: () => performance.eventLoopUtilization(),
  throttledMs: () => throttledMs(),
};

export class BusyClock {
  readonly #readings: Readings;
  #last: Reading;
  #busyMs: number;

  constructor(readings: Readings = ofThisThread) {
    this.#readings = readings;
    this.#last = this.#reading();
    this.#busyMs = this.#last.activeMs;
  }

  read(): ThreadTime {
    const before = this.#last;
    const now = this.#reading();
    // In part the two are the same time, and nobody knows which part.
    const mayNotMs = now.throttledMs - before.throttledMs;
    const stoppedMs = Math.min(now.aliveMs - before.aliveMs, mayNotMs);
    this.#busyMs += Math.max(now.activeMs - before.activeMs, stoppedMs);
    this.#last = now;
    return { busyMs: this.#busyMs, aliveMs: now.aliveMs };
  }

  #reading(): Reading {
    const { active, idle } = this.#readings.loop();
    return {
      activeMs: active,
      aliveMs: active + idle,
      throttledMs: this.#readings.throttledMs(),
    };
  }
}
