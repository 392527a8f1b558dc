/**
 * A pair of streams joined by a link that misbehaves as it is told: what is written to one end comes
 * out of the other, cut into other packets, late, damaged, or not at all. Everything random comes from
 * one seed, which `describe` tells.
 */
import { Duplex } from 'node:stream';

/** Numbers from 0 up to 1 that depend on nothing but the seed (mulberry32). */
export function randomFrom(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = state;
    mixed = Math.imul(mixed ^ (mixed >>> 15), mixed | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** How bytes of one direction are put into packets. */
export type Packets = 'as written' | 'one byte' | 'random' | 'held back';

export interface Faults {
  /** After so many bytes of this direction the whole link breaks, both ways. */
  readonly cutAt?: number;
  /** How the ends notice the cut: a reset, an orderly end, or not at all. */
  readonly cutStyle?: 'reset' | 'end' | 'silence';
  readonly packets?: Packets;
  /** Largest packet of `random` packets. */
  readonly packetBytes?: number;
  /** One bit of each of these bytes flips, or of every n-th from `flipFrom` on. */
  readonly flipAt?: readonly number[];
  readonly flipEvery?: number;
  readonly flipFrom?: number;
  /** Each packet takes so long. */
  readonly delayMs?: number;
  /** Bytes on their way before a writer has to wait. */
  readonly bufferBytes?: number;
  /** From this byte on nothing is taken off the link: the reader has stopped to read. */
  readonly stallAt?: number;
}

export interface LinkOptions {
  readonly seed?: number;
  readonly toDaemon?: Faults;
  readonly toClient?: Faults;
}

/** Packets that arrive in one turn of the event loop, at most. */
const turnPackets = 8;

type Done = (error?: Error | null) => void;

/** One direction. */
class Way {
  readonly #faults: Faults;
  readonly #random: () => number;
  readonly #onCut: (style: 'reset' | 'end' | 'silence') => void;
  #queue: Buffer[] = [];
  #queuedBytes = 0;
  #waiting: Done[] = [];
  #scheduled = false;
  #ended = false;
  #broken = false;
  #reader: End | undefined;
  /** Bytes that were written, and that came out. */
  writtenBytes = 0;
  deliveredBytes = 0;
  /** Everything that came out, for those who compare. */
  readonly packets: Buffer[] = [];

  constructor(
    faults: Faults,
    random: () => number,
    onCut: (style: 'reset' | 'end' | 'silence') => void,
  ) {
    this.#faults = faults;
    this.#random = random;
    this.#onCut = onCut;
  }

  leadsTo(reader: End): void {
    this.#reader = reader;
  }

  write(bytes: Buffer, done: Done): void {
    if (this.#broken) {
      // As with a socket: what nobody will read any more is taken all the same.
      done();
      return;
    }
    this.#queue.push(this.#damaged(bytes));
    this.#queuedBytes += bytes.length;
    this.writtenBytes += bytes.length;
    if (this.#queuedBytes <= (this.#faults.bufferBytes ?? Infinity)) done();
    else this.#waiting.push(done);
    this.#schedule();
  }

  /** A copy, since the writer may use its memory again, with the bits flipped that are to be. */
  #damaged(bytes: Buffer): Buffer {
    const { flipAt = [], flipEvery, flipFrom = 0 } = this.#faults;
    const copy = Buffer.from(bytes);
    const start = this.writtenBytes;
    const flip = (at: number): void => {
      if (at < start || at >= start + copy.length) return;
      copy[at - start] = (copy[at - start] as number) ^ (1 << Math.floor(this.#random() * 8));
    };
    for (const at of flipAt) flip(at);
    if (flipEvery !== undefined) {
      const first = Math.max(1, Math.ceil((start - flipFrom) / flipEvery));
      for (let at = flipFrom + first * flipEvery; at < start + copy.length; at += flipEvery)
        flip(at);
    }
    return copy;
  }

  end(): void {
    this.#ended = true;
    this.#schedule();
  }

  /** The writer is gone; as with a socket, what it waits for is called off. */
  leave(): void {
    for (const done of this.#waiting.splice(0)) done(new Error('write ECANCELED'));
    this.end();
  }

  /** Nothing comes out any more. */
  break(): void {
    this.#broken = true;
    this.#queue = [];
    for (const done of this.#waiting.splice(0)) done();
  }

  #schedule(): void {
    if (this.#scheduled || this.#broken) return;
    this.#scheduled = true;
    const deliver = (): void => {
      this.#scheduled = false;
      this.#deliver();
    };
    if (this.#faults.delayMs === undefined) setImmediate(deliver);
    else setTimeout(deliver, this.#faults.delayMs);
  }

  /** The reader has room again. */
  wanted(): void {
    this.#schedule();
  }

  #packetBytes(): number {
    const { packets = 'as written', packetBytes = 8192 } = this.#faults;
    if (packets === 'one byte') return 1;
    if (packets === 'random') return 1 + Math.floor(this.#random() ** 3 * packetBytes);
    return (this.#queue[0] as Buffer).length;
  }

  #deliver(): void {
    const { cutAt = Infinity, stallAt = Infinity, packets } = this.#faults;
    const { cutStyle = 'reset' } = this.#faults;
    if (this.#broken || this.#reader === undefined) return;
    if (packets === 'held back' && this.#queue.length > 1) {
      this.#queue = [Buffer.concat(this.#queue)];
    }
    for (let packet = 0; this.#queue.length > 0 && this.#reader.wantsMore; packet += 1) {
      const room = Math.min(cutAt, stallAt) - this.deliveredBytes;
      if (room <= 0) break;
      const bytes = this.#take(Math.min(room, this.#packetBytes()));
      this.deliveredBytes += bytes.length;
      this.packets.push(bytes);
      this.#reader.arrive(bytes);
      // Now and then the others get their turn between two packets.
      if (packet > this.#random() * turnPackets) {
        this.#schedule();
        break;
      }
    }
    for (; this.#queuedBytes <= (this.#faults.bufferBytes ?? Infinity); ) {
      const done = this.#waiting.shift();
      if (done === undefined) break;
      done();
    }
    if (this.deliveredBytes >= cutAt) this.#onCut(cutStyle);
    else if (this.#ended && this.#queue.length === 0) this.#reader.finish();
  }

  #take(bytes: number): Buffer {
    const first = this.#queue[0] as Buffer;
    this.#queuedBytes -= Math.min(bytes, first.length);
    if (first.length <= bytes) {
      this.#queue.shift();
      return first;
    }
    this.#queue[0] = first.subarray(bytes);
    return first.subarray(0, bytes);
  }
}

/** One end of the link, as a stream. */
export class End extends Duplex {
  readonly #out: Way;
  readonly #in: Way;
  #finished = false;
  wantsMore = true;

  constructor(out: Way, into: Way) {
    super({ allowHalfOpen: false, highWaterMark: 64 * 1024 });
    this.#out = out;
    this.#in = into;
    into.leadsTo(this);
  }

  arrive(packet: Buffer): void {
    if (!this.destroyed && !this.#finished) this.wantsMore = this.push(packet);
  }

  finish(): void {
    if (this.destroyed || this.#finished) return;
    this.#finished = true;
    this.push(null);
  }

  override _read(): void {
    this.wantsMore = true;
    this.#in.wanted();
  }

  override _write(bytes: Buffer, _encoding: BufferEncoding, done: Done): void {
    this.#out.write(bytes, done);
  }

  override _writev(parts: { chunk: Buffer }[], done: Done): void {
    this.#out.write(Buffer.concat(parts.map(({ chunk }) => chunk)), done);
  }

  override _final(done: Done): void {
    this.#out.end();
    done();
  }

  override _destroy(error: Error | null, done: Done): void {
    // The other end sees what was sent, and then that this one is gone.
    this.#out.leave();
    this.#in.break();
    done(error);
  }
}

export interface Link {
  readonly client: End;
  readonly daemon: End;
  readonly toDaemon: Way;
  readonly toClient: Way;
  /** Breaks it now. */
  cut(style?: 'reset' | 'end' | 'silence'): void;
  readonly describe: string;
}

let lastSeed = Math.floor(Math.random() * 2 ** 31);

/** A fresh link. Without a seed it takes a random one. */
export function newLink(options: LinkOptions = {}): Link {
  lastSeed += 1;
  const { seed = lastSeed, toDaemon: up = {}, toClient: down = {} } = options;
  const random = randomFrom(seed);
  const cut = (style: 'reset' | 'end' | 'silence' = 'reset'): void => {
    toDaemon.break();
    toClient.break();
    if (style === 'silence') return;
    for (const end of [client, daemon]) {
      if (style === 'end') end.finish();
      else end.destroy(Object.assign(new Error('read ECONNRESET'), { code: 'ECONNRESET' }));
    }
  };
  const toDaemon = new Way(up, random, cut);
  const toClient = new Way(down, random, cut);
  const client = new End(toDaemon, toClient);
  const daemon = new End(toClient, toDaemon);
  const describe = `link of seed ${seed}: ${JSON.stringify({ up, down })}`;
  return { client, daemon, toDaemon, toClient, cut, describe };
}
