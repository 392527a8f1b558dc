/** What each token may still do: its quota, its rate, and its share of the daemon's room. */
import { TransferError } from '../protocol/errors.ts';
import { atOnce } from '../transfer/at-once.ts';
import type { Request } from '../transfer/request.ts';
import { Throttle } from '../transfer/throttle.ts';
import { whileWorking } from '../transfer/working.ts';
import type { Grant } from './grant.ts';
import { type DaemonLimits, defaultLimits } from './limits.ts';
import { type Berth, PageRoom } from './page-room.ts';
import { PartialAccounts } from './partial-accounts.ts';
import { TransferSlots } from './transfer-slots.ts';
import { Usage } from './usage.ts';

interface Pace {
  readonly bytesPerSecond: number;
  readonly throttle: Throttle;
}

export class Allowances {
  readonly slots: TransferSlots;
  readonly partials: PartialAccounts;
  readonly pages: PageRoom;
  readonly #usage: Usage;
  readonly #paces = new Map<string, Pace>();

  constructor(limits: DaemonLimits = defaultLimits, usage: Usage = new Usage()) {
    this.slots = new TransferSlots(limits);
    this.partials = new PartialAccounts(limits);
    this.pages = new PageRoom(limits);
    this.#usage = usage;
  }

  /** What the token of `grant` may still do. */
  of(grant: Grant): Allowance {
    return new Allowance(grant, this, this.#usage, this.#throttle(grant));
  }

  /** One for all connections of the token. */
  #throttle({ id, bytesPerSecond }: Grant): Throttle | undefined {
    const token = tokenOf(id);
    if (bytesPerSecond === undefined) {
      this.#paces.delete(token);
      return undefined;
    }
    const known = this.#paces.get(token);
    if (known?.bytesPerSecond === bytesPerSecond) return known.throttle;
    const throttle = new Throttle(bytesPerSecond);
    this.#paces.set(token, { bytesPerSecond, throttle });
    return throttle;
  }
}

const tokenOf = (id: Uint8Array): string => Buffer.from(id).toString('hex');

export class Allowance {
  readonly token: string;
  readonly partials: PartialAccounts;
  readonly #quotaBytes: number | undefined;
  readonly #slots: TransferSlots;
  readonly #pages: PageRoom;
  readonly #usage: Usage;
  readonly #throttle: Throttle | undefined;

  constructor(
    { id, quotaBytes }: Grant,
    { slots, partials, pages }: Allowances,
    usage: Usage,
    throttle: Throttle | undefined,
  ) {
    this.token = tokenOf(id);
    this.partials = partials;
    this.#quotaBytes = quotaBytes;
    this.#slots = slots;
    this.#pages = pages;
    this.#usage = usage;
    this.#throttle = throttle;
  }

  /** Takes a slot for a transfer, and gives what lets go of it. Throws TransferError (`limit`). */
  begin(): () => void {
    return this.#slots.take(this.token);
  }

  /** Asks for room for a page of one of the token's connections: see `PageRoom.ask`. */
  askRoom(connection: object, bytes: number, onRoom: () => void): Berth {
    return this.#pages.ask({ connection, token: this.token }, bytes, onRoom);
  }

  /** Waits for such room; whoever waits at the other end of `request` hears why. */
  async room(request: Request, bytes: number): Promise<Berth> {
    const guest = { connection: request.carrier, token: this.token };
    return await whileWorking(() => [request], 'waiting', this.#pages.take(guest, bytes));
  }

  /** Content that the quota leaves. */
  get leftBytes(): number {
    return this.#quotaBytes === undefined
      ? Infinity
      : Math.max(0, this.#quotaBytes - this.#usage.of(this.token));
  }

  /** Why the quota has no room for so many bytes; undefined when it has. */
  refusal(bytes: number): TransferError | undefined {
    const { leftBytes } = this;
    if (bytes <= leftBytes) return undefined;
    return new TransferError(
      'limit',
      `The quota of this token does not suffice: ${leftBytes} of ${this.#quotaBytes} bytes are left (quotaBytes).`,
    );
  }

  /** Throws TransferError (`limit`) when the quota has no room for so many bytes. */
  check(bytes: number): void {
    const refusal = this.refusal(bytes);
    if (refusal !== undefined) throw refusal;
  }

  /** Waits until the rate lets so much pass, whatever it is; `atOnce` where there is none. */
  pace(bytes: number): Promise<void> {
    return this.#throttle?.pass(bytes) ?? atOnce;
  }

  /**
   * So much content passes: counts it, and waits until the rate lets it, as `pace`. Rejects with
   * TransferError (`limit`) when the quota does not.
   */
  pass(bytes: number): Promise<void> {
    const refusal = this.refusal(bytes);
    if (refusal !== undefined) return Promise.reject(refusal);
    if (this.#quotaBytes !== undefined) this.#usage.add(this.token, bytes);
    return this.pace(bytes);
  }
}
