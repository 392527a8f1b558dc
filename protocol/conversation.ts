/**
 * Who may say what, when: everything that affects the state of a request is in this file, and the
 * file does not know which program it runs in. Each end keeps one `Conversation` a request and tells
 * it every frame it says and hears, in its own order; the rules are such that the two ends may
 * differ for a moment without either taking a legal frame for an illegal one.
 *
 * The two speakers of a request are the `sender`, who has the data, and the `receiver`, who asks for
 * it: in an upload the client is the sender, in a download, a listing or any other question the
 * daemon is. Only clients open requests.
 *
 * `error` and `cancel` are a speaker's last word. The other side may have frames on their way: they
 * are heard and dropped (the request drains) until its own last word, usually `cancelled`.
 */
import { ProtocolError } from './errors.ts';
import type { Frame, FrameType } from './frames.ts';

export type Speaker = 'sender' | 'receiver';

/** A frame type, refined where the same type may or may not end something. */
export type Event =
  | FrameType
  | 'entries.last'
  | 'sums.last'
  /** An `end` that answers an older `want` than the latest. */
  | 'end.early'
  | 'offers.eager'
  | 'bench.receive'
  | 'bench.send'
  | 'bench.hash';

export const states = [
  'idle',
  'listing',
  'stating',
  'changing',
  'checking',
  'measuring',
  'fetching',
  'fetchingPage',
  'verifyingPage',
  'offered',
  'moving',
  'ended',
  'pageOffered',
  'pageEager',
  'pageMoving',
  'pageEnded',
  'senderLeft',
  'receiverLeft',
  'closed',
] as const;
export type State = (typeof states)[number];

type Rules = Readonly<Record<Speaker, Readonly<Partial<Record<Event, State>>>>>;

const asking = { receiver: { cancel: 'receiverLeft' } } as const;

/** state → speaker → event → next state. What is not in the table is not allowed. */
export const rules: Readonly<Record<State, Rules>> = {
  idle: {
    sender: {
      offer: 'offered',
      join: 'offered',
      offers: 'pageOffered',
      'offers.eager': 'pageEager',
      'bench.receive': 'offered',
    },
    receiver: {
      list: 'listing',
      stat: 'stating',
      mkdir: 'changing',
      remove: 'changing',
      rename: 'changing',
      checksums: 'checking',
      download: 'fetching',
      fetch: 'fetchingPage',
      verify: 'verifyingPage',
      'bench.send': 'fetching',
      'bench.hash': 'measuring',
    },
  },
  listing: {
    ...asking,
    sender: { entries: 'listing', 'entries.last': 'closed', working: 'listing', error: 'closed' },
  },
  stating: { ...asking, sender: { entry: 'closed', error: 'closed' } },
  changing: { ...asking, sender: { done: 'closed', working: 'changing', error: 'closed' } },
  checking: {
    ...asking,
    sender: { sums: 'checking', 'sums.last': 'closed', working: 'checking', error: 'closed' },
  },
  measuring: {
    ...asking,
    sender: { benchReport: 'measuring', working: 'measuring', done: 'closed', error: 'closed' },
  },
  fetching: { ...asking, sender: { offer: 'offered', working: 'fetching', error: 'closed' } },
  fetchingPage: {
    ...asking,
    sender: {
      'offers.eager': 'pageEager',
      offers: 'pageOffered',
      working: 'fetchingPage',
      error: 'closed',
    },
  },
  verifyingPage: {
    ...asking,
    sender: { digests: 'closed', working: 'verifyingPage', error: 'closed' },
  },
  offered: {
    sender: {
      working: 'offered',
      benchReport: 'offered',
      error: 'senderLeft',
      cancel: 'senderLeft',
    },
    receiver: {
      want: 'moving',
      compare: 'ended',
      have: 'offered',
      working: 'offered',
      benchReport: 'offered',
      complete: 'closed',
      error: 'receiverLeft',
      cancel: 'receiverLeft',
    },
  },
  moving: {
    sender: {
      chunk: 'moving',
      sums: 'moving',
      end: 'ended',
      'end.early': 'moving',
      working: 'moving',
      benchReport: 'moving',
      error: 'senderLeft',
      cancel: 'senderLeft',
    },
    receiver: {
      want: 'moving',
      compare: 'moving',
      have: 'moving',
      working: 'moving',
      benchReport: 'moving',
      error: 'receiverLeft',
      cancel: 'receiverLeft',
    },
  },
  ended: {
    sender: {
      sums: 'ended',
      working: 'ended',
      benchReport: 'ended',
      error: 'senderLeft',
      cancel: 'senderLeft',
    },
    receiver: {
      want: 'moving',
      compare: 'ended',
      have: 'ended',
      working: 'ended',
      benchReport: 'ended',
      complete: 'closed',
      error: 'receiverLeft',
      cancel: 'receiverLeft',
    },
  },
  pageOffered: {
    sender: { working: 'pageOffered', error: 'senderLeft', cancel: 'senderLeft' },
    receiver: {
      answers: 'pageMoving',
      working: 'pageOffered',
      error: 'receiverLeft',
      cancel: 'receiverLeft',
    },
  },
  pageEager: {
    sender: {
      chunk: 'pageEager',
      working: 'pageEager',
      error: 'senderLeft',
      cancel: 'senderLeft',
    },
    receiver: {
      answers: 'pageMoving',
      working: 'pageEager',
      error: 'receiverLeft',
      cancel: 'receiverLeft',
    },
  },
  pageMoving: {
    sender: {
      chunk: 'pageMoving',
      end: 'pageEnded',
      'end.early': 'pageMoving',
      working: 'pageMoving',
      error: 'senderLeft',
      cancel: 'senderLeft',
    },
    receiver: {
      want: 'pageMoving',
      working: 'pageMoving',
      error: 'receiverLeft',
      cancel: 'receiverLeft',
    },
  },
  pageEnded: {
    sender: { working: 'pageEnded', error: 'senderLeft', cancel: 'senderLeft' },
    receiver: {
      want: 'pageMoving',
      working: 'pageEnded',
      results: 'closed',
      error: 'receiverLeft',
      cancel: 'receiverLeft',
    },
  },
  senderLeft: {
    sender: {},
    receiver: {
      want: 'senderLeft',
      compare: 'senderLeft',
      have: 'senderLeft',
      working: 'senderLeft',
      benchReport: 'senderLeft',
      answers: 'senderLeft',
      complete: 'closed',
      results: 'closed',
      error: 'closed',
      cancel: 'closed',
      cancelled: 'closed',
    },
  },
  receiverLeft: {
    sender: {
      entries: 'receiverLeft',
      'entries.last': 'closed',
      entry: 'closed',
      done: 'closed',
      digests: 'closed',
      offer: 'receiverLeft',
      offers: 'receiverLeft',
      'offers.eager': 'receiverLeft',
      chunk: 'receiverLeft',
      sums: 'receiverLeft',
      'sums.last': 'closed',
      end: 'receiverLeft',
      'end.early': 'receiverLeft',
      working: 'receiverLeft',
      benchReport: 'receiverLeft',
      error: 'closed',
      cancel: 'closed',
      cancelled: 'closed',
    },
    receiver: {},
  },
  closed: { sender: {}, receiver: {} },
};

/**
 * Frames that may cross the end of a request on the wire, so that hearing them for a closed one is
 * no fault: they are ignored.
 */
export const mayComeLate: ReadonlySet<FrameType> = new Set<FrameType>([
  'cancel',
  'cancelled',
  'error',
  'have',
  'working',
  'benchReport',
]);

/** Which speaker of a request its opener is, by the frame that opens it. */
export function openerOf(frame: Frame): Speaker {
  const { type } = frame;
  const offers = type === 'offer' || type === 'offers' || type === 'join';
  return offers || (type === 'bench' && frame.part === 'receive') ? 'sender' : 'receiver';
}

/** One request as one end sees it. */
export class Conversation {
  #state: State = 'idle';
  /** Latest round of `want` that was said or heard. */
  #round = 0;

  get state(): State {
    return this.#state;
  }

  get closed(): boolean {
    return this.#state === 'closed';
  }

  /** Whether `speaker` has said its last word while the other has not. */
  hasLeft(speaker: Speaker): boolean {
    return this.#state === (speaker === 'sender' ? 'senderLeft' : 'receiverLeft');
  }

  /** Whether `speaker` may say a frame that counts as `event` now. */
  may(speaker: Speaker, event: Event): boolean {
    return rules[this.#state][speaker][event] !== undefined;
  }

  #event(frame: Frame): Event {
    switch (frame.type) {
      case 'entries':
        return frame.last ? 'entries.last' : 'entries';
      case 'sums':
        return frame.last ? 'sums.last' : 'sums';
      case 'offers':
        return frame.eager ? 'offers.eager' : 'offers';
      case 'bench':
        return `bench.${frame.part}`;
      case 'end':
        return frame.round === this.#round ? 'end' : 'end.early';
      default:
        return frame.type;
    }
  }

  /** Moves on by one frame. Throws ProtocolError when `speaker` may not say it now. */
  advance(speaker: Speaker, frame: Frame): void {
    const next = rules[this.#state][speaker][this.#event(frame)];
    if (next === undefined) {
      throw new ProtocolError(
        'protocol',
        `A ${frame.type} frame is not allowed from the ${speaker} of a request that is ${this.#state}.`,
      );
    }
    if (frame.type === 'end' && frame.round > this.#round) {
      throw new ProtocolError('protocol', 'An end answers a round that was not asked for.');
    }
    if (frame.type === 'want') {
      if (frame.round !== this.#round + 1) {
        throw new ProtocolError('protocol', 'The rounds of a request do not count up by one.');
      }
      this.#round = frame.round;
    }
    this.#state = next;
  }
}
