/**
 * Who comes in: by address, by token, and by how many are in already. Whoever doesn't is counted, and
 * has a line in the log.
 */
import type { Channel, Verifier } from '../transfer/handshake.ts';
import { Admissions, type Place } from './admissions.ts';
import type { AllowList } from './allow-list.ts';
import type { Counts } from './counts.ts';
import type { FloodGate } from './flood-gate.ts';
import type { Grant } from './grant.ts';
import type { DaemonLimits } from './limits.ts';
import { Penalties } from './penalties.ts';

/** The tokens that are known. */
export interface Keyring {
  /** Settles, soon in any case, when `find` knows of every change that was made before the call. */
  current(): Promise<void>;
  /** The grant of a token that is valid now. */
  find(id: Uint8Array): Grant | undefined;
}

export class Doorkeeper {
  /** Undefined: every address may come. */
  allow: AllowList | undefined;
  readonly admissions: Admissions;
  readonly #keyring: Keyring;
  readonly #penalties: Penalties;
  readonly #counts: Counts;
  readonly #flood: FloodGate;

  constructor(keyring: Keyring, limits: DaemonLimits, counts: Counts, flood: FloodGate) {
    this.#keyring = keyring;
    this.admissions = new Admissions(limits);
    this.#penalties = new Penalties(limits);
    this.#counts = counts;
    this.#flood = flood;
  }

  /** Whether an address may connect by the rules of this moment. */
  allows(address: string): boolean {
    return this.allow?.allows(address) ?? true;
  }

  /** A place for a new connection; undefined for an address that may not. `giveWay` ends it. */
  enter(address: string, giveWay: () => void): Place | undefined {
    if (!this.allows(address)) {
      this.#counts.refused.address += 1;
      this.#flood.say('warn', 'denied', { event: 'denied', peer: address }, 'address not allowed');
      return undefined;
    }
    return this.admissions.enter(address, () => {
      this.#counts.refused.pending += 1;
      giveWay();
    });
  }

  /** By what the one at `place` proves its token. */
  verifier(channel: Channel, address: string, place: Place): Verifier {
    return {
      ...channel,
      keyOf: (id) => this.#keyring.find(id)?.key,
      admit: (id) => {
        this.#penalties.clear(address);
        try {
          place.admit(Buffer.from(id).toString('hex'), this.#keyring.find(id)?.maxConnections);
          this.#counts.connections += 1;
        } catch (error) {
          this.#counts.refused.connections += 1;
          const reason = error instanceof Error ? error.message : String(error);
          const line = { event: 'refused', peer: address, reason };
          this.#flood.say('warn', 'connections', line, 'too many connections');
          throw error;
        }
      },
      refuse: () => {
        this.#counts.refused.token += 1;
        const line = { event: 'refused', peer: address, reason: 'token' };
        this.#flood.say('warn', 'token', line, 'no valid token');
        return this.#penalties.failed(address);
      },
    };
  }
}
