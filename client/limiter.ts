/** Work done a few at a time. */
export class Limiter {
  readonly #most: number;
  #running = 0;
  #waiting: (() => void)[] = [];
  #idle: (() => void)[] = [];

  constructor(most: number) {
    this.#most = most;
  }

  /**
   * Starts `work` when there is room, and settles when it was started: whoever waits for that never
   * has more than the limit under way. What `work` throws must be handled by itself.
   */
  async start(work: () => Promise<void>): Promise<void> {
    while (this.#running >= this.#most) {
      await new Promise<void>((resolve) => this.#waiting.push(resolve));
    }
    this.#running += 1;
    void work().finally(() => {
      this.#running -= 1;
      this.#waiting.shift()?.();
      if (this.#running === 0) for (const resolve of this.#idle.splice(0)) resolve();
    });
  }

  /** Settles when nothing is under way. */
  async idle(): Promise<void> {
    if (this.#running > 0) await new Promise<void>((resolve) => this.#idle.push(resolve));
  }
}
