/**
 * Two ends of one request over a link that delays: each says what its own state allows, and hears
 * the other's frames whenever the link delivers them.
 */
import { Conversation, mayComeLate, type Speaker } from '../../../protocol/conversation.ts';
import type { Frame } from '../../../protocol/frames.ts';
import type { DocumentedRules } from './doc.ts';
import { frameFor } from './events.ts';

class End {
  readonly speaker: Speaker;
  readonly conversation = new Conversation();
  readonly inbox: Frame[] = [];
  /** Latest round of `want` that was said or heard. */
  #round = 0;
  /** Compares that were not answered yet. */
  #compares = 0;
  readonly #rules: DocumentedRules;

  constructor(speaker: Speaker, rules: DocumentedRules) {
    this.speaker = speaker;
    this.#rules = rules;
  }

  get state(): string {
    return this.conversation.state;
  }

  get peer(): Speaker {
    return this.speaker === 'sender' ? 'receiver' : 'sender';
  }

  /** What this end may say by the specification, its rules outside the table included. */
  sayable(): string[] {
    if (this.conversation.hasLeft(this.peer)) return ['cancelled'];
    const allowed = [...(this.#rules.get(this.state)?.[this.speaker].keys() ?? [])];
    const inTransfer = ['moving', 'ended', 'offered'].includes(this.state);
    return allowed.filter((event) => {
      if (event === 'end.early') return this.#round > 0;
      if (event === 'sums' && inTransfer) return this.#compares > 0;
      if (event === 'complete') return this.#compares === 0;
      return true;
    });
  }

  say(event: string): Frame {
    const frame = frameFor(event, event === 'want' ? this.#round + 1 : this.#round);
    this.#note(frame);
    this.conversation.advance(this.speaker, frame);
    return frame;
  }

  /** Takes the next frame off the link. */
  hear(): void {
    const frame = this.inbox.shift();
    if (frame === undefined) return;
    if (this.conversation.closed) {
      if (!mayComeLate.has(frame.type))
        throw new Error(`A ${frame.type} came for a closed request.`);
      return;
    }
    this.#note(frame);
    this.conversation.advance(this.peer, frame);
  }

  #note(frame: Frame): void {
    if (frame.type === 'want') this.#round = frame.round;
    if (frame.type === 'compare') this.#compares += 1;
    if (frame.type === 'sums') this.#compares -= 1;
  }
}

/** Opens a request by `opening`, lets `choices` decide what happens, then delivers the rest. */
export function runConversation(
  rules: DocumentedRules,
  opening: string,
  choices: readonly number[],
): { client: End; daemon: End } {
  const bySender = rules.get('idle')?.sender.has(opening) === true;
  const client = new End(bySender ? 'sender' : 'receiver', rules);
  const daemon = new End(client.peer, rules);
  const otherOf = (end: End): End => (end === client ? daemon : client);
  daemon.inbox.push(client.say(opening));
  for (const choice of choices) {
    const end = choice % 2 === 0 ? client : daemon;
    const events = end.state === 'idle' ? [] : end.sayable();
    const place = Math.floor(choice / 2) % (2 * events.length + 1);
    const event = events[place];
    if (event === undefined) end.hear();
    else otherOf(end).inbox.push(end.say(event));
  }
  finish([client, daemon], otherOf);
  return { client, daemon };
}

/** Delivers all that is on its way; an end whose peer left says its last word. */
function finish(ends: readonly End[], otherOf: (end: End) => End): void {
  for (let quiet = false; !quiet; ) {
    quiet = true;
    for (const end of ends) {
      if (end.inbox.length > 0) {
        end.hear();
        quiet = false;
      } else if (end.conversation.hasLeft(end.peer)) {
        otherOf(end).inbox.push(end.say('cancelled'));
        quiet = false;
      }
    }
  }
}
