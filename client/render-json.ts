/** Events as they are, one JSON object a line. docs/json.md describes them. */
import { jsonLine } from '../protocol/paths.ts';
import type { FerryEvent } from './events.ts';
import type { Progress } from './progress.ts';
import { type Output, type Outputs, type Renderer, type View, write } from './render.ts';
import { escapeUnsafe } from './render-names.ts';

/** At most ten progress events a second. */
const progressGapMs = 100;

export class JsonRenderer implements Renderer {
  readonly #output: Output;
  /** Where sentences for people go; undefined where the events are. */
  readonly #people: Output | undefined;
  readonly #progress: Progress;
  readonly #now: () => number;
  #lastProgressMs = -Infinity;

  constructor(outputs: Outputs, view: View, progress: Progress, now = () => performance.now()) {
    this.#output = view.dataOnStdout ? outputs.stderr : outputs.stdout;
    this.#people = view.dataOnStdout ? undefined : outputs.stderr;
    this.#progress = progress;
    this.#now = now;
  }

  show(event: FerryEvent): Promise<void> | undefined {
    if (event.type === 'progress') {
      this.#progress.update(event);
      const now = this.#now();
      if (now - this.#lastProgressMs < progressGapMs) return undefined;
      this.#lastProgressMs = now;
    }
    // What ends the whole command is also said to whoever reads the mail that cron sends.
    if (event.type === 'error' && event.path === undefined) this.note(event.message);
    if (event.type === 'summary') this.#progress.stop();
    return write(this.#output, `${jsonLine(event)}\n`);
  }

  note(text: string): void {
    const people = this.#people;
    if (people === undefined) return;
    this.#progress.above(() => void people.write(`ferry: ${escapeUnsafe(text)}\n`));
  }

  close(): void {
    this.#progress.stop();
  }
}
