/** A frame for each event of the conversation's table. */
import type { Frame } from '../../../protocol/frames.ts';
import { goldens } from './goldens.ts';

export type ConversationFrame = Frame;

/** The frame that counts as `event`; `round` is the latest `want`'s, or for `want` its own. */
export function frameFor(event: string, round: number): ConversationFrame {
  const [type, suffix] = event.split('.');
  const frame = goldens.find((golden) => golden.frame.type === type)?.frame;
  if (frame === undefined) throw new Error(`No golden frame is a ${type}.`);
  switch (frame.type) {
    case 'entries':
    case 'sums':
      return { ...frame, last: suffix === 'last' };
    case 'offers':
      return { ...frame, eager: suffix === 'eager' };
    case 'bench':
      return { ...frame, part: (suffix ?? frame.part) as typeof frame.part };
    case 'want':
      return { ...frame, round };
    case 'end':
      return { ...frame, round: suffix === 'early' ? Math.max(0, round - 1) : round };
    default:
      return frame;
  }
}
