/**
 * Memory for content on its way, of all connections of the process together, used again and again:
 * what is dropped instead would take room until the next large garbage collection.
 */
import { Arena } from './arena.ts';
import { hashedMemory } from './hashed-memory.ts';
import { transferLimits } from './limits.ts';

/** What may lie idle beside what is used, as a part of the limit: memory of another size is often what comes next. */
const idlePart = 1 / 4;

type MakeMemory = (bytes: number) => ArrayBuffer | undefined;

export class BufferPool {
  #limitBytes: number;
  #usedBytes = 0;
  #promisedBytes = 0;
  /** Given back, and not yet taken again. */
  #idle: Uint8Array<ArrayBuffer>[] = [];
  /** Makes what all memory comes from while it has room; forgotten once it did. */
  #makeMemory: MakeMemory | undefined;
  #arena: Arena | undefined;

  constructor(limitBytes: number = transferLimits.transferBufferBytes, makeMemory?: MakeMemory) {
    this.#limitBytes = limitBytes;
    this.#makeMemory = makeMemory;
  }

  /** Whether more is in use than there shall be: whoever has more than the least is to give it back. */
  get isOver(): boolean {
    return this.#usedBytes > this.#limitBytes;
  }

  resize(limitBytes: number): void {
    this.#limitBytes = limitBytes;
    this.#trim();
  }

  /** Keeps room for what somebody may yet need at least; less than nothing gives it back. */
  promise(bytes: number): void {
    this.#promisedBytes += bytes;
  }

  /** Memory of exactly `bytes`, or undefined where there is no room for it; to be given back. */
  take(bytes: number): Uint8Array<ArrayBuffer> | undefined {
    if (!this.#hasRoom(bytes)) return undefined;
    // Who moves little is spared the making, and V8's large collection that so much memory brings about.
    if (bytes >= transferLimits.sendBatchBytes) this.#makeArena();
    return this.takeLeast(bytes);
  }

  /** The same, of the first half: what would only be nice to have. */
  takeSpare(bytes: number): Uint8Array<ArrayBuffer> | undefined {
    return this.#hasRoom(bytes + this.#limitBytes / 2) ? this.take(bytes) : undefined;
  }

  #hasRoom(bytes: number): boolean {
    return this.#usedBytes + this.#promisedBytes + bytes <= this.#limitBytes;
  }

  #makeArena(): void {
    const memory = this.#makeMemory?.((1 + idlePart) * this.#limitBytes);
    this.#makeMemory = undefined;
    if (memory !== undefined) this.#arena = new Arena(memory);
  }

  /** The same for the little that everybody always has: it counts, and is never refused. */
  takeLeast(bytes: number): Uint8Array<ArrayBuffer> {
    const place = this.#idle.findIndex(({ byteLength }) => byteLength === bytes);
    const [known] = place < 0 ? [] : this.#idle.splice(place, 1);
    this.#usedBytes += bytes;
    this.#trim();
    return (
      known ?? this.#arena?.take(bytes) ?? new Uint8Array(Buffer.allocUnsafeSlow(bytes).buffer)
    );
  }

  /** Nobody, the system neither, reads or writes `memory` any more. */
  give(memory: Uint8Array<ArrayBuffer>): void {
    this.#usedBytes -= memory.byteLength;
    this.#idle.push(memory);
    this.#trim();
  }

  #trim(): void {
    const mostBytes = (1 + idlePart) * this.#limitBytes - this.#usedBytes;
    let idleBytes = this.#idle.reduce((sum, { byteLength }) => sum + byteLength, 0);
    while (idleBytes > 0 && idleBytes > mostBytes) {
      const dropped = this.#idle.shift() as Uint8Array<ArrayBuffer>;
      idleBytes -= dropped.byteLength;
      this.#arena?.give(dropped);
    }
  }
}

export const bufferPool: BufferPool = new BufferPool(undefined, hashedMemory);
