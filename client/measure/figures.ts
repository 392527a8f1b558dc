/** What the ends of streams spent, added up and compared. */
import type { EndFigures } from '../../transfer/measure/meter.ts';
import type { Direction } from './settings.ts';

/** A thread's life so far: how much of it there was something to do. */
export interface ThreadFigures {
  readonly busyMs: number;
  readonly aliveMs: number;
}

/** What a daemon told of its whole process. */
export interface DaemonFigures extends ThreadFigures {
  readonly cpuMs: number;
  readonly memoryBytes: number;
}

/** All streams of one direction: our ends, and the daemon's. */
export interface DirectionFigures {
  /** Content that reached its receiver. */
  readonly bytes: number;
  readonly near: EndFigures;
  readonly far: EndFigures;
  /** Content on the disks of the two ends. */
  readonly nearDataBytes: number;
  readonly farDataBytes: number;
}

/** One client, or all of them, at one moment; everything counts from the beginning. */
export interface Sample {
  readonly directions: Readonly<Record<Direction, DirectionFigures>>;
  /** Of each client. */
  readonly threads: readonly ThreadFigures[];
  /** The latest word of the daemon; undefined before the first. */
  readonly daemon: DaemonFigures | undefined;
}

export const noFigures: EndFigures = {
  elapsedMs: 0,
  bytes: 0,
  chunksRepeated: 0,
  diskMs: 0,
  windowMs: 0,
  socketMs: 0,
  pacedMs: 0,
};

const noDirection: DirectionFigures = {
  bytes: 0,
  near: noFigures,
  far: noFigures,
  nearDataBytes: 0,
  farDataBytes: 0,
};

export const noSample: Sample = {
  directions: { up: noDirection, down: noDirection },
  threads: [],
  daemon: undefined,
};

function combine(a: EndFigures, b: EndFigures, sign: 1 | -1): EndFigures {
  return {
    elapsedMs: a.elapsedMs + sign * b.elapsedMs,
    bytes: a.bytes + sign * b.bytes,
    chunksRepeated: a.chunksRepeated + sign * b.chunksRepeated,
    diskMs: a.diskMs + sign * b.diskMs,
    windowMs: a.windowMs + sign * b.windowMs,
    socketMs: a.socketMs + sign * b.socketMs,
    pacedMs: a.pacedMs + sign * b.pacedMs,
  };
}

export const sum = (a: EndFigures, b: EndFigures): EndFigures => combine(a, b, 1);

export function sumDirections(a: DirectionFigures, b: DirectionFigures): DirectionFigures {
  return {
    bytes: a.bytes + b.bytes,
    near: sum(a.near, b.near),
    far: sum(a.far, b.far),
    nearDataBytes: a.nearDataBytes + b.nearDataBytes,
    farDataBytes: a.farDataBytes + b.farDataBytes,
  };
}

/** The word of the same daemon that was said later. */
export function later(
  a: DaemonFigures | undefined,
  b: DaemonFigures | undefined,
): DaemonFigures | undefined {
  if (a === undefined || b === undefined) return a ?? b;
  return a.aliveMs >= b.aliveMs ? a : b;
}

export function sumSamples(samples: readonly Sample[]): Sample {
  return samples.reduce(
    (all, one) => ({
      directions: {
        up: sumDirections(all.directions.up, one.directions.up),
        down: sumDirections(all.directions.down, one.directions.down),
      },
      threads: [...all.threads, ...one.threads],
      daemon: later(all.daemon, one.daemon),
    }),
    noSample,
  );
}

function sinceDirection(now: DirectionFigures, before: DirectionFigures): DirectionFigures {
  return {
    bytes: now.bytes - before.bytes,
    near: combine(now.near, before.near, -1),
    far: combine(now.far, before.far, -1),
    nearDataBytes: now.nearDataBytes,
    farDataBytes: now.farDataBytes,
  };
}

/** What happened between two samples of the same clients. */
export function since(now: Sample, before: Sample): Sample {
  const { up, down } = before.directions;
  return {
    directions: {
      up: sinceDirection(now.directions.up, up),
      down: sinceDirection(now.directions.down, down),
    },
    threads: now.threads.map(({ busyMs, aliveMs }, i) => ({
      busyMs: busyMs - (before.threads[i]?.busyMs ?? 0),
      aliveMs: aliveMs - (before.threads[i]?.aliveMs ?? 0),
    })),
    daemon: now.daemon && sinceDaemon(now.daemon, before.daemon),
  };
}

function sinceDaemon(now: DaemonFigures, before: DaemonFigures | undefined): DaemonFigures {
  return {
    cpuMs: now.cpuMs - (before?.cpuMs ?? 0),
    busyMs: now.busyMs - (before?.busyMs ?? 0),
    aliveMs: now.aliveMs - (before?.aliveMs ?? 0),
    memoryBytes: now.memoryBytes,
  };
}

/** A part of a whole, from 0 to 1; 0 of nothing. */
export function share(part: number, whole: number): number {
  return whole > 0 ? Math.min(1, Math.max(0, part / whole)) : 0;
}

/** How busy the busiest thread was. */
export function busiest(threads: readonly ThreadFigures[]): number {
  return Math.max(0, ...threads.map(({ busyMs, aliveMs }) => share(busyMs, aliveMs)));
}
