/**
 * Where a connection's incoming bytes land: a few large blocks that are used again and again.
 *
 * Strategy: bytes are read straight into the current block and frames are parsed there, in place.
 * Chunks are handed on as views, which pin their block until they are written; meanwhile reading
 * goes on in another block, to which the beginning of an unfinished frame moves. The last free
 * block is kept in reserve: when it becomes the current one, reading pauses with its space already
 * handed out, because Node asks where the next bytes shall go at the end of a read, not before one.
 */
import { transferLimits } from './limits.ts';

/** More than so many records at once: larger blocks will help. */
const busyRecords = 4;

/** Memory that all buffers of the process share. */
export class BufferPool {
  #bytes: number;
  /** Below 0 when the pool became smaller than what is in use. */
  #freeBytes: number;

  constructor(bytes: number = transferLimits.transferBufferBytes) {
    this.#bytes = bytes;
    this.#freeBytes = bytes;
  }

  resize(bytes: number): void {
    this.#freeBytes += bytes - this.#bytes;
    this.#bytes = bytes;
  }

  /** Whether there was room; then give it back. */
  take(bytes: number): boolean {
    if (bytes > this.#freeBytes) return false;
    this.#freeBytes -= bytes;
    return true;
  }

  give(bytes: number): void {
    this.#freeBytes += bytes;
  }
}

export const bufferPool: BufferPool = new BufferPool();

/** One block; `start` to `end` is what was read and not yet parsed. */
export class Block {
  readonly bytes: Uint8Array<ArrayBuffer>;
  readonly view: DataView;
  readonly pooled: boolean;
  start = 0;
  end = 0;
  pins = 0;

  constructor(size: number, pooled: boolean) {
    // No Buffer: its slice() is a view, and what is kept must be a copy.
    this.bytes = new Uint8Array(Buffer.allocUnsafeSlow(size).buffer);
    this.view = new DataView(this.bytes.buffer);
    this.pooled = pooled;
  }
}

export class InputBuffer {
  readonly #pool: BufferPool;
  #blocks: Block[] = [new Block(transferLimits.firstBlockBytes, false)];
  #current = this.#blocks[0] as Block;
  #paused = false;
  #released = false;
  /** What was gathered is parsed then. */
  #soon: NodeJS.Immediate | undefined;
  #gatheredBytes = 0;
  /** Parses what is between `start` and `end` of the block, moves `start`, gives the bytes needed. */
  parse: (block: Block) => number = () => 0;
  /** Called when reading may go on after `filled` said no. */
  onResume: () => void = () => undefined;

  constructor(pool: BufferPool = bufferPool) {
    this.#pool = pool;
  }

  /** Whether reading waits for a write of ours, so that the peer's silence means nothing. */
  get paused(): boolean {
    return this.#paused;
  }

  /** Where the next bytes go. Never empty. */
  space(): Uint8Array {
    return this.#current.bytes.subarray(this.#current.end);
  }

  /** `count` bytes were put into the space. Gives whether to go on reading. */
  filled(count: number): boolean {
    const block = this.#current;
    const full = count === block.bytes.length - block.end;
    block.end += count;
    return this.#takeIn(full);
  }

  /**
   * As `filled`, for links that bring one read in many small parts: these are parsed together, soon.
   * The space that was handed out stays what it is until it is used up.
   */
  gathered(count: number): boolean {
    const block = this.#current;
    block.end += count;
    this.#gatheredBytes += count;
    const { recordBytes } = transferLimits;
    if (block.bytes.length - block.end < recordBytes) {
      return this.#takeIn(this.#gatheredBytes >= busyRecords * recordBytes);
    }
    this.#soon ??= setImmediate(() => this.#parse());
    return !this.#paused;
  }

  /** Parses what is there; gives the bytes that the next frame needs. */
  #parse(): number {
    clearImmediate(this.#soon);
    this.#soon = undefined;
    this.#gatheredBytes = 0;
    return this.#released ? 0 : this.parse(this.#current);
  }

  /** Parses what is there, and makes room for more; gives whether to go on reading. */
  #takeIn(full: boolean): boolean {
    const neededBytes = this.#parse();
    if (this.#released) return false;
    if (full) this.#grow();
    this.#makeRoom(neededBytes);
    this.#paused = this.#mustWait();
    return !this.#paused;
  }

  /** Copies bytes that were read elsewhere, for links that can't read into our blocks. */
  push(bytes: Uint8Array): boolean {
    let goOn = true;
    for (let from = 0; from < bytes.length && !this.#released; ) {
      const space = this.space();
      const part = bytes.subarray(from, from + space.length);
      space.set(part);
      from += part.length;
      goOn = this.filled(part.length);
    }
    return goOn;
  }

  /** Keeps the current block as it is until `unpin`. */
  pin(): Block {
    this.#current.pins += 1;
    return this.#current;
  }

  unpin(block: Block): void {
    block.pins -= 1;
    if (block.pins > 0 || this.#released) return;
    if (this.#paused && !this.#mustWait()) {
      this.#paused = false;
      this.onResume();
    }
  }

  /** Gives the memory back; views handed out stay valid as long as somebody holds them. */
  release(): void {
    if (this.#released) return;
    this.#released = true;
    clearImmediate(this.#soon);
    for (const block of this.#blocks) if (block.pooled) this.#pool.give(block.bytes.length);
    this.#blocks = [];
  }

  #isFree(block: Block): boolean {
    return block !== this.#current && block.pins === 0;
  }

  #mustWait(): boolean {
    const { pins, bytes, end } = this.#current;
    const others = this.#blocks.filter((block) => block !== this.#current);
    // Large frames add blocks while small ones are free: those that wait for a write count, too.
    if (others.filter((block) => block.pins > 0).length >= transferLimits.blocks - 1) return true;
    if (others.some((block) => block.pins === 0)) return false;
    // Alone, a block that nobody pins can go on as it is.
    return pins > 0 ? true : this.#blocks.length > 1 || end === bytes.length;
  }

  #add(size: number, pooled: boolean): void {
    this.#blocks.push(new Block(size, pooled));
  }

  /** A read filled the whole space: more is waiting, so larger blocks will help. */
  #grow(): void {
    const { blockBytes, blocks } = transferLimits;
    const large = this.#blocks.filter(({ bytes }) => bytes.length >= blockBytes).length;
    if (large < blocks && this.#pool.take(blockBytes)) this.#add(blockBytes, true);
    else if (large >= blocks) this.#dropSmall();
  }

  /** A small block among large ones would take its turn, and make small reads and writes. */
  #dropSmall(): void {
    const { blockBytes } = transferLimits;
    this.#blocks = this.#blocks.filter((block) => {
      if (block.bytes.length >= blockBytes || !this.#isFree(block)) return true;
      if (block.pooled) this.#pool.give(block.bytes.length);
      return false;
    });
  }

  /** Sees to it that the frame under way fits behind the current block's start. */
  #makeRoom(neededBytes: number): void {
    const block = this.#current;
    const pendingBytes = block.end - block.start;
    if (pendingBytes === 0 && block.pins === 0) {
      block.start = 0;
      block.end = 0;
    }
    const { firstBlockBytes } = transferLimits;
    const leastBytes = Math.max(neededBytes, pendingBytes + firstBlockBytes / 4);
    if (block.bytes.length - block.start >= leastBytes) return;
    if (block.pins === 0 && block.bytes.length >= leastBytes) {
      this.#move(block, block);
      return;
    }
    this.#move(block, this.#roomy(leastBytes));
  }

  /** A free block of at least this size, made if there is none: a frame must fit somewhere. */
  #roomy(leastBytes: number): Block {
    const free = this.#blocks
      .filter((block) => this.#isFree(block) && block.bytes.length >= leastBytes)
      .sort((a, b) => b.bytes.length - a.bytes.length)[0];
    if (free !== undefined) return free;
    const size = Math.max(leastBytes, transferLimits.firstBlockBytes);
    this.#add(size, this.#pool.take(size));
    return this.#blocks.at(-1) as Block;
  }

  #move(from: Block, to: Block): void {
    const length = from.end - from.start;
    to.bytes.set(from.bytes.subarray(from.start, from.end), 0);
    if (from !== to) {
      from.start = 0;
      from.end = 0;
    }
    to.start = 0;
    to.end = length;
    this.#current = to;
  }
}
