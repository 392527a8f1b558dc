/** Time during which at least one of something was under way. */
export class BusyTime {
  #underWay = 0;
  #sinceMs = 0;
  #totalMs = 0;

  /** Milliseconds in all, up to now. */
  get ms(): number {
    return this.#totalMs + (this.#underWay > 0 ? performance.now() - this.#sinceMs : 0);
  }

  enter(): void {
    if (this.#underWay === 0) this.#sinceMs = performance.now();
    this.#underWay += 1;
  }

  leave(): void {
    this.#underWay -= 1;
    if (this.#underWay === 0) this.#totalMs += performance.now() - this.#sinceMs;
  }

  /** Counts until `work` settles. */
  async during<T>(work: Promise<T>): Promise<T> {
    this.enter();
    try {
      return await work;
    } finally {
      this.leave();
    }
  }
}
