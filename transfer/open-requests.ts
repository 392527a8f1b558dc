/** The requests on a connection that go on, and which may be opened. */
import { mayComeLate, openerOf } from '../protocol/conversation.ts';
import { ProtocolError } from '../protocol/errors.ts';
import type { ToldLimits } from '../protocol/frames/connection.ts';
import type { ControlFrame, Frame } from '../protocol/frames.ts';
import { type Carrier, Request } from './request.ts';

const pageOpeners: ReadonlySet<string> = new Set(['offers', 'fetch', 'verify']);

export class OpenRequests {
  readonly #carrier: Carrier;
  /** What our `hello` tells the peer. */
  readonly #limits: Pick<ToldLimits, 'requests' | 'pages'>;
  /** Only a client opens requests. */
  readonly #side: 'client' | 'daemon';
  readonly #byId = new Map<number, Request>();
  #lastId = 0;

  constructor(
    carrier: Carrier,
    side: 'client' | 'daemon',
    limits: Pick<ToldLimits, 'requests' | 'pages'>,
  ) {
    this.#carrier = carrier;
    this.#side = side;
    this.#limits = limits;
  }

  get count(): number {
    return this.#byId.size;
  }

  get #pages(): number {
    return [...this.#byId.values()].filter(({ isPage }) => isPage).length;
  }

  [Symbol.iterator](): IterableIterator<Request> {
    return this.#byId.values();
  }

  get(id: number): Request | undefined {
    return this.#byId.get(id);
  }

  /** Opens one of ours with its first frame (whose request id is filled in). */
  open(frame: ControlFrame): Request {
    this.#lastId += 1;
    const request = new Request(this.#lastId, openerOf(frame), this.#carrier);
    this.#byId.set(request.id, request);
    try {
      request.say({ ...frame, request: request.id });
    } catch (error) {
      this.#byId.delete(request.id);
      throw error;
    }
    return request;
  }

  /**
   * The request of the peer that a frame is for, or opens; undefined for a frame that came after its
   * request's end. Throws ProtocolError when there may be no such request.
   */
  hear(frame: Frame): Request | undefined {
    const known = this.#byId.get(frame.request);
    // A request whose last word still waits to be written is closed and known.
    return known?.closed === false ? known : this.#accept(frame);
  }

  #accept(frame: Frame): Request | undefined {
    if (frame.request <= this.#lastId || this.#side === 'client') {
      if (mayComeLate.has(frame.type) && frame.request <= this.#lastId) return undefined;
      throw new ProtocolError('protocol', `A ${frame.type} frame is for no open request.`);
    }
    if (this.#byId.size >= this.#limits.requests) {
      throw new ProtocolError('protocol', 'Too many requests are open at once.');
    }
    if (pageOpeners.has(frame.type) && this.#pages >= this.#limits.pages) {
      throw new ProtocolError('protocol', 'Too many pages are open at once.');
    }
    this.#lastId = frame.request;
    const role = openerOf(frame) === 'sender' ? 'receiver' : 'sender';
    const request = new Request(frame.request, role, this.#carrier);
    this.#byId.set(request.id, request);
    return request;
  }

  /** Forgets a request if all is said about it. */
  tidy(id: number): void {
    if (this.#byId.get(id)?.closed === true) this.#byId.delete(id);
  }

  clear(): void {
    this.#byId.clear();
  }
}
