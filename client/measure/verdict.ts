/**
 * What held a transfer back.
 *
 * Strategy: of each part it is known which share of the time it was at work. The part that was at work
 * nearly all of the time is the one that the others waited for; where no part was, the sender's own
 * waiting tells whether it was for the way or for the window.
 */
import { rateText } from '../render-units.ts';
import { busiest, type Sample, share } from './figures.ts';
import type { Direction } from './settings.ts';

export const bottlenecks = [
  'offered load',
  'sender disk',
  'sender CPU',
  'network',
  'window',
  'receiver CPU',
  'receiver disk',
  'client CPU',
  'daemon CPU',
  'unclear',
] as const;
/** `client CPU` and `daemon CPU` are those of `hash`, which has neither sender nor receiver. */
export type Bottleneck = (typeof bottlenecks)[number];

/** Shares of the time, from 0 to 1. */
export interface Shares {
  /** The sender held itself back to the rate that was asked for. */
  readonly paced: number;
  /** Reads or writes were under way. */
  readonly senderDisk: number;
  /** Its busiest network thread had something to do. */
  readonly senderThread: number;
  /** Chunks waited for the receiver's credit. */
  readonly window: number;
  /** Chunks waited for the socket. */
  readonly socket: number;
  readonly receiverThread: number;
  readonly receiverDisk: number;
}

/** At work for so much of the time, a part has nothing left to give. */
const saturated = 0.7;
/** Waiting for so much of the time, the sender could have sent more. */
const waiting = 0.5;

/** The part that was at work longest, if that was nearly always; otherwise what was waited for. */
export function bottleneckOf(shares: Shares): Bottleneck {
  const parts: readonly (readonly [Bottleneck, number])[] = [
    ['offered load', shares.paced],
    ['receiver disk', shares.receiverDisk],
    ['sender disk', shares.senderDisk],
    ['receiver CPU', shares.receiverThread],
    ['sender CPU', shares.senderThread],
  ];
  const [name, most] = parts.reduce((best, part) => (part[1] > best[1] ? part : best));
  if (most >= saturated) return name;
  if (shares.window >= waiting && shares.window >= shares.socket) return 'window';
  return shares.socket >= waiting ? 'network' : 'unclear';
}

/** What a sample says of one direction. */
export function sharesOf(sample: Sample, direction: Direction): Shares {
  const { near, far } = sample.directions[direction];
  const [sender, receiver] = direction === 'up' ? [near, far] : [far, near];
  const clientThread = busiest(sample.threads);
  const { daemon } = sample;
  const daemonThread = daemon === undefined ? 0 : share(daemon.busyMs, daemon.aliveMs);
  return {
    paced: share(sender.pacedMs, sender.elapsedMs),
    senderDisk: share(sender.diskMs, sender.elapsedMs),
    senderThread: direction === 'up' ? clientThread : daemonThread,
    window: share(sender.windowMs, sender.elapsedMs),
    socket: share(sender.socketMs, sender.elapsedMs),
    receiverThread: direction === 'up' ? daemonThread : clientThread,
    receiverDisk: share(receiver.diskMs, receiver.elapsedMs),
  };
}

/** `receiver disk, 393.2 MiB/s` */
export function verdictText(bottleneck: Bottleneck, bytesPerSecond: number): string {
  const what = bottleneck === 'unclear' ? 'no single part' : bottleneck;
  return `${what}, ${rateText(bytesPerSecond)}`;
}
