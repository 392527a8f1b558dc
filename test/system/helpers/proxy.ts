/**
 * A TCP proxy on loopback that counts, and that does to a connection what networks do: cuts it after
 * so many bytes, turns bits over, delays, stalls.
 *
 * Faults belong to the proxy and hold for every connection, old and new, from the moment they are
 * set; a cut happens once, so that the next connection lives.
 */
import net from 'node:net';
import { ContentCounter } from './content-counter.ts';

export type Direction = 'up' | 'down';

/** One direction of one connection. `up` is from the client to the daemon. */
export interface Flow {
  /** Bytes that came from the sender of this direction. */
  readonly bytes: number;
  /** File content among them, repeats included, as it was sent (before any bit was turned over). */
  readonly contentBytes: number;
}

export interface ProxiedConnection {
  readonly up: Flow;
  readonly down: Flow;
  readonly isOpen: boolean;
}

export interface Cut {
  readonly direction: Direction;
  /** Bytes of one connection that still pass in this direction. */
  readonly afterBytes: number;
  /** `reset` as a crashed machine does, `end` as a closed program; default `reset`. */
  readonly how?: 'reset' | 'end';
}

export interface Faults {
  cut?: Cut | undefined;
  /** One bit is turned over in every so many bytes of each connection. */
  flipEveryBytes?: Partial<Record<Direction, number>> | undefined;
  /** What passes arrives so much later. */
  delayMs?: Partial<Record<Direction, number>> | undefined;
  /** Nothing passes for as long as this is set, and nobody is told: a half-dead link. */
  stalled?: boolean | undefined;
}

/** What a delay or a stall may hold back before the sender is made to wait. */
const waitingBytesMax = 64 * 1024 * 1024;

export class Proxy {
  readonly connections: readonly ProxiedConnection[];
  /** Change it at any time. */
  readonly faults: Faults;
  readonly #links: Link[] = [];
  readonly #server: net.Server;
  readonly #target: net.NetConnectOpts;
  onConnect: () => void = () => undefined;
  /** A connection was cut as `faults.cut` says. */
  onCut: () => void = () => undefined;

  private constructor(target: net.NetConnectOpts, faults: Faults) {
    this.#target = target;
    this.faults = faults;
    this.connections = this.#links;
    this.#server = net.createServer({ allowHalfOpen: true, noDelay: true }, (client) => {
      this.#links.push(new Link(client, this.#target, this));
      this.onConnect();
    });
  }

  /** Starts a proxy to `port` on loopback. */
  static async start(port: number, faults: Faults = {}): Promise<Proxy> {
    const proxy = new Proxy({ host: '127.0.0.1', port }, faults);
    await new Promise<void>((resolve, reject) => {
      proxy.#server.once('error', reject);
      proxy.#server.listen(0, '127.0.0.1', resolve);
    });
    return proxy;
  }

  get port(): number {
    return (this.#server.address() as net.AddressInfo).port;
  }

  /** `ferry+tcp://host:port/path`, through the proxy. */
  url(path = ''): string {
    return `ferry+tcp://127.0.0.1:${this.port}/${path}`;
  }

  /** All bytes of a direction, over all connections. */
  bytes(direction: Direction): number {
    return this.#links.reduce((sum, link) => sum + link[direction].bytes, 0);
  }

  /** File content of a direction, over all connections. */
  contentBytes(direction: Direction): number {
    return this.#links.reduce((sum, link) => sum + link[direction].contentBytes, 0);
  }

  /** Cuts all open connections now. */
  cutNow(how: Cut['how'] = 'reset'): void {
    for (const link of this.#links) link.cut(how);
  }

  async close(): Promise<void> {
    this.cutNow();
    await new Promise<void>((resolve) => {
      this.#server.close(() => resolve());
    });
  }
}

class Link implements ProxiedConnection {
  readonly up: Pump;
  readonly down: Pump;
  readonly #client: net.Socket;
  readonly #daemon: net.Socket;

  constructor(client: net.Socket, target: net.NetConnectOpts, proxy: Proxy) {
    this.#client = client;
    this.#daemon = net.connect({ ...target, allowHalfOpen: true, noDelay: true });
    const onCut = ({ how }: Cut): void => {
      this.cut(how);
      proxy.onCut();
    };
    this.up = new Pump('up', [client, this.#daemon], proxy.faults, onCut);
    this.down = new Pump('down', [this.#daemon, client], proxy.faults, onCut);
  }

  get isOpen(): boolean {
    return !this.#client.destroyed && !this.#daemon.destroyed;
  }

  cut(how: Cut['how'] = 'reset'): void {
    for (const socket of [this.#client, this.#daemon]) {
      // Once is enough: each time it would wait for the same end anew.
      if (how === 'end' && !socket.destroyed && !socket.writableEnded) socket.destroySoon();
      else if (how === 'reset') reset(socket);
    }
  }
}

/** A socket that is being shut down can't be reset any more: Node would leave it open for ever. */
function reset(socket: net.Socket): void {
  if (socket.destroyed) return;
  if (socket.writableEnded) socket.destroy();
  else socket.resetAndDestroy();
}

interface Step {
  readonly atMs: number;
  readonly run: () => void;
}

/** How often a stalled connection looks whether it still is. */
const stallMs = 20;

class Pump implements Flow {
  bytes = 0;
  readonly #content = new ContentCounter();
  readonly #direction: Direction;
  readonly #from: net.Socket;
  readonly #to: net.Socket;
  readonly #faults: Faults;
  readonly #onCut: (cut: Cut) => void;
  /** What is to happen at the other side, in order. */
  readonly #steps: Step[] = [];
  #timer: NodeJS.Timeout | undefined;
  #waitingBytes = 0;

  constructor(
    direction: Direction,
    [from, to]: readonly [net.Socket, net.Socket],
    faults: Faults,
    onCut: (cut: Cut) => void,
  ) {
    this.#direction = direction;
    this.#from = from;
    this.#to = to;
    this.#faults = faults;
    this.#onCut = onCut;
    from.on('data', (bytes: Buffer) => this.#take(bytes));
    from.on('end', () => this.#later(() => to.end()));
    // A broken side breaks the other one; what error it was, the programs tell.
    from.on('error', () => this.#later(() => reset(to)));
    from.on('close', () => this.#later(() => to.destroySoon()));
    to.on('drain', () => this.#flow());
  }

  get contentBytes(): number {
    return this.#content.bytes;
  }

  #take(bytes: Buffer): void {
    const { cut } = this.#faults;
    const start = this.bytes;
    this.bytes += bytes.length;
    this.#content.push(bytes);
    this.#flip(bytes, start);
    if (cut?.direction === this.#direction && this.bytes >= cut.afterBytes) {
      this.#faults.cut = undefined;
      this.#pass(bytes.subarray(0, Math.max(0, cut.afterBytes - start)));
      this.#later(() => this.#onCut(cut));
    } else {
      this.#pass(bytes);
    }
  }

  /** Turns over one bit in every `flipEveryBytes`, another one each time. */
  #flip(bytes: Buffer, start: number): void {
    const every = this.#faults.flipEveryBytes?.[this.#direction];
    if (every === undefined) return;
    for (let at = every - 1 - (start % every); at < bytes.length; at += every) {
      const bit = Math.floor((start + at) / every) % 8;
      bytes[at] = (bytes[at] as number) ^ (1 << bit);
    }
  }

  #pass(bytes: Buffer): void {
    this.#waitingBytes += bytes.length;
    this.#later(() => {
      this.#waitingBytes -= bytes.length;
      if (!this.#to.destroyed) this.#to.write(bytes);
    });
    this.#flow();
  }

  #flow(): void {
    if (this.#to.writableNeedDrain || this.#waitingBytes > waitingBytesMax) this.#from.pause();
    else this.#from.resume();
  }

  #later(run: () => void): void {
    const delayMs = this.#faults.delayMs?.[this.#direction] ?? 0;
    this.#steps.push({ atMs: performance.now() + delayMs, run });
    if (this.#timer === undefined) this.#work();
  }

  #work(): void {
    this.#timer = undefined;
    const stalled = this.#faults.stalled === true;
    while (!stalled && (this.#steps[0]?.atMs ?? Infinity) <= performance.now()) {
      this.#steps.shift()?.run();
    }
    const [next] = this.#steps;
    if (next !== undefined) {
      const waitMs = stalled ? stallMs : next.atMs - performance.now();
      this.#timer = setTimeout(() => this.#work(), Math.max(1, waitMs)).unref();
    }
    this.#flow();
  }
}
