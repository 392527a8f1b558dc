/** What the daemon does with each request, and what it logs of it. */
import { type Entry, entryBytes } from '../protocol/entry.ts';
import { FerryError, ProtocolError, TransferError } from '../protocol/errors.ts';
import type { ControlFrame, FrameOf } from '../protocol/frames.ts';
import { limits as fixed } from '../protocol/limits.ts';
import type { Request } from '../transfer/request.ts';
import { whileWorking } from '../transfer/working.ts';
import { Access } from './access.ts';
import { type Allowance, Allowances } from './allowances.ts';
import { Benches } from './benches.ts';
import { Counts } from './counts.ts';
import { Downloads } from './downloads.ts';
import { FloodGate } from './flood-gate.ts';
import { type Grant, ownedBy, type Peer } from './grant.ts';
import { type DaemonLimits, defaultLimits } from './limits.ts';
import type { Logger } from './log.ts';
import type { TransferRegistry } from './registry.ts';
import { OperationResults } from './results.ts';
import type { Shares } from './shares.ts';
import { type Summary, Uploads } from './uploads.ts';

/** Room that a page of a listing keeps for its own fields. */
const pageOverheadBytes = 16;
/** Memory of a batch of entries: as many objects as it may be, and a frame of them. */
const batchBytes = 6 * fixed.controlBytes;

export interface ServiceOptions {
  /** What the tokens may still do. */
  readonly allowances?: Allowances;
  readonly benches?: Benches;
  readonly counts?: Counts;
  readonly limits?: DaemonLimits;
}

/** Requests that hold files open, or memory for their content, until they end. */
const transferring: ReadonlySet<string> = new Set([
  'offer',
  'offers',
  'download',
  'fetch',
  'verify',
  'checksums',
  'list',
  'bench',
]);

/** Requests that only ask, so that their outcome is of little interest. */
const questions: ReadonlySet<string> = new Set(['list', 'stat', 'checksums', 'verify']);

export class Service {
  /** Where what happens is counted. */
  readonly counts: Counts;
  readonly #shares: Shares;
  readonly #results = new OperationResults();
  readonly #log: Logger;
  readonly #flood: FloodGate;
  readonly #allowances: Allowances;
  readonly #limits: DaemonLimits;
  readonly #uploads: Uploads;
  readonly #downloads: Downloads;
  readonly #benches: Benches;
  readonly #serving = new Set<Promise<void>>();

  constructor(
    shares: Shares,
    registry: TransferRegistry,
    log: Logger,
    { allowances, benches, counts, limits }: ServiceOptions = {},
  ) {
    this.counts = counts ?? new Counts();
    this.#shares = shares;
    this.#log = log;
    this.#flood = new FloodGate(log);
    this.#limits = limits ?? defaultLimits;
    this.#allowances = allowances ?? new Allowances(this.#limits);
    this.#uploads = new Uploads(shares, registry, this.#results, this.#allowances, log);
    this.#downloads = new Downloads(shares);
    this.#benches = benches ?? new Benches(shares, this.#limits);
  }

  /** Ends uploads under way, keeping what they have. */
  stop(error: FerryError): void {
    this.#uploads.stop(error);
    this.#benches.stop(error);
  }

  /** Settles when every request that was begun has come to its end. */
  async settled(): Promise<void> {
    await Promise.all(this.#serving);
    this.#flood.close();
  }

  get openRequests(): number {
    return this.#serving.size;
  }

  /** Serves a request in the background; `settled` waits for it. */
  begin(request: Request, frame: ControlFrame, peer: Peer): void {
    const serving = this.serve(request, frame, peer).finally(() => this.#serving.delete(serving));
    this.#serving.add(serving);
  }

  /** Serves one request from the frame that opened it to its end. */
  async serve(request: Request, frame: ControlFrame, peer: Peer): Promise<void> {
    const startedAtMs = performance.now();
    const secondsSoFar = (): number => Math.round(performance.now() - startedAtMs) / 1000;
    const who = { peer: peer.address, token: peer.grant.name, request: frame.type };
    // Until a handler listens in its own way, all that may come is the end.
    request.listen({ onFrame: () => undefined, onFailed: () => undefined });
    let leave: (() => void) | undefined;
    try {
      if (transferring.has(frame.type)) leave = this.#allowances.of(peer.grant).begin();
      if (bringsLong(frame)) this.#makeRoom(request, frame.chunkBytes, peer.grant);
      const summary = await this.#answer(request, frame, peer.grant);
      this.counts.ended(frame.type, 'ok');
      if (summary === undefined) return;
      this.#log[isQuestion(frame) ? 'debug' : 'info'](
        { ...who, event: frame.type, ...summary, seconds: secondsSoFar() },
        frame.type,
      );
    } catch (error) {
      this.counts.ended(frame.type, error instanceof FerryError ? error.failure : 'internal');
      this.#refuse(request, frame, error, { ...who, seconds: secondsSoFar() });
    } finally {
      leave?.();
    }
  }

  /** Chunks longer than those of files come only where there is memory for them; who measures must not wait. */
  #makeRoom(request: Request, chunkBytes: number, grant: Grant): void {
    let isIn = false;
    const berth = this.#allowances.of(grant).askRoom(request.carrier, chunkBytes, () => {
      isIn = true;
    });
    if (!isIn) {
      berth.leave();
      throw new TransferError(
        'limit',
        `There is no room for one more chunk of ${chunkBytes} bytes now (pageBytes).`,
      );
    }
    request.carrier.takeLong(request.id, chunkBytes, () => berth.leave());
  }

  #refuse(
    request: Request,
    frame: ControlFrame,
    error: unknown,
    who: { readonly peer: string; readonly seconds: number },
  ): void {
    const path = pathOf(frame);
    const { receivedBytes, sentBytes } = request.traffic;
    const what = { ...who, event: 'failed', path, bytes: receivedBytes + sentBytes };
    if (!(error instanceof FerryError)) {
      request.fail(new TransferError('internal', 'Something unexpected went wrong in the daemon.'));
      this.#log.error({ ...what, err: error }, `${frame.type} failed unexpectedly`);
      return;
    }
    request.fail(error);
    const { failure, message: reason } = error;
    const line = { ...what, failure, reason };
    if (isQuestion(frame)) this.#log.debug(line, `${frame.type} failed`);
    else this.#flood.say('info', `failed: ${failure}`, line, `${frame.type} failed`);
  }

  async #answer(request: Request, frame: ControlFrame, grant: Grant): Promise<Summary | undefined> {
    const access = new Access(this.#shares, grant);
    access.check(frame);
    switch (frame.type) {
      case 'list':
        return await this.#list(request, frame, access, this.#allowances.of(grant));
      case 'stat':
        request.say({
          type: 'entry',
          request: request.id,
          entry: await access.stat(frame.path),
        });
        return { path: frame.path, result: 'ok', bytes: 0 };
      case 'mkdir':
        return await this.#change(request, frame, grant, frame.path, async () => {
          const { storage, path } = this.#shares.at(frame.path);
          await storage.mkdir(path, frame.parents);
        });
      case 'remove':
        return await this.#change(request, frame, grant, frame.path, async () => {
          const { storage, path } = this.#shares.at(frame.path);
          await storage.remove(path, frame.recursive);
        });
      case 'rename':
        return await this.#change(request, frame, grant, frame.from, () =>
          this.#shares.rename(frame.from, frame.to),
        );
      case 'checksums':
        return await this.#downloads.sendChecksums(request, frame, this.#allowances.of(grant));
      case 'download':
        return await this.#downloads.sendFile(request, frame, this.#allowances.of(grant));
      case 'fetch':
        return await this.#downloads.sendPage(request, frame, this.#allowances.of(grant));
      case 'verify':
        return await this.#downloads.sendDigests(request, frame, this.#allowances.of(grant));
      case 'offer':
        return await this.#uploads.receiveFile(request, frame, grant);
      case 'offers':
        return await this.#uploads.receivePage(request, frame, grant);
      case 'bench':
        return await this.#benches.serve(request, frame, this.#allowances.of(grant));
      case 'join':
        this.#uploads.joinFile(request, frame, grant);
        return undefined;
      default:
        throw new ProtocolError('protocol', `A ${frame.type} frame opens no request.`);
    }
  }

  async #change(
    request: Request,
    { operation }: { operation: Uint8Array },
    grant: Grant,
    path: string,
    work: () => Promise<void>,
  ): Promise<Summary> {
    await whileWorking(
      () => [request],
      'syncing',
      this.#results.once(ownedBy(grant, operation), work),
    );
    request.say({ type: 'done', request: request.id });
    return { path, result: 'done', bytes: 0 };
  }

  async #list(
    request: Request,
    { path, ...options }: FrameOf<'list'>,
    access: Access,
    allowance: Allowance,
  ): Promise<Summary> {
    const batches = access.list(path, options)[Symbol.asyncIterator]();
    try {
      // Nothing is read before there is room for it.
      for (let isRead = false; !isRead; ) {
        const berth = await allowance.room(request, batchBytes);
        try {
          const { done = false, value } = await batches.next();
          isRead = done;
          for (const entries of pagesOf(value ?? [], this.#limits.listingEntries)) {
            if (request.over) return { path, result: 'cancelled', bytes: 0 };
            await request.sayBulk({ type: 'entries', request: request.id, last: false, entries });
          }
        } finally {
          berth.leave();
        }
      }
    } finally {
      await batches.return?.();
    }
    await request.sayBulk({ type: 'entries', request: request.id, last: true, entries: [] });
    return { path, result: 'ok', bytes: 0 };
  }
}

/** Whether chunks longer than those of files come or go. */
function bringsLong(frame: ControlFrame): frame is FrameOf<'offer'> | FrameOf<'bench'> {
  const moves = frame.type === 'offer' || (frame.type === 'bench' && frame.part !== 'hash');
  return moves && frame.chunkBytes > fixed.fileChunkBytes;
}

/** What a request is about, for the log. */
function pathOf(frame: ControlFrame): string | undefined {
  if ('path' in frame) return frame.path;
  if ('base' in frame) return frame.base;
  return 'from' in frame ? frame.from : undefined;
}

/** Whether a request only asks, so that its outcome is of little interest. */
function isQuestion(frame: ControlFrame): boolean {
  const { type } = frame;
  // A single chunk only asks how long it takes.
  if (type === 'bench') return frame.size === frame.chunkBytes;
  return questions.has(type);
}

/** Splits a batch so that each part fits a frame. */
function* pagesOf(batch: readonly Entry[], most: number): Iterable<Entry[]> {
  let page: Entry[] = [];
  let bytes = pageOverheadBytes;
  for (const entry of batch) {
    const length = entryBytes(entry);
    const full = bytes + length > fixed.controlBytes || page.length === most;
    if (full && page.length > 0) {
      yield page;
      page = [];
      bytes = pageOverheadBytes;
    }
    page.push(entry);
    bytes += length;
  }
  if (page.length > 0) yield page;
}
