/** Whole transfers of a peer that keeps to the rules: the healthy ones beside the others. */
import { randomInt } from 'node:crypto';
import {
  chunk,
  chunkBytes,
  complete,
  digest,
  download,
  end,
  offer,
  outcomes,
  readWant,
  someMtimeNs,
  want,
} from './bodies.ts';
import type { Peer } from './peer.ts';
import { Cursor } from './wire.ts';

/** Chunks of `content` from `first` up to `last`, in one piece. */
export function chunks(
  request: number,
  content: Uint8Array,
  {
    first = 0,
    last,
    size = chunkBytes,
  }: { first?: number; last?: number | undefined; size?: number } = {},
): Buffer {
  const count = Math.min(last ?? Infinity, Math.ceil(content.length / size));
  const frames: Buffer[] = [];
  for (let i = first; i < count; i += 1) {
    frames.push(chunk(request, i, content.subarray(i * size, (i + 1) * size)));
  }
  return Buffer.concat(frames);
}

/** An upload that comes half-way at once, then chunk by chunk, and to its end when it is told to. */
export class HalfUpload {
  readonly #peer: Peer;
  readonly #content: Uint8Array;
  readonly #chunkBytes: number;
  readonly #request: number;
  #sentChunks = 0;

  constructor(peer: Peer, path: string, content: Uint8Array, size = chunkBytes) {
    this.#peer = peer;
    this.#content = content;
    this.#chunkBytes = size;
    // Each time another moment: the same one with the same size would be the same file.
    const mtimeNs = someMtimeNs + BigInt(randomInt(2 ** 40)) * 1_000_000n;
    const offered = { path, size: content.length, mtimeNs, chunkBytes: size };
    this.#request = peer.open('offer', offer(offered));
  }

  get #chunkCount(): number {
    return Math.ceil(this.#content.length / this.#chunkBytes);
  }

  get #half(): number {
    return Math.ceil(this.#chunkCount / 2);
  }

  /** Sends the chunks up to `last`. */
  #send(last: number): void {
    const first = this.#sentChunks;
    this.#sentChunks = last;
    this.#peer.write(chunks(this.#request, this.#content, { first, last, size: this.#chunkBytes }));
  }

  async begin(): Promise<this> {
    const asked = readWant(await this.#peer.next('want', this.#request));
    if (asked.ranges.length !== Math.min(1, this.#content.length))
      throw new Error('The file is not wanted as a whole.');
    this.#send(this.#half);
    return this;
  }

  /** One more chunk, but for the last: so that nobody takes it for stalled. */
  step(): void {
    if (this.#sentChunks + 1 < this.#chunkCount) this.#send(this.#sentChunks + 1);
  }

  /** Sends the rest; throws unless it is stored with the right digest. */
  async finish(): Promise<void> {
    const proved = digest(this.#content, this.#chunkBytes);
    this.#send(this.#chunkCount);
    this.#peer.say('end', this.#request, end(1, this.#content.length, proved));
    const { payload } = await this.#peer.next('complete', this.#request);
    const cursor = new Cursor(payload);
    const isStored = cursor.u8() === outcomes.stored && cursor.u8() === 1;
    if (!isStored || cursor.u64() !== proved) throw new Error('The file was not stored.');
  }
}

export async function upload(peer: Peer, path: string, content: Uint8Array): Promise<void> {
  await (await new HalfUpload(peer, path, content).begin()).finish();
}

/** Downloads a file, and checks its digest. */
export async function fetchFile(peer: Peer, path: string): Promise<Buffer> {
  const request = peer.open('download', download(path));
  const { payload } = await peer.next('offer', request);
  const size = new Cursor(payload).fields().get(2)?.readBigUInt64LE() ?? 0n;
  const count = (Number(size) + chunkBytes - 1) / chunkBytes;
  const all = Math.floor(count);
  peer.say('want', request, want(1, all === 0 ? [] : [[0, all]]));
  const pieces: Buffer[] = [];
  for (let i = 0; i < all; i += 1) {
    const heard = await peer.next('chunk', request);
    pieces[Number(heard.index)] = heard.payload;
  }
  const content = Buffer.concat(pieces);
  const cursor = new Cursor((await peer.next('end', request)).payload);
  cursor.u32();
  const isRight = cursor.u64() === size && cursor.u8() === 1 && cursor.u64() === digest(content);
  if (!isRight) throw new Error('The digest of the download is wrong.');
  peer.say('complete', request, complete(outcomes.stored, digest(content)));
  return content;
}
