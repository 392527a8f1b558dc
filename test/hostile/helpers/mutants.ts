/** A proxy that changes one thing on its way, with the checks recomputed or not. */
import net from 'node:net';
import { type Failure, readError } from './bodies.ts';
import { cat, frame, type HeaderFields, headerBytes, nameOf, preambleBytes } from './wire.ts';

/** Longer than anything that either side does in a small session. */
const quietMs = 1_000;

export type Direction = 'up' | 'down';

/** A frame as it passed, with the numbers that a changed one may keep or not. */
export interface Passing {
  readonly type: number;
  readonly request: number;
  readonly index: bigint;
  readonly payload: Buffer;
  readonly bytes: Buffer;
}

/** What passes in a frame's place; undefined: the connection is cut here. */
export type Change = (passing: Passing) => Uint8Array | undefined;

/** One change in one direction of a connection: of the frame at a place, or of raw bytes. */
export interface Mutant {
  readonly what: string;
  readonly direction: Direction;
  /** Place of the frame, 0 is hello; or of the byte, 0 is the preamble's first. */
  readonly place: number;
  readonly change: Change | ((byte: number) => Uint8Array | undefined);
  readonly raw: boolean;
}

/** Writes a frame with right checks, whatever it says. */
export function again(
  { type, request, index, payload }: Passing,
  change: Partial<Omit<Passing, 'bytes'>> = {},
  wrong: HeaderFields = {},
): Buffer {
  const changed = { type, request, index, payload, ...change };
  const header = { index: changed.index, ...wrong };
  return frame(changed.type, changed.request, changed.payload, header);
}

class Pump {
  readonly #from: net.Socket;
  readonly #to: net.Socket;
  readonly #mutant: Mutant | undefined;
  readonly #onFrame: (passing: Passing) => void;
  #rest: Buffer = Buffer.alloc(0);
  #greeted = false;
  #frames = 0;
  #bytes = 0;

  constructor(
    from: net.Socket,
    to: net.Socket,
    mutant: Mutant | undefined,
    onFrame: (passing: Passing) => void,
  ) {
    this.#from = from;
    this.#to = to;
    this.#mutant = mutant;
    this.#onFrame = onFrame;
    from.on('end', () => to.end());
    from.on('close', () => to.destroySoon());
    from.on('error', () => to.destroy());
  }

  take(bytes: Buffer): void {
    if (this.#mutant?.raw === true) this.#passRaw(bytes, this.#mutant);
    // What a side said is told as it said it: by then the other one has nothing to hide.
    this.#rest = cat(this.#rest, bytes);
    for (let next = this.#split(); next !== undefined; next = this.#split()) {
      if (this.#mutant?.raw !== true && !this.#pass(next)) return;
    }
  }

  /** The preamble, then whole frames. */
  #split(): Passing | Buffer | undefined {
    const { length } = this.#rest;
    if (!this.#greeted) {
      if (length < preambleBytes) return undefined;
      this.#greeted = true;
      return this.#cut(preambleBytes);
    }
    if (length < headerBytes) return undefined;
    const end = headerBytes + this.#rest.readUInt32LE(4);
    if (length < end) return undefined;
    const bytes = this.#cut(end);
    const passing = {
      type: bytes.readUInt8(0),
      request: bytes.readUInt32LE(8),
      index: bytes.readBigUInt64LE(16),
      payload: bytes.subarray(headerBytes),
      bytes,
    };
    this.#onFrame(passing);
    return passing;
  }

  #cut(length: number): Buffer {
    const bytes = Buffer.from(this.#rest.subarray(0, length));
    this.#rest = this.#rest.subarray(length);
    return bytes;
  }

  #pass(next: Passing | Buffer): boolean {
    if (Buffer.isBuffer(next)) {
      this.#to.write(next);
      return true;
    }
    const mutant = this.#mutant;
    const isMeant = mutant !== undefined && mutant.place === this.#frames;
    this.#frames += 1;
    const bytes = isMeant ? (mutant.change as Change)(next) : next.bytes;
    if (bytes === undefined) return this.#end();
    this.#to.write(bytes);
    return true;
  }

  #passRaw(bytes: Buffer, { place, change }: Mutant): void {
    const at = place - this.#bytes;
    this.#bytes += bytes.length;
    if (at < 0 || at >= bytes.length) {
      this.#to.write(bytes);
      return;
    }
    const changed = (change as (byte: number) => Uint8Array | undefined)(bytes.readUInt8(at));
    this.#to.write(bytes.subarray(0, at));
    if (changed === undefined) this.#end();
    else this.#to.write(cat(changed, bytes.subarray(at + 1)));
  }

  #end(): boolean {
    this.#to.end();
    this.#from.destroy();
    return false;
  }
}

export class MutantProxy {
  readonly #server: net.Server;
  readonly #sockets = new Set<net.Socket>();
  /** The change for the connections to come. */
  mutant: Mutant | undefined;
  /** Errors that either side said. */
  failures: Failure[] = [];
  /** Frames that passed, by direction. */
  seen: Record<Direction, Passing[]> = { up: [], down: [] };

  private constructor(port: number) {
    this.#server = net.createServer({ noDelay: true }, (client) => {
      const daemon = net.connect({ host: '127.0.0.1', port, noDelay: true });
      for (const socket of [client, daemon]) this.#sockets.add(socket);
      // Where a byte is missing both sides would wait for their deadlines: it is cut instead.
      const quiet = setTimeout(() => {
        client.destroy();
        daemon.destroy();
      }, quietMs);
      client.on('close', () => clearTimeout(quiet));
      if (this.mutant === undefined) clearTimeout(quiet);
      for (const direction of ['up', 'down'] as const) {
        const [from, to] = direction === 'up' ? [client, daemon] : [daemon, client];
        const mutant = this.mutant?.direction === direction ? this.mutant : undefined;
        from.on('data', () => quiet.refresh());
        const pump = new Pump(from, to, mutant, (passing) => {
          this.seen[direction].push(passing);
          if (nameOf(passing.type) !== 'error') return;
          this.failures.push(readError({ ...passing, name: 'error' }));
        });
        from.on('data', (bytes: Buffer) => pump.take(bytes));
      }
    });
  }

  static async start(port: number): Promise<MutantProxy> {
    const proxy = new MutantProxy(port);
    await new Promise<void>((resolve) => void proxy.#server.listen(0, '127.0.0.1', resolve));
    return proxy;
  }

  get port(): number {
    return (this.#server.address() as net.AddressInfo).port;
  }

  async close(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    await new Promise<void>((resolve) => void this.#server.close(() => resolve()));
  }
}
