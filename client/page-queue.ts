/**
 * Pages of a listing, or of checksums, that came and were not taken yet.
 *
 * Strategy: a few stay as they are. What comes while these wait is packed again as it travelled: a whole
 * window of it are 16 MiB of bytes, and would be hundreds of MiB of objects.
 */
import { FrameDecoder } from '../protocol/decoder.ts';
import { encodeFrame, type FrameOf } from '../protocol/frames.ts';
import { headerBytes } from '../protocol/header.ts';

const openPages = 8;
const blockBytes = 256 * 1024;

export interface WaitingPage<F> {
  readonly page: F;
  /** Of its payload. */
  readonly bytes: number;
}

interface Block {
  readonly bytes: Uint8Array;
  readonly view: DataView;
  start: number;
  end: number;
}

function newBlock(): Block {
  const bytes = new Uint8Array(blockBytes);
  return { bytes, view: new DataView(bytes.buffer), start: 0, end: 0 };
}

export class PageQueue<F extends FrameOf<'entries' | 'sums'>> {
  readonly #open: WaitingPage<F>[] = [];
  readonly #packed: Block[] = [];
  readonly #decoder = new FrameDecoder();
  /** Used again: the collector would come for them late. */
  readonly #spare: Block[] = [];

  /** `bytes` is what the page's payload took. */
  push(page: F, bytes: number): void {
    if (this.#packed.length === 0 && this.#open.length < openPages)
      this.#open.push({ page, bytes });
    else this.#pack(encodeFrame(page, headerBytes + bytes));
  }

  #pack(frame: Uint8Array): void {
    let block = this.#packed.at(-1);
    if (block === undefined || block.end + frame.length > blockBytes) {
      block = this.#spare.pop() ?? newBlock();
      this.#packed.push(block);
    }
    block.bytes.set(frame, block.end);
    block.end += frame.length;
  }

  /** Takes the page that came first; undefined when none waits. */
  shift(): WaitingPage<F> | undefined {
    return this.#open.shift() ?? this.#unpack();
  }

  #unpack(): WaitingPage<F> | undefined {
    const [block] = this.#packed;
    if (block === undefined) return undefined;
    const decoded = this.#decoder.next(block.bytes, block.view, block.start, block.end);
    if (decoded === undefined) throw new Error('A page was not packed whole.');
    block.start += decoded.length;
    if (block.start === block.end) this.#drop(block);
    return { page: decoded.frame as F, bytes: decoded.length - headerBytes };
  }

  #drop(block: Block): void {
    this.#packed.shift();
    block.start = 0;
    block.end = 0;
    this.#spare.push(block);
  }
}
