/** Uploads as the daemon sees them: one file at a time by `offer` and `join`, small ones in pages. */
import type { Entry } from '../protocol/entry.ts';
import { type FerryError, TransferError } from '../protocol/errors.ts';
import type { Answer, PageFailure } from '../protocol/frames/pages.ts';
import { type Complete, defaultPolicy } from '../protocol/frames/transfer.ts';
import type { FrameOf } from '../protocol/frames.ts';
import { limits } from '../protocol/limits.ts';
import { isSmall } from '../transfer/page.ts';
import type { Receiving } from '../transfer/receive.ts';
import { receiveFile } from '../transfer/receive-file.ts';
import { receivePage } from '../transfer/receive-page.ts';
import type { Request } from '../transfer/request.ts';
import { whilePassing, whileWorking } from '../transfer/working.ts';
import { type Allowances } from './allowances.ts';
import { accountedSinks, allowedPages } from './allowed-storage.ts';
import { type Grant, ownedBy } from './grant.ts';
import type { Logger } from './log.ts';
import type { Berth } from './page-room.ts';
import type { Claim, TransferRegistry } from './registry.ts';
import { type OperationResults, pageResultBytes } from './results.ts';
import type { Place, Shares } from './shares.ts';

/** What became of a request, for the log. */
export interface Summary {
  readonly path: string;
  readonly result: string;
  readonly bytes: number;
  readonly files?: number;
}

interface PageResult {
  readonly answers: readonly Answer[];
  readonly failures: readonly PageFailure[];
}

export class Uploads {
  readonly #shares: Shares;
  readonly #registry: TransferRegistry;
  readonly #results: OperationResults;
  readonly #allowances: Allowances;
  readonly #log: Logger;
  readonly #receivings = new Map<Claim, Receiving>();

  constructor(
    shares: Shares,
    registry: TransferRegistry,
    results: OperationResults,
    allowances: Allowances,
    log: Logger,
  ) {
    this.#shares = shares;
    this.#registry = registry;
    this.#results = results;
    this.#allowances = allowances;
    this.#log = log;
  }

  /** Ends all uploads under way; what they have is kept. */
  stop(error: FerryError): void {
    for (const receiving of this.#receivings.values()) receiving.fail(error);
  }

  #place(path: string): Place {
    const place = this.#shares.at(path);
    if (place.storage.readOnly) {
      throw new TransferError('permission', 'This share is read-only.');
    }
    return place;
  }

  // ---- one file --------------------------------------------------------------------------------

  async receiveFile(request: Request, offer: FrameOf<'offer'>, grant: Grant): Promise<Summary> {
    const operation = offer.operation && ownedBy(grant, offer.operation);
    const place = this.#place(offer.path);
    let claim: Claim;
    try {
      claim = await whileWorking(
        () => [request],
        'waiting',
        this.#registry.claim(offer.path, ownedBy(grant, request.carrier.peerSession)),
      );
    } catch (error) {
      // Someone else writes the name by now; this very operation may have come to its end before.
      const known = await this.#known(operation);
      if (known === undefined) throw error;
      return this.#answerAgain(request, offer, known);
    }
    try {
      // Asked only now: the operation may have come to its end while we waited for its claim.
      const known = await this.#known(operation);
      if (known !== undefined) return this.#answerAgain(request, offer, known);
      claim.heardAtMs = () => (request.over ? -Infinity : request.carrier.heardAtMs);
      claim.fence = (error) => request.fail(error);
      return await this.#receive(request, offer, place, claim, { grant, operation });
    } finally {
      this.#receivings.delete(claim);
      this.#registry.release(claim);
    }
  }

  async #known(operation: Uint8Array | undefined): Promise<Complete | undefined> {
    return operation && (await this.#results.get<Complete>(operation));
  }

  #answerAgain(request: Request, { path }: FrameOf<'offer'>, known: Complete): Summary {
    request.say({ type: 'complete', request: request.id, ...known });
    return { path, result: known.outcome, bytes: 0 };
  }

  async #receive(
    request: Request,
    offer: FrameOf<'offer'>,
    { storage, path }: Place,
    claim: Claim,
    { grant, operation }: { grant: Grant; operation: Uint8Array | undefined },
  ): Promise<Summary> {
    let bytes = 0;
    const allowance = this.#allowances.of(grant);
    const accounted = accountedSinks(storage, allowance, offer.path);
    const requests = (): Request[] => this.#receivings.get(claim)?.requests ?? [];
    const { outcome } = await receiveFile(request, offer, accounted, path, {
      policy: offer.policy ?? defaultPolicy,
      transfer: claim.transfer,
      epoch: claim.epoch,
      connections: Math.max(1, offer.connections ?? 1),
      pass: (count) => whilePassing(requests, allowance.pass(count)),
      onArrived: (count) => {
        bytes += count;
      },
      onWarning: (reason) => {
        this.#log.warn({ event: 'partial-damaged', path: offer.path, reason }, 'damaged partial');
      },
      onReceiving: (receiving) => {
        // What is clearly too much is refused before its content comes.
        allowance.check(Math.max(0, (offer.size ?? 0) - receiving.heldBytes));
        this.#receivings.set(claim, receiving);
        claim.heardAtMs = () => receiving.heardAtMs;
        claim.fence = (error) => receiving.fail(error);
      },
      onCommitting: () => {
        claim.committing = true;
      },
      onOutcome: (complete) => {
        if (operation) this.#results.keep(operation, Promise.resolve(complete));
      },
    });
    return { path: offer.path, result: outcome, bytes };
  }

  /** Another connection takes part in an upload under way. */
  joinFile(request: Request, { transfer, epoch }: FrameOf<'join'>, grant: Grant): void {
    const session = ownedBy(grant, request.carrier.peerSession);
    const claim = this.#registry.find(transfer, epoch, session);
    const receiving = this.#receivings.get(claim);
    if (receiving === undefined || claim.committing) {
      throw new TransferError('unknown-transfer', 'The transfer to join is over.');
    }
    if (receiving.offer.chunkBytes > limits.fileChunkBytes) {
      throw new TransferError(
        'limit',
        'A file in long chunks comes on one connection (pageBytes).',
      );
    }
    receiving.attach(request);
  }

  // ---- pages -----------------------------------------------------------------------------------

  /** Must be called in the moment the page was heard: its chunks may follow at once. */
  async receivePage(request: Request, offers: FrameOf<'offers'>, grant: Grant): Promise<Summary> {
    const { storage: whole, path } = this.#place(offers.base);
    const allowance = this.#allowances.of(grant);
    const storage = allowedPages(whole, allowance);
    const { entries, policy } = offers;
    const operation = ownedBy(grant, offers.operation);
    let known: PageResult | undefined;
    const decide = async (): Promise<Answer[]> => {
      known = await this.#results.get<PageResult>(operation);
      return replay(await storage.examine(path, entries, policy), entries, known);
    };
    const room = (bytes: number, onRoom: () => void): Berth =>
      allowance.askRoom(request.carrier, bytes, onRoom);
    const page = await receivePage(request, offers, storage, path, { decide, room });
    if (known === undefined) {
      const { answers, failures } = page;
      const result = { answers, failures };
      this.#results.keep(operation, Promise.resolve(result), pageResultBytes(result));
    }
    const files = page.answers.filter((answer) => answer === 'want').length;
    return { path: offers.base, result: 'stored', bytes: page.storedBytes, files };
  }
}

/** Entries of a page that an earlier, unanswered try stored are there now, whatever the policy. */
function replay(
  answers: readonly Answer[],
  entries: readonly Entry[],
  known: PageResult | undefined,
): Answer[] {
  const failed = new Set(known?.failures.map(({ index }) => index));
  return answers.map((answer, i) => {
    const entry = entries[i] as Entry;
    // A large file moves by an offer of its own: the page says nothing about it.
    const moved = isSmall(entry) || entry.kind === 'directory';
    return moved && known?.answers[i] === 'want' && !failed.has(i) ? 'unchanged' : answer;
  });
}
