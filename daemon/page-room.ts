/**
 * Room for pages in memory: of listings and small files that were read and that their client has not
 * taken yet, and of small files that came and are not stored yet. Who finds none waits, having read
 * nothing; nobody holds more than a part of it, so that who stands still stops few others.
 */
import { limits as fixed } from '../protocol/limits.ts';
import type { DaemonLimits } from './limits.ts';

/** What one connection, and one token with all its connections, may hold at most. */
const connectionPart = 1 / 4;
const tokenPart = 3 / 4;

/** Pages of small files that always fit into one connection's part. */
export function pagesWithin({ pageBytes }: Pick<DaemonLimits, 'pageBytes'>): number {
  return Math.max(1, Math.floor((connectionPart * pageBytes) / fixed.pageContentBytes));
}

/** Who asks: a connection, and the token that it proved. */
export interface Guest {
  readonly connection: object;
  readonly token: string;
}

/** Room that was asked for, whether it was had yet or not. */
export interface Berth {
  /** It turned out that less is needed. */
  shrink(bytes: number): void;
  /** Gives it back, or waits for it no more. */
  leave(): void;
}

interface Asking {
  readonly guest: Guest;
  bytes: number;
  isIn: boolean;
  readonly onRoom: () => void;
}

export class PageRoom {
  readonly #limits: Pick<DaemonLimits, 'pageBytes'>;
  readonly #used = new Map<object | string, number>();
  #usedBytes = 0;
  readonly #waiting = new Set<Asking>();

  constructor(limits: Pick<DaemonLimits, 'pageBytes'>) {
    this.#limits = limits;
  }

  get usedBytes(): number {
    return this.#usedBytes;
  }

  /** Calls `onRoom` as soon as there is room: at once where nobody has to be waited for. */
  ask(guest: Guest, bytes: number, onRoom: () => void): Berth {
    const asking: Asking = { guest, bytes, isIn: false, onRoom };
    this.#waiting.add(asking);
    this.#admit();
    return {
      shrink: (less) => this.#resize(asking, Math.min(less, asking.bytes)),
      leave: () => {
        this.#waiting.delete(asking);
        this.#resize(asking, 0);
      },
    };
  }

  /** Waits for the room. */
  async take(guest: Guest, bytes: number): Promise<Berth> {
    return await new Promise((resolve) => {
      const berth = this.ask(guest, bytes, () => queueMicrotask(() => resolve(berth)));
    });
  }

  #resize(asking: Asking, bytes: number): void {
    const more = bytes - asking.bytes;
    asking.bytes = bytes;
    if (!asking.isIn || more === 0) return;
    this.#count(asking.guest, more);
    this.#admit();
  }

  /** In the order of their coming; who has their part by now lets others pass. */
  #admit(): void {
    for (const asking of this.#waiting) {
      const { guest, bytes } = asking;
      const { pageBytes } = this.#limits;
      const hasPart =
        this.#fits(guest.connection, bytes, connectionPart * pageBytes) &&
        this.#fits(guest.token, bytes, tokenPart * pageBytes);
      if (!hasPart) continue;
      if (this.#usedBytes > 0 && this.#usedBytes + bytes > pageBytes) return;
      this.#waiting.delete(asking);
      asking.isIn = true;
      this.#count(guest, bytes);
      asking.onRoom();
    }
  }

  /** One page always fits, however little the limit is. */
  #fits(who: object | string, bytes: number, most: number): boolean {
    const used = this.#used.get(who) ?? 0;
    return used === 0 || used + bytes <= most;
  }

  #count({ connection, token }: Guest, bytes: number): void {
    this.#usedBytes += bytes;
    for (const who of [connection, token]) {
      const used = (this.#used.get(who) ?? 0) + bytes;
      if (used === 0) this.#used.delete(who);
      else this.#used.set(who, used);
    }
  }
}
