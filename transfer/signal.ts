/** Wakes whoever waits for "something changed"; a wake without a waiter is remembered. */
export class Signal {
  #woken = false;
  #wakes: (() => void)[] = [];

  notify(): void {
    if (this.#wakes.length === 0) this.#woken = true;
    else for (const wake of this.#wakes.splice(0)) wake();
  }

  async wait(): Promise<void> {
    if (this.#woken) {
      this.#woken = false;
      return;
    }
    await new Promise<void>((wake) => this.#wakes.push(wake));
  }
}
