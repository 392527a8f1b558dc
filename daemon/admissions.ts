/**
 * Who may hold a connection.
 *
 * Those who have not proved a token have a pool of their own. When it is full, whoever has most places
 * in it loses the oldest of them: however many knock from one address and stay silent, whoever has a
 * token comes in from another one, however long its handshake takes. Only who has about as many
 * addresses as there are places, or the client's own, still wins against a slow handshake; of IPv6 a
 * /64 counts as one address. Behind the pool count all connections, those of one address and those of
 * one token.
 */
import { ProtocolError } from '../protocol/errors.ts';
import type { DaemonLimits } from './limits.ts';
import { networkOf } from './network.ts';

/** Somebody's place: in the pool first, then admitted. */
export interface Place {
  /** The holder proved its token, which may have `most` connections. Throws ProtocolError. */
  admit(tokenId: string, most?: number): void;
  leave(): void;
}

interface Pending {
  readonly network: string;
  readonly giveWay: () => void;
}

export class Admissions {
  readonly #limits: DaemonLimits;
  /** In order of arrival. */
  readonly #pending = new Map<Place, Pending>();
  readonly #pendingByNetwork = new Map<string, number>();
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
        this.#forget(place);
        token = tokenId;
        this.#admitted += 1;
        add(this.#byAddress, address, 1);
        add(this.#byToken, token, 1);
      },
      leave: () => {
        this.#forget(place);
        if (token === undefined) return;
        this.#admitted -= 1;
        add(this.#byAddress, address, -1);
        add(this.#byToken, token, -1);
        token = undefined;
      },
    };
    const network = networkOf(address);
    this.#pending.set(place, { network, giveWay });
    add(this.#pendingByNetwork, network, 1);
    while (this.#pending.size > this.#limits.pendingConnections) this.#makeRoom();
    return place;
  }

  /** Ends all that are still in the pool. */
  close(): void {
    for (const [place, { giveWay }] of this.#pending) {
      this.#forget(place);
      giveWay();
    }
  }

  /** Ends the oldest of those whose network has most in the pool. */
  #makeRoom(): void {
    let most = 0;
    let oldest: readonly [Place, Pending] | undefined;
    for (const entry of this.#pending) {
      const count = this.#pendingByNetwork.get(entry[1].network) ?? 0;
      if (count <= most) continue;
      most = count;
      oldest = entry;
    }
    if (oldest === undefined) return;
    const [place, { giveWay }] = oldest;
    this.#forget(place);
    giveWay();
  }

  #forget(place: Place): void {
    const pending = this.#pending.get(place);
    if (pending === undefined) return;
    this.#pending.delete(place);
    add(this.#pendingByNetwork, pending.network, -1);
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
