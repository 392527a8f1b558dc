/**
 * Log lines that peers can cause as often as they like. Of each kind the first of a while are logged
 * as they come, the others counted, and told in one line when it is over.
 */
import type { Logger } from './log.ts';

/** Lines of one kind in one window. */
const lines = 20;
const windowMs = 10_000;
/** Addresses of a window that are told apart. */
const addressesKept = 256;

interface Line {
  readonly event: string;
  readonly peer: string;
  readonly [field: string]: unknown;
}

type Level = 'info' | 'warn';

interface Window {
  logged: number;
  more: number;
  readonly byAddress: Map<string, number>;
  /** Ends it, and tells what was counted. */
  readonly close: () => void;
}

export class FloodGate {
  readonly #log: Logger;
  readonly #windowMs: number;
  readonly #windows = new Map<string, Window>();

  constructor(log: Logger, options: { readonly windowMs?: number } = {}) {
    this.#log = log;
    this.#windowMs = options.windowMs ?? windowMs;
  }

  /** Logs a line of this kind, or counts it. There must be few kinds, whatever peers say. */
  say(level: Level, kind: string, line: Line, message: string): void {
    const window = this.#windows.get(kind) ?? this.#open(level, kind, line.event);
    if (window.logged < lines) {
      window.logged += 1;
      this.#log[level](line, message);
      return;
    }
    window.more += 1;
    const known = window.byAddress.get(line.peer);
    if (known !== undefined || window.byAddress.size < addressesKept) {
      window.byAddress.set(line.peer, (known ?? 0) + 1);
    }
  }

  #open(level: Level, kind: string, event: string): Window {
    const close = (): void => {
      clearTimeout(timer);
      this.#windows.delete(kind);
      if (window.more > 0) this.#tell(level, { event, kind }, window);
    };
    const timer = setTimeout(close, this.#windowMs).unref();
    const window: Window = { logged: 0, more: 0, byAddress: new Map(), close };
    this.#windows.set(kind, window);
    return window;
  }

  #tell(level: Level, what: { event: string; kind: string }, { more, byAddress }: Window): void {
    const [[peer, count] = ['', 0], ...others] = [...byAddress].sort(([, a], [, b]) => b - a);
    const many = byAddress.size < addressesKept ? `${others.length}` : 'many';
    const from = others.length === 0 ? peer : `${peer} (${count}), ${many} other addresses`;
    this.#log[level]({ ...what, more, peer }, `and ${more} more from ${from}`);
  }

  /** Tells what was counted so far. */
  close(): void {
    for (const { close } of this.#windows.values()) close();
  }
}
