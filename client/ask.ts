/** Questions and changes: requests with one answer, or a listing. */
import { randomBytes } from 'node:crypto';
import { utf8 } from '../protocol/bytes.ts';
import { checksum } from '../protocol/checksum.ts';
import type { Entry } from '../protocol/entry.ts';
import { FerryError, TransferError } from '../protocol/errors.ts';
import type { Level } from '../protocol/frames/requests.ts';
import type { ControlFrame, ControlType, FrameOf } from '../protocol/frames.ts';
import { componentFault, shown } from '../protocol/paths.ts';
import type { Connection } from '../transfer/connection.ts';
import type { Request } from '../transfer/request.ts';
import { Signal } from '../transfer/signal.ts';
import { PageQueue } from './page-queue.ts';
import type { Session } from './session.ts';

export const newOperation = (): Uint8Array => randomBytes(16);

/** The next frame of a request, which must be of this type. */
export async function answerOf<T extends ControlType>(
  request: Request,
  type: T,
): Promise<FrameOf<T>> {
  return await new Promise((resolve, reject) => {
    request.listen({
      onFrame(frame, bulkBytes) {
        request.carrier.consumed(bulkBytes);
        if (frame.type === type) resolve(frame as FrameOf<T>);
      },
      onFailed: reject,
    });
  });
}

/** Asks and waits for the one answer, again after a lost connection. */
export async function ask<T extends ControlType>(
  session: Session,
  question: ControlFrame,
  type: T,
): Promise<FrameOf<T>> {
  return await session.run(async (connection) => await answerOf(connection.open(question), type));
}

/**
 * A change whose answer was lost: it may have happened. A daemon that was started anew doesn't know
 * what it did before: a refusal of its own may come from the change having been done.
 */
export async function change(session: Session, question: ControlFrame): Promise<void> {
  let first: Connection | undefined;
  let last: Connection | undefined;
  try {
    await session.run(async (connection) => {
      const request = connection.open(question);
      first ??= connection;
      last = connection;
      return await answerOf(request, 'done');
    });
  } catch (error) {
    if (first === undefined || last === undefined) throw error;
    const lost = error instanceof FerryError && error.failure === 'connection-lost';
    const isAnew = Buffer.compare(first.peerSession, last.peerSession) !== 0;
    const refused = error instanceof TransferError && isAnew;
    if (!lost && !refused) throw error;
    throw new FerryError(
      'outcome-unknown',
      'The connection was lost before the answer came: it may or may not have been done; look, then run it again.',
      { cause: error },
    );
  }
}

/** Pages of bulk frames as they arrive: each is confirmed only when it was taken. */
class Pages<F extends FrameOf<'entries' | 'sums'>> {
  readonly #request: Request;
  readonly #pages = new PageQueue<F>();
  /** Bulk bytes of the pages that wait, which are owed to the connection. */
  #owedBytes = 0;
  readonly #wake = new Signal();
  #failure: FerryError | undefined;

  constructor(request: Request, type: F['type']) {
    this.#request = request;
    request.listen({
      onFrame: (frame, bytes) => {
        if (frame.type !== type) return;
        const page = frame as F;
        // An empty page is nothing to wait with: millions of them would fit the window.
        if (!page.last && itemsOf(page).length === 0) {
          request.carrier.consumed(bytes);
          return;
        }
        this.#owedBytes += bytes;
        this.#pages.push(page, bytes);
        this.#wake.notify();
      },
      onFailed: (error) => {
        this.#failure = error;
        this.#wake.notify();
      },
    });
  }

  async *read(): AsyncGenerator<F> {
    try {
      for (;;) {
        const next = this.#pages.shift();
        if (next === undefined) {
          if (this.#failure !== undefined) throw this.#failure;
          await this.#wake.wait();
          continue;
        }
        const { page, bytes } = next;
        this.#consumed(bytes);
        // Empty pages could come for ever.
        if (itemsOf(page).length > 0) this.#request.progressed();
        yield page;
        if (page.last) return;
      }
    } finally {
      this.#request.cancel();
      this.#consumed(this.#owedBytes);
    }
  }

  #consumed(bytes: number): void {
    this.#owedBytes -= bytes;
    this.#request.carrier.consumed(bytes);
  }
}

function itemsOf(page: FrameOf<'entries' | 'sums'>): ArrayLike<unknown> {
  return page.type === 'entries' ? page.entries : page.checksums;
}

/**
 * Entries below a folder. A listing that breaks off starts again from the beginning and passes over
 * what was given out already, which must be the same as before.
 */
export async function* list(
  session: Session,
  path: string,
  options: { recursive: boolean; contentTypes: boolean },
): AsyncGenerator<Entry[]> {
  const given = new Sequence();
  for (;;) {
    const connection = await session.connection();
    const seen = new Sequence();
    const { length: givenLength, hash: givenHash } = given;
    try {
      const request = connection.open({ type: 'list', request: 0, path, ...options });
      for await (const { entries } of new Pages<FrameOf<'entries'>>(request, 'entries').read()) {
        const fresh: Entry[] = [];
        for (const entry of entries) {
          checkName(entry);
          const isOld = seen.length < givenLength;
          seen.add(entry.path);
          if (!isOld) fresh.push(entry);
          if (seen.length === givenLength && seen.hash !== givenHash) throw changedFolder(path);
        }
        for (const entry of fresh) given.add(entry.path);
        session.progressed();
        if (fresh.length > 0) yield fresh;
      }
      if (seen.length < givenLength) throw changedFolder(path);
      return;
    } catch (error) {
      session.lost(error, connection);
    }
  }
}

/** How many names came, and a checksum over them in their order. */
class Sequence {
  length = 0;
  hash = 0n;

  add(name: string): void {
    this.length += 1;
    this.hash = checksum(utf8(`${this.hash} ${name}`));
  }
}

function changedFolder(path: string): TransferError {
  return new TransferError(
    'io',
    `The folder ${shown(path)} changed while it was listed over a broken connection: run it again.`,
  );
}

/** A daemon's names are as good as a stranger's: none may lead out of the folder asked for. */
function checkName({ path, kind }: Entry): void {
  if (kind === 'unreadable') return;
  const fault = path
    .split('/')
    .map(componentFault)
    .find((reason) => reason !== undefined);
  if (fault !== undefined) {
    throw new TransferError('protocol', `The daemon lists ${shown(path)}, which ${fault}.`);
  }
}

/** Checksums of a stored file, page by page. */
export async function* checksums(
  connection: Connection,
  path: string,
  level: Level,
): AsyncGenerator<BigUint64Array> {
  const count = Number.MAX_SAFE_INTEGER;
  const question = { type: 'checksums', request: 0, path, level, first: 0, count } as const;
  let next = 0;
  for await (const page of new Pages<FrameOf<'sums'>>(connection.open(question), 'sums').read()) {
    if (page.level !== level || page.first !== next) {
      throw new TransferError('protocol', 'The daemon gives checksums that nobody asked for.');
    }
    next += page.checksums.length;
    yield page.checksums;
  }
}

/**
 * Digests of small files below `base`, asked for in one page; undefined for those that are to be asked
 * about one by one: then it is heard why a page was refused as a whole, too.
 */
export async function digestsOf(
  session: Session,
  base: string,
  paths: readonly string[],
): Promise<readonly (bigint | undefined)[]> {
  const question = { type: 'verify', request: 0, base, paths } as const;
  const none = (error: unknown): { readonly digests: readonly undefined[] } => {
    if (error instanceof TransferError) return { digests: paths.map(() => undefined) };
    throw error;
  };
  const { digests } = await ask(session, question, 'digests').catch(none);
  if (digests.length !== paths.length) {
    throw new TransferError('protocol', 'The daemon gives digests that nobody asked for.');
  }
  return digests;
}
