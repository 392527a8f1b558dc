/**
 * What a token may do, decided in one place and before anything is touched: scopes for the kind of
 * request, reach for its paths. A path outside is refused in the same way whether it exists or not.
 */
import type { Entry } from '../protocol/entry.ts';
import { TransferError } from '../protocol/errors.ts';
import type { Policy } from '../protocol/frames/transfer.ts';
import type { ControlFrame } from '../protocol/frames.ts';
import { joinPath, shown } from '../protocol/paths.ts';
import type { ListOptions } from '../transfer/storage.ts';
import type { Grant, Scope } from './grant.ts';
import { Reach, waypoints } from './reach.ts';
import { passage, type Shares } from './shares.ts';

export class Access {
  readonly #shares: Shares;
  readonly #grant: Grant;
  readonly #reach: Reach;

  constructor(shares: Shares, grant: Grant) {
    this.#shares = shares;
    this.#grant = grant;
    this.#reach = new Reach(grant, shares.names.includes(''));
  }

  /** Throws TransferError (`permission`) unless the token allows the request that `frame` opens. */
  check(frame: ControlFrame): void {
    switch (frame.type) {
      case 'stat':
        this.#need('read', 'write');
        this.#refuseOutside(this.#reach.includes(frame.path) || this.#reach.leadsTo(frame.path));
        return;
      case 'list':
        this.#need('read');
        this.#refuseOutside(this.#reach.includes(frame.path) || this.#reach.leadsTo(frame.path));
        return;
      case 'checksums':
      case 'download':
        this.#need('read');
        this.#refuseOutside(this.#reach.includes(frame.path));
        return;
      case 'fetch':
      case 'verify':
        this.#need('read');
        if (this.#reach.isEverything) return; // Nothing is outside; each path is answered for itself.
        for (const path of frame.paths) {
          this.#refuseOutside(this.#reach.includes(joinPath(frame.base, path)));
        }
        return;
      case 'bench':
        this.#need('bench');
        // Memory has no path, and what is written to a disk gets none.
        if (frame.store === 'disk') this.#refuseOutside(this.#reach.includes(frame.path));
        return;
      case 'offer':
        this.#needToWrite(frame.policy);
        this.#refuseOutside(this.#reach.isInside(frame.path));
        return;
      case 'offers':
        this.#needToWrite(frame.policy);
        this.#refuseOutside(this.#reach.includes(frame.base));
        return;
      case 'join':
        // Whose transfer it is, and where, the registry knows.
        this.#need('write');
        return;
      case 'mkdir':
        // The root itself may have to be made before anything can be put in it.
        this.#need('write');
        this.#refuseOutside(this.#reach.includes(frame.path));
        return;
      case 'rename':
        this.#need('write');
        this.#refuseOutside(this.#reach.isInside(frame.from));
        this.#refuseOutside(this.#reach.isInside(frame.to));
        return;
      case 'remove':
        this.#need('delete');
        this.#refuseOutside(this.#reach.isInside(frame.path));
        return;
      default:
        return; // It opens no request, as whoever serves it will say.
    }
  }

  async stat(path: string): Promise<Entry> {
    return this.#reach.includes(path) ? await this.#shares.stat(path) : passage;
  }

  /** Of a folder above what the token reaches, only the way there, and what is there. */
  async *list(path: string, options: ListOptions): AsyncIterable<Entry[]> {
    if (this.#reach.includes(path)) {
      yield* this.#shares.list(path, options);
      return;
    }
    for (const { root, way } of this.#reach.rootsBelow(path)) {
      const top = await this.#existing(root);
      if (top === undefined) continue;
      const names = waypoints(way);
      const last = names.at(-1) as string;
      const entries = names.map((name) => ({ ...(name === last ? top : passage), path: name }));
      if (!options.recursive) {
        yield entries.slice(0, 1);
        continue;
      }
      yield entries;
      if (top.kind !== 'directory') continue;
      for await (const batch of this.#shares.list(root, options)) {
        yield batch.map((entry) => ({ ...entry, path: joinPath(last, entry.path) }));
      }
    }
  }

  /** A prefix may be given before its folder is there, a share before it is served. */
  async #existing(path: string): Promise<Entry | undefined> {
    try {
      return await this.#shares.stat(path);
    } catch (error) {
      if (error instanceof TransferError) return undefined;
      throw error;
    }
  }

  /** Comparing content tells it to who can guess, so it takes the right to read. */
  #needToWrite(policy: Pick<Policy, 'checksum' | 'delta'> | undefined): void {
    this.#need('write');
    if (policy?.checksum === true || policy?.delta === true) this.#need('read');
  }

  #need(...either: readonly Scope[]): void {
    if (either.some((scope) => this.#grant.scopes.has(scope))) return;
    throw new TransferError(
      'permission',
      `The token ${shown(this.#grant.name)} does not allow to ${either.join(' or ')}.`,
    );
  }

  #refuseOutside(isInside: boolean): void {
    if (isInside) return;
    throw new TransferError(
      'permission',
      `That is outside of what the token ${shown(this.#grant.name)} may reach.`,
    );
  }
}
