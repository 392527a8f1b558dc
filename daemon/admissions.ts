/**
 * Who may hold a connection.
 *
 * Those who have not proved a token have a pool of their own, in which the oldest gives way to the
 * new one: however many knock and stay silent, whoever has a token comes in. Behind it count all
 * connections, those of one address and those of one token.
 */
import { ProtocolError } from '../protocol/errors.ts';
import type { DaemonLimits } from './limits.ts';

/** Somebody's place: in the pool first, then admitted. */
export interface Place {
  /** The holder proved its token, which may have `most` connections. Throws ProtocolError. */
  admit(tokenId: string, most?: number): void;
  leave(): void;
}

export class Admissions {
  readonly #limits: DaemonLimits;
  /** In order of arrival; each with what ends it. */
  readonly #pending = new Map<Place, () => void>();
  readonly #byAddress = new Map<string, number>();
  readonly #byToken = new Map<string, number>();
  #admitted = 0;

  constructor(limits: DaemonLimits) {
    this.#limits = limits;
  }

  get admitted(): number {
    return this.#admitted;
  }

  get pending(): number {
    return this.#pending.size;
  }

  /** A new connection; `giveWay` ends it when its place is wanted for another one. */
  enter(address: string, giveWay: () => void): Place {
    let token: string | undefined;
    const place: Place = {
      admit: (tokenId, most = Infinity) => {
        this.#check(address, tokenId, most);
        this.#pending.delete(place);
        token = tokenId;
        this.#admitted += 1;
        add(this.#byAddress, address, 1);
        add(this.#byToken, token, 1);
      },
      leave: () => {
        this.#pending.delete(place);
        if (token === undefined) return;
        this.#admitted -= 1;
        add(this.#byAddress, address, -1);
        add(this.#byToken, token, -1);
        token = undefined;
      },
    };
    this.#pending.set(place, giveWay);
    for (const [oldest, end] of this.#pending) {
      if (this.#pending.size <= this.#limits.pendingConnections) break;
      this.#pending.delete(oldest);
      end();
    }
    return place;
  }

  /** Ends all that are still in the pool. */
  close(): void {
    for (const end of this.#pending.values()) end();
    this.#pending.clear();
  }

  #check(address: string, tokenId: string, most: number): void {
    const { connections, connectionsPerAddress, connectionsPerToken } = this.#limits;
    refuseAt(this.#admitted, connections, 'connections', 'The daemon');
    const ofAddress = this.#byAddress.get(address) ?? 0;
    refuseAt(ofAddress, connectionsPerAddress, 'connectionsPerAddress', 'This address');
    const ofToken = this.#byToken.get(tokenId) ?? 0;
    refuseAt(ofToken, most, "the token's max-connections", 'This token');
    refuseAt(ofToken, connectionsPerToken, 'connectionsPerToken', 'This token');
  }
}

function refuseAt(count: number, most: number, limit: string, who: string): void {
  if (count < most) return;
  throw new ProtocolError(
    'connections',
    `${who} has too many connections: the limit is ${most} (${limit}).`,
  );
}

function add(counts: Map<string, number>, key: string, change: number): void {
  const count = (counts.get(key) ?? 0) + change;
  if (count === 0) counts.delete(key);
  else counts.set(key, count);
}
