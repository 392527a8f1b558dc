/** Counts file content in one direction of a connection, by reading nothing but frame headers. */

const preambleBytes = 16;
const preambleExtensionAt = 12;
const headerBytes = 32;
const lengthAt = 4;
const chunkType = 0x2f;

/** Written anew, not with the decoder: what the tests measure by shouldn't be what they measure. */
export class ContentCounter {
  /** Payload bytes of all `chunk` frames that began to pass, as far as they passed. */
  bytes = 0;
  readonly #head = Buffer.alloc(headerBytes);
  #headBytes = 0;
  #greeted = false;
  /** Bytes of the current payload still to come. */
  #payloadLeft = 0;
  #isChunk = false;

  push(bytes: Uint8Array): void {
    for (let at = 0; at < bytes.length; ) {
      if (this.#payloadLeft > 0) {
        const part = Math.min(this.#payloadLeft, bytes.length - at);
        if (this.#isChunk) this.bytes += part;
        this.#payloadLeft -= part;
        at += part;
        continue;
      }
      const needed = this.#greeted ? headerBytes : preambleBytes;
      const part = bytes.subarray(at, at + needed - this.#headBytes);
      this.#head.set(part, this.#headBytes);
      this.#headBytes += part.length;
      at += part.length;
      if (this.#headBytes === needed) this.#begin();
    }
  }

  #begin(): void {
    this.#headBytes = 0;
    this.#payloadLeft = this.#head.readUInt32LE(this.#greeted ? lengthAt : preambleExtensionAt);
    this.#isChunk = this.#greeted && this.#head.readUInt8(0) === chunkType;
    this.#greeted = true;
  }
}
