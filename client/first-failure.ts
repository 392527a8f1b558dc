/** What ends a job of many parts: the first failure is kept, and the parts not yet begun are left. */
export class FirstFailure {
  #error: Error | undefined;

  /** Does `work` unless something failed before; keeps what it throws. */
  async guard(work: () => Promise<void>): Promise<void> {
    if (this.#error !== undefined) return;
    try {
      await work();
    } catch (error) {
      this.#error ??= error instanceof Error ? error : new Error(String(error));
    }
  }

  throwIfAny(): void {
    if (this.#error !== undefined) throw this.#error;
  }
}
