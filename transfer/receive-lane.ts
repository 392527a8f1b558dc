/** One connection's part in receiving a file: what it was asked for, and the run that comes in. */
import { type ChunkRun, endOf, oneByOne } from '../protocol/chunk-run.ts';
import { type FerryError, ProtocolError } from '../protocol/errors.ts';
import type { ControlFrame } from '../protocol/frames.ts';
import { limits } from '../protocol/limits.ts';
import { type Range, RangeSet } from '../protocol/ranges.ts';
import { atOnce } from './at-once.ts';
import type { Block } from './input-buffer.ts';
import { transferLimits } from './limits.ts';
import type { Receiving } from './receive.ts';
import type { Listener, Request } from './request.ts';
import { zeroChecksum, zeroChunk } from './zeros.ts';

/** Contiguous chunks in one block, on their way to the sink. */
interface Run {
  readonly first: number;
  readonly block: Block;
  /** Whether all of them are chunks of zeros, which lie in no block. */
  readonly zero: boolean;
  readonly slices: Uint8Array[];
  readonly sums: bigint[];
  /** Payload, as it travelled. */
  bytes: number;
}

export class ReceiveLane implements Listener {
  readonly request: Request;
  /** Chunks asked for on this connection that have not arrived intact. */
  readonly dealt: RangeSet = new RangeSet();
  readonly #receiving: Receiving;
  #round = 0;
  #endedRound = 0;
  #askedLast = false;
  #run: Run | undefined;
  #writes = 0;
  #soon: NodeJS.Timeout | undefined;

  constructor(request: Request, receiving: Receiving) {
    this.request = request;
    this.#receiving = receiving;
    request.carrier.takeLong(request.id, receiving.offer.chunkBytes);
  }

  get isPrimary(): boolean {
    return this.#receiving.primary === this;
  }

  /** Whether the latest `want` asks for the digest. */
  get askedLast(): boolean {
    return this.#askedLast;
  }

  get dealtChunks(): number {
    return this.dealt.size;
  }

  /** Asks for chunks; `last` asks for the digest with them. */
  want(ranges: readonly Range[], last: boolean): void {
    for (const { start, end } of ranges) this.dealt.add(start, end);
    const { transfer, epoch } = this.#receiving.options;
    const request = this.request.id;
    let from = 0;
    do {
      const page = ranges.slice(from, from + limits.ranges);
      from += limits.ranges;
      const isLast = last && from >= ranges.length;
      this.#round += 1;
      this.request.say({
        type: 'want',
        request,
        round: this.#round,
        transfer,
        epoch,
        last: isLast,
        ranges: page,
      });
    } while (from < ranges.length);
    this.#askedLast = last;
  }

  /** The sender ended this round; gives whether that answers everything that was asked for. */
  ended(round: number): boolean {
    this.#endedRound = round;
    return this.isEnded;
  }

  /** Whether nothing that was asked for is still to come. */
  get isEnded(): boolean {
    return this.#endedRound === this.#round;
  }

  onFrame(frame: ControlFrame, bulkBytes: number): void {
    this.request.carrier.consumed(bulkBytes);
    // What came before must be with the sink before its checksums or its end are looked at.
    this.#flush();
    this.#receiving.hear(this, frame);
  }

  onChunks(run: ChunkRun): void {
    const { first, payloads, payloadBytes } = run;
    const { index, zero } = first;
    const end = endOf(run);
    const isWanted = this.dealt.hasAll(index, end);
    if (!isWanted && payloads.length > 1) {
      for (const one of oneByOne(run)) this.onChunks(one);
      return;
    }
    const { knownSize, offer, options } = this.#receiving;
    const isIntact = zero ? first.checksum === zeroChecksum(offer.chunkBytes) : first.intact;
    // What nobody asked for is no progress: it could come for ever.
    if (isWanted) this.request.moved();
    options.onArrived?.(payloadBytes, isIntact ? 0 : payloads.length);
    // Who was told of it may have ended the transfer: then nothing is written any more.
    const isUsed = isWanted && isIntact && !this.request.over;
    const contents = zero ? payloads.map(() => zeroChunk(offer.chunkBytes)) : payloads;
    // What is dropped must not lie past the end either.
    if (isUsed || end > knownSize.chunks) knownSize.checkLengths(index, contents);
    if (isUsed) {
      this.dealt.remove(index, end);
      if (this.dealt.rangeCount > transferLimits.rangesHeld) {
        throw new ProtocolError('protocol', 'Too many holes are left in what is sent.');
      }
      this.#append(run, contents);
      return;
    }
    // Wanted of nobody here, or wanted and arrived already: verified, counted and dropped.
    this.request.carrier.consumed(payloadBytes);
    if (isWanted && !isIntact) {
      for (let i = index; i < end; i += 1) this.#receiving.repeat(this, i);
    }
  }

  /** Puts them behind the run that comes in, and begins another one where they don't fit. */
  #append(arrived: ChunkRun, contents: readonly Uint8Array[]): void {
    const { first, payloads, checksums } = arrived;
    const { runChunks } = this.#receiving.sink;
    let leftBytes = arrived.payloadBytes;
    for (let at = 0; at < contents.length; ) {
      const run = this.#runFor(first.index + at, first.zero, contents[at] as Uint8Array);
      if (run === undefined) {
        this.request.carrier.consumed(leftBytes);
        return;
      }
      const end = Math.min(contents.length, at + runChunks - run.slices.length);
      const bytes = end === contents.length ? leftBytes : bytesOf(payloads.slice(at, end));
      run.slices.push(...contents.slice(at, end));
      run.sums.push(...checksums.slice(at, end));
      run.bytes += bytes;
      leftBytes -= bytes;
      at = end;
    }
  }

  /** The run that such a chunk goes into; undefined when writing the one before it ended the transfer. */
  #runFor(index: number, zero: boolean, content: Uint8Array): Run | undefined {
    const run = this.#run;
    const fits =
      run !== undefined &&
      index === run.first + run.slices.length &&
      run.zero === zero &&
      (zero || run.block.holds(content)) &&
      run.slices.length < this.#receiving.sink.runChunks;
    if (fits) return run;
    this.#flush();
    if (this.request.over) return undefined;
    // Zeros lie in no block, but wait for their write like the others: reading does not run ahead.
    const block = this.request.carrier.pin();
    this.#run = { first: index, block, zero, slices: [], sums: [], bytes: 0 };
    return this.#run;
  }

  /** What comes soon, or while a write is under way, forms the next one: small ones cost as much. */
  onReadEnd(): void {
    if (this.#run === undefined || this.#writes > 0) return;
    // A small block has no room for more, and reading may have to wait for it.
    const roomBytes = this.#run.block.bytes.length;
    const { writeBytes } = transferLimits;
    const isEnough = this.#run.bytes >= (roomBytes < writeBytes ? roomBytes / 2 : writeBytes);
    // Where all that was asked for is here, nothing more comes.
    if (isEnough || this.dealt.empty) this.#flush();
    else this.#soon ??= setTimeout(() => this.#flush(), transferLimits.writeMs);
  }

  #flush(): void {
    clearTimeout(this.#soon);
    this.#soon = undefined;
    const run = this.#run;
    if (run === undefined) return;
    this.#run = undefined;
    const writing = this.#receiving.write(run.first, run.slices, run.sums);
    if (writing === atOnce) {
      this.#letGo(run);
      return;
    }
    this.#writes += 1;
    void writing.finally(() => {
      this.#writes -= 1;
      this.#letGo(run);
      this.onReadEnd();
    });
  }

  #letGo({ block, bytes }: Run): void {
    const { carrier } = this.request;
    carrier.unpin(block);
    carrier.consumed(bytes);
    this.request.progressed();
  }

  onFailed(error: FerryError): void {
    this.#flush();
    this.#receiving.detach(this, error);
  }
}

const bytesOf = (payloads: readonly Uint8Array[]): number =>
  payloads.reduce((sum, { length }) => sum + length, 0);
