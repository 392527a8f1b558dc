/**
 * Memory for content on its way, of all connections of the process together, used again and again:
 * what is dropped instead would take room until the next large garbage collection.
 */
import { transferLimits } from './limits.ts';

/** What may lie idle beside what is used, as a part of the limit: memory of another size is often what comes next. */
const idlePart = 1 / 4;

export class BufferPool {
  #limitBytes: number;
  #usedBytes = 0;
  #promisedBytes = 0;
  /** Given back, and not yet taken again. */
  #idle: ArrayBuffer[] = [];

  constructor(limitBytes: number = transferLimits.transferBufferBytes) {
    this.#limitBytes = limitBytes;
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
  take(bytes: number): ArrayBuffer | undefined {
    const hasRoom = this.#usedBytes + this.#promisedBytes + bytes <= this.#limitBytes;
    return hasRoom ? this.takeLeast(bytes) : undefined;
  }

  /** The same for the little that everybody always has: it counts, and is never refused. */
  takeLeast(bytes: number): ArrayBuffer {
    const place = this.#idle.findIndex(({ byteLength }) => byteLength === bytes);
    const [known] = place < 0 ? [] : this.#idle.splice(place, 1);
    this.#usedBytes += bytes;
    this.#trim();
    return known ?? Buffer.allocUnsafeSlow(bytes).buffer;
  }

  /** Nobody, the system neither, reads or writes `memory` any more. */
  give(memory: ArrayBuffer): void {
    this.#usedBytes -= memory.byteLength;
    this.#idle.push(memory);
    this.#trim();
  }

  #trim(): void {
    const mostBytes = (1 + idlePart) * this.#limitBytes - this.#usedBytes;
    let idleBytes = this.#idle.reduce((sum, { byteLength }) => sum + byteLength, 0);
    while (idleBytes > 0 && idleBytes > mostBytes) {
      idleBytes -= (this.#idle.shift() as ArrayBuffer).byteLength;
    }
  }
}

export const bufferPool: BufferPool = new BufferPool();
