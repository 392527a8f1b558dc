/** Measured transfers, each as one end of it sees them: the daemon's and the client's are the same. */
import { checksum } from '../../protocol/checksum.ts';
import { FerryError } from '../../protocol/errors.ts';
import type { Complete, Offer } from '../../protocol/frames/transfer.ts';
import { transferLimits } from '../limits.ts';
import { Receiving } from '../receive.ts';
import type { Request } from '../request.ts';
import { Sending } from '../send.ts';
import type { ChunkSink, ChunkSource, Storage } from '../storage.ts';
import type { Throttle } from '../throttle.ts';
import { whileWorking } from '../working.ts';
import { DropSink, type Extent, MadeUpSource, madeUp, ScratchSource } from './made-up.ts';
import type { Meter } from './meter.ts';

/** How content is cut, and what is done to it. */
export interface Cut {
  readonly chunkBytes: number;
  /** Bytes handed to socket or disk at a time; undefined: as for files. */
  readonly writeBytes: number | undefined;
  readonly checksums: boolean;
  /** So much content is about to pass; may make it wait, or let it `atOnce`. Undefined: it always does. */
  readonly pass?: (bytes: number) => Promise<void>;
}

/** What an `offer` says of made-up content. */
export function madeUpOffer({ chunkBytes, size }: Extent): Offer {
  const { mtimeNs, mode, identity, rewindable } = new MadeUpSource({ chunkBytes, size: 0 });
  return { path: '', size, mtimeNs, mode, identity, chunkBytes, rewindable, sha256: false };
}

const workingMs = 500;

/**
 * Writes `scratchBytes` of made-up content to a disk, durably, to be read from there. `onWritten` hears
 * now and then how much is written.
 */
export async function openScratchSource(
  storage: Storage,
  extent: Extent,
  scratchBytes: number,
  onWritten: (bytes: number) => void,
): Promise<ScratchSource> {
  const { chunkBytes } = extent;
  const scratch = await storage.openScratch(chunkBytes);
  try {
    const content = new MadeUpSource({ chunkBytes });
    const runChunks = Math.max(1, Math.floor(transferLimits.sendBatchBytes / chunkBytes));
    const run = Buffer.allocUnsafeSlow(runChunks * chunkBytes);
    let toldAtMs = performance.now();
    for (let at = 0; at < scratchBytes; at += run.length) {
      const bytes = await content.read(run.subarray(0, scratchBytes - at), at);
      const slices: Uint8Array[] = [];
      for (let from = 0; from < bytes; from += chunkBytes) {
        slices.push(run.subarray(from, Math.min(from + chunkBytes, bytes)));
      }
      await scratch.write(at / chunkBytes, slices, slices.map(checksum));
      if (performance.now() - toldAtMs < workingMs) continue;
      toldAtMs = performance.now();
      onWritten(at + bytes);
    }
    await scratch.checkpoint();
    return new ScratchSource(extent, scratch, scratchBytes);
  } catch (error) {
    await scratch.close();
    throw error;
  }
}

export interface SendMeasured extends Cut {
  readonly meter: Meter;
  readonly onDisk: boolean;
  readonly throttle: Throttle | undefined;
  /** The first chunks are wanted. */
  readonly onBegin?: () => void;
  /** Everything that is wanted was sent, and `end` is about to say so. */
  readonly onEnd?: () => void;
}

/** Sends `source` on `request` until the receiver says `complete`. Throws FerryError. */
export async function sendMeasured(
  request: Request,
  source: ChunkSource,
  options: SendMeasured,
): Promise<Complete> {
  const { chunkBytes, writeBytes, checksums, meter, onDisk, throttle, onEnd, pass } = options;
  let begun = false;
  const measured = meter.source(source, onDisk, throttle);
  const sending = new Sending(
    {
      ...measured,
      // The last thing that is asked of a source before its `end`.
      unchanged: async () => {
        onEnd?.();
        return await measured.unchanged();
      },
    },
    {
      chunkBytes,
      sha256: false,
      checksums,
      batchBytes: writeBytes,
      ...(pass === undefined ? {} : { pass }),
      onSent: meter.passed,
      onWant: () => {
        if (!begun) options.onBegin?.();
        begun = true;
      },
    },
  );
  return await sending.serve(request);
}

export interface ReceiveMeasured extends Omit<Cut, 'chunkBytes'> {
  readonly meter: Meter;
  /** Undefined: what comes is dropped at once. */
  readonly storage: Storage | undefined;
  /** Content arrived; what it throws ends the transfer. */
  readonly onArrived?: () => void;
  /** All is verified, and synced where there is a disk; `complete` is about to say so. */
  readonly onComplete?: () => void;
}

const noTransfer = new Uint8Array(16);

/** Receives what `offer` describes, syncs it where there is a disk, and drops it. Throws FerryError. */
export async function receiveMeasured(
  request: Request,
  offer: Offer,
  options: ReceiveMeasured,
): Promise<void> {
  const { meter, storage, writeBytes, checksums, pass } = options;
  const sink = await openSink(storage, offer.chunkBytes, meter, writeBytes);
  if (!checksums) request.carrier.verify(request.id, false);
  const receiving = new Receiving(sink, offer, {
    transfer: noTransfer,
    epoch: 0,
    connections: 1,
    ...(pass === undefined ? {} : { pass }),
    onArrived: (bytes, repeated) => {
      meter.passed(bytes, repeated);
      try {
        options.onArrived?.();
      } catch (error) {
        receiving.fail(error as FerryError);
      }
    },
  });
  try {
    receiving.attach(request);
    const proof = await receiving.finish();
    await whileWorking(() => receiving.requests, 'syncing', sink.checkpoint());
    options.onComplete?.();
    receiving.complete(proof);
  } catch (error) {
    if (error instanceof FerryError) receiving.fail(error);
    throw error;
  } finally {
    request.carrier.verify(request.id, true);
    await sink.close();
  }
}

async function openSink(
  storage: Storage | undefined,
  chunkBytes: number,
  meter: Meter,
  writeBytes: number | undefined,
): Promise<ChunkSink> {
  if (storage === undefined) return new DropSink();
  const scratch = await storage.openScratch(chunkBytes);
  const runChunks =
    writeBytes === undefined ? scratch.runChunks : Math.max(1, Math.floor(writeBytes / chunkBytes));
  return meter.sink(scratch, runChunks);
}

/** What `hashFor` got done at a time before others get their turn. */
const hashTurnBytes = 4 * 1024 * 1024;

/** Hashes made-up content until `isOver` says so, leaving the thread to others in between. */
export async function hashMeasured(
  chunkBytes: number,
  meter: Meter,
  isOver: () => boolean,
): Promise<void> {
  const chunk = madeUp(chunkBytes);
  while (!isOver()) {
    for (let bytes = 0; bytes < hashTurnBytes; bytes += chunkBytes) {
      checksum(chunk);
      meter.passed(chunkBytes, 0);
    }
    await new Promise((resolve) => setImmediate(resolve));
  }
}
