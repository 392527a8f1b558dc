/**
 * Where a connection's incoming bytes land: a few large blocks that are used again and again.
 *
 * Strategy: bytes are read straight into the current block and frames are parsed there, in place.
 * Chunks are handed on as views, which pin their block until they are written; meanwhile reading
 * goes on in another block, to which the beginning of an unfinished frame moves. The last free
 * block is kept in reserve: when it becomes the current one, reading pauses with its space already
 * handed out, because Node asks where the next bytes shall go at the end of a read, not before one.
 */
import { type BufferPool, bufferPool } from './buffer-pool.ts';
import { transferLimits } from './limits.ts';

/** More than so many records at once: larger blocks will help. */
const busyRecords = 4;

/** Beside the first block a connection without large ones has one being written, and one in reserve. */
const promisedBytes = 2 * transferLimits.firstBlockBytes;

/** A frame of a file, and the beginning of one behind it, fit into less. */
const longBytes = 2 * transferLimits.firstBlockBytes;

/** Where bytes land that come after the release, of all connections: nobody reads them. */
const unread = new Uint8Array(transferLimits.recordBytes);

/** One block; `start` to `end` is what was read and not yet parsed. */
export class Block {
  readonly bytes: Uint8Array<ArrayBuffer>;
  readonly view: DataView;
  start = 0;
  end = 0;
  pins = 0;
  /** Made for a frame that is longer than those of files. */
  isLong = false;

  /** `memory` is no Buffer: its slice() is a view, and what is kept must be a copy. */
  constructor(memory: Uint8Array<ArrayBuffer>) {
    this.bytes = memory;
    this.view = new DataView(memory.buffer, memory.byteOffset, memory.byteLength);
  }

  /** Whether `bytes` lie in it. */
  holds({ buffer, byteOffset }: Uint8Array): boolean {
    const at = byteOffset - this.bytes.byteOffset;
    return buffer === this.bytes.buffer && at >= 0 && at < this.bytes.length;
  }
}

const isLarge = ({ bytes }: Block): boolean => bytes.length >= transferLimits.blockBytes;

export class InputBuffer {
  readonly #pool: BufferPool;
  #blocks: Block[];
  #current: Block;
  #paused = false;
  #released = false;
  #closed = false;
  /** What was gathered is parsed then. */
  #soon: NodeJS.Immediate | undefined;
  #gatheredBytes = 0;
  /** Whether such frames may come: what was made for them is given back afterwards. */
  longFrames = false;
  /** Parses what is between `start` and `end` of the block, moves `start`, gives the bytes needed. */
  parse: (block: Block) => number = () => 0;
  /** Called when reading may go on after `filled` said no. */
  onResume: () => void = () => undefined;

  constructor(pool: BufferPool = bufferPool) {
    this.#pool = pool;
    pool.promise(promisedBytes);
    this.#current = new Block(pool.takeLeast(transferLimits.firstBlockBytes));
    this.#blocks = [this.#current];
  }

  /** Whether reading waits for a write of ours, so that the peer's silence means nothing. */
  get paused(): boolean {
    return this.#paused;
  }

  /** Where the next bytes go. Never empty: TLS would ask for ever, within a call that never returns. */
  space(): Uint8Array {
    if (this.#released) return unread;
    return this.#current.bytes.subarray(this.#current.end);
  }

  /** `count` bytes were put into the space. Gives whether to go on reading. */
  filled(count: number): boolean {
    if (this.#released) return false;
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
    if (this.#released) return false;
    const block = this.#current;
    block.end += count;
    this.#gatheredBytes += count;
    const { recordBytes } = transferLimits;
    const leftBytes = block.bytes.length - block.end;
    // What still comes while we wait uses up what is left, rather than a block that its frame would fit.
    if (leftBytes < (this.#paused ? 1 : recordBytes)) {
      return this.#takeIn(this.#gatheredBytes >= busyRecords * recordBytes);
    }
    this.#soon ??= setImmediate(() => this.#parse());
    return !this.#paused;
  }

  /** Nothing more comes: parses what was gathered, for the last of it may tell why. */
  last(): void {
    if (!this.#released && this.#soon !== undefined) this.#parse();
  }

  /** Parses what is there; gives the bytes that the next frame needs. */
  #parse(): number {
    clearImmediate(this.#soon);
    this.#soon = undefined;
    this.#gatheredBytes = 0;
    return this.parse(this.#current);
  }

  /** Parses what is there, and makes room for more; gives whether to go on reading. */
  #takeIn(full: boolean): boolean {
    const neededBytes = this.#parse();
    if (this.#released) return false;
    if (this.#pool.isOver) this.#shrink();
    this.#makeRoom(neededBytes, full);
    this.#dropLong();
    const waited = this.#paused;
    this.#paused = this.#mustWait();
    // What TLS had read already comes all the same; that it finds room again does not make anybody read on.
    if (waited && !this.#paused) this.onResume();
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
    if (block.pins > 0) return;
    if (this.#released) this.#giveBack();
    else if (this.#paused && !this.#mustWait()) {
      this.#paused = false;
      this.onResume();
    }
  }

  /** Nothing more is parsed: gives the memory back, what is pinned when it is let go of. */
  release(): void {
    if (this.#released) return;
    this.#released = true;
    clearImmediate(this.#soon);
    this.#pool.promise(-promisedBytes);
    this.#giveBack();
  }

  /** The link is closed, so that it cannot read into the current block any more. */
  closed(): void {
    this.#closed = true;
    this.release();
    this.#giveBack();
  }

  #giveBack(): void {
    this.#drop((block) => block.pins === 0 && (this.#closed || block !== this.#current));
  }

  #drop(isDropped: (block: Block) => boolean): void {
    const dropped = this.#blocks.filter((block) => isDropped(block));
    this.#blocks = this.#blocks.filter((block) => !dropped.includes(block));
    for (const { bytes } of dropped) this.#pool.give(bytes);
  }

  #isFree(block: Block): boolean {
    return block !== this.#current && block.pins === 0;
  }

  #mustWait(): boolean {
    const { pins, bytes, end } = this.#current;
    const others = this.#blocks.filter((block) => block !== this.#current);
    // Large frames add blocks while small ones are free: those that wait for a write count, too.
    const { blocks, leastBlocks } = transferLimits;
    const hasRoom = this.#blocks.some(isLarge);
    const mostPinned = (hasRoom ? blocks : leastBlocks) - 1;
    if (others.filter((block) => block.pins > 0).length >= mostPinned) return true;
    if (others.some((block) => block.pins === 0)) return false;
    // Alone, a block that nobody pins can go on as it is.
    return pins > 0 ? true : this.#blocks.length > 1 || end === bytes.length;
  }

  /** Others came, and have no room: the large blocks were for times when there is plenty. */
  #shrink(): void {
    this.#drop((block) => isLarge(block) && this.#isFree(block));
  }

  /** Sees to it that the frame under way fits behind the current block's start. */
  #makeRoom(neededBytes: number, full: boolean): void {
    const block = this.#current;
    // A read filled the whole space: more is waiting, so large blocks will help.
    const isBusy = full || (isLarge(block) && !block.isLong);
    const pendingBytes = block.end - block.start;
    if (pendingBytes === 0 && block.pins === 0) {
      block.start = 0;
      block.end = 0;
    }
    const { firstBlockBytes } = transferLimits;
    const leastBytes = Math.max(neededBytes, pendingBytes + firstBlockBytes / 4);
    const large = (): Block | undefined => (isBusy ? this.#large(leastBytes) : undefined);
    // A block that nobody pins goes on as it is, but for a large one.
    const better = block.pins === 0 && !isLarge(block) ? large() : undefined;
    if (better !== undefined) {
      this.#move(block, better);
      return;
    }
    // What was made for long frames is not kept when none may come.
    const isLeft = block.isLong && !this.longFrames && block.pins === 0 && leastBytes <= longBytes;
    if (block.bytes.length - block.start >= leastBytes && !isLeft) return;
    if (block.pins === 0 && block.bytes.length >= leastBytes && !isLeft) {
      this.#move(block, block);
      return;
    }
    this.#move(block, large() ?? this.#roomy(leastBytes));
  }

  #dropLong(): void {
    if (!this.longFrames) this.#drop((block) => block.isLong && this.#isFree(block));
  }

  /** A large free block of at least this size, if the pool has room for it. */
  #large(leastBytes: number): Block | undefined {
    const { blockBytes, blocks } = transferLimits;
    if (leastBytes > blockBytes) return undefined;
    const large = this.#blocks.filter(isLarge);
    const free = large.find((block) => this.#isFree(block) && !block.isLong);
    if (free !== undefined || large.length >= blocks) return free;
    const memory = this.#pool.take(blockBytes);
    if (memory === undefined) return undefined;
    const made = new Block(memory);
    this.#blocks.push(made);
    return made;
  }

  /** A free block of at least this size, made if there is none: a frame must fit somewhere. */
  #roomy(leastBytes: number): Block {
    const free = this.#blocks
      .filter((block) => this.#isFree(block) && block.bytes.length >= leastBytes)
      .sort((a, b) => b.bytes.length - a.bytes.length)[0];
    if (free !== undefined) return free;
    // Of few sizes: memory of another one could not be used again.
    const { firstBlockBytes } = transferLimits;
    const size = Math.ceil(leastBytes / firstBlockBytes) * firstBlockBytes;
    const made = new Block(this.#pool.takeLeast(size));
    made.isLong = size > longBytes;
    this.#blocks.push(made);
    return made;
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
