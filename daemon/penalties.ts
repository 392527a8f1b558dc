/**
 * Addresses that failed to prove a token wait for their answer, longer with each failure. Nobody else
 * waits, and a valid proof clears what an address has: a good client behind the same router as a
 * guesser is served at once.
 */
import type { DaemonLimits } from './limits.ts';

const firstDelayMs = 250;
/** Addresses that are remembered; the one that failed longest ago is forgotten first. */
const addressesKept = 4_096;

export class Penalties {
  readonly #limits: Pick<DaemonLimits, 'penaltyMs'>;
  readonly #failures = new Map<string, number>();

  constructor(limits: Pick<DaemonLimits, 'penaltyMs'>) {
    this.#limits = limits;
  }

  /** Counts a failure of `address`; gives how long its answer waits. */
  failed(address: string): number {
    const failures = (this.#failures.get(address) ?? 0) + 1;
    this.#failures.delete(address);
    this.#failures.set(address, failures);
    for (const oldest of this.#failures.keys()) {
      if (this.#failures.size <= addressesKept) break;
      this.#failures.delete(oldest);
    }
    return Math.min(this.#limits.penaltyMs, firstDelayMs * 2 ** (failures - 1));
  }

  clear(address: string): void {
    this.#failures.delete(address);
  }
}
