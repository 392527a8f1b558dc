/** Events as lines for people: results on stdout, everything else on stderr. */
import { escaped } from '../protocol/paths.ts';
import type { ErrorEvent, FerryEvent, FileEvent, StartEvent, SummaryEvent } from './events.ts';
import type { Progress } from './progress.ts';
import { type Outputs, type Renderer, type View, write } from './render.ts';
import { escapeUnsafe, nameText } from './render-names.ts';
import { bytesText, countText, rateText } from './render-units.ts';

const reasons = {
  content: 'differs',
  size: 'has another size',
  kind: 'is of another kind',
  'missing-here': 'is missing here',
  'missing-there': 'is missing there',
} as const;

const outcomes = {
  stored: 'stored',
  unchanged: 'unchanged',
  skipped: 'skipped',
  failed: 'failed',
  planned: 'would be sent',
} as const;

export class TextRenderer implements Renderer {
  readonly #outputs: Outputs;
  readonly #view: View;
  readonly #progress: Progress;
  #differences = 0;

  constructor(outputs: Outputs, view: View, progress: Progress) {
    this.#outputs = outputs;
    this.#view = view;
    this.#progress = progress;
  }

  show(event: FerryEvent): Promise<void> | undefined {
    const { verbose, quiet } = this.#view;
    switch (event.type) {
      case 'start':
        return verbose ? this.#say(agreedText(event)) : undefined;
      case 'progress':
        this.#progress.update(event);
        return undefined;
      case 'file':
        return this.#showFile(event);
      case 'entry':
        return this.#result(this.#view.entryText(event));
      case 'difference':
        this.#differences += 1;
        return quiet
          ? undefined
          : this.#result(`${nameText(event.path)}: ${reasons[event.reason]}\n`);
      case 'interval':
        return undefined; // `ferry bench` has a renderer of its own.
      case 'retry': {
        const when = `again in ${event.delaySeconds.toFixed(0)} s (attempt ${event.attempt})`;
        return this.#say(`${sentence(event.reason)} Trying ${when}.`);
      }
      case 'warning':
        return this.#say(`warning: ${about(event)}`);
      case 'error':
        return this.#error(`ferry: ${about(event)}\n`);
      case 'summary':
        this.#progress.stop();
        this.#showSummary(event);
        return undefined;
    }
  }

  note(text: string): void {
    void this.#say(text);
  }

  close(): void {
    this.#progress.stop();
  }

  #showFile(event: FileEvent): Promise<void> | undefined {
    const { verbose, quiet } = this.#view;
    if (event.outcome === 'planned' && !quiet) return this.#result(`${nameText(event.path)}\n`);
    // Its error said so already.
    if (!verbose || event.outcome === 'failed') return undefined;
    const sums = [event.digest, event.sha256].filter((sum) => sum !== undefined);
    const details = [outcomes[event.outcome], bytesText(event.bytes), ...sums].join(', ');
    return this.#error(`${nameText(event.path)}: ${details}\n`);
  }

  #showSummary(event: SummaryEvent): void {
    const { summary } = this.#view;
    // Where nothing began there is nothing to sum up.
    if (event.exitCode !== 0 && event.files + event.directories + event.bytesSent === 0) return;
    if (summary === 'transfer') void this.#say(transferText(event));
    if (summary === 'verify') void this.#say(verifyText(event, this.#differences));
    if (event.failed > 0) void this.#say(failedText(event));
  }

  #result(text: string): Promise<void> | undefined {
    const { stdout, stderr } = this.#outputs;
    let full: Promise<void> | undefined;
    this.#progress.above(() => {
      full = write(this.#view.dataOnStdout ? stderr : stdout, text);
    });
    return full;
  }

  #say(text: string): Promise<void> | undefined {
    return this.#view.quiet ? undefined : this.#error(`ferry: ${escapeUnsafe(text)}\n`);
  }

  #error(line: string): Promise<void> | undefined {
    let full: Promise<void> | undefined;
    this.#progress.above(() => {
      full = write(this.#outputs.stderr, line);
    });
    return full;
  }
}

/** A message that names its path, once. */
function about({ message, path }: Pick<ErrorEvent, 'message' | 'path'>): string {
  const text = escapeUnsafe(message);
  if (path === undefined) return text;
  const name = nameText(path);
  // Wire and command line may begin the path differently; its end is the same.
  const known = text.includes(`${escaped(path.slice(path.lastIndexOf('/') + 1))}"`);
  return known ? text : `${name}: ${text}`;
}

function sentence(text: string): string {
  return /[.!?]$/.test(text) ? text : `${text}.`;
}

function agreedText({ settings }: StartEvent): string {
  const agreed = settings['agreed'] as
    | { version: number; features: readonly string[]; limits: object; software: string }
    | null
    | undefined;
  if (agreed === null || agreed === undefined) return 'not connected yet';
  const limits = Object.entries(agreed.limits).map(([name, value]) => `${name} ${value}`);
  const features = agreed.features.length === 0 ? 'none' : agreed.features.join(' ');
  return (
    `connected to ${agreed.software}, protocol ${agreed.version}; ` +
    `features: ${features}; limits: ${limits.join(', ')}`
  );
}

function transferText(event: SummaryEvent): string {
  const sent = bytesText(event.bytesSent);
  const parts = [
    `${countText(event.files, 'file')}, ${bytesText(event.bytes)}`,
    `${sent} sent in ${event.seconds.toFixed(1)} s (${rateText(event.bytesPerSecond)})`,
  ];
  if (event.bytesReused > 0) parts.push(`${bytesText(event.bytesReused)} reused`);
  if (event.chunksRepeated > 0) parts.push(`${countText(event.chunksRepeated, 'chunk')} repeated`);
  return parts.join('; ');
}

/** Differences have said so already, each of them and their number. */
function verifyText({ files, bytes, seconds }: SummaryEvent, differences: number): string {
  const result = `${countText(files, 'file')}, ${bytesText(bytes)} in ${seconds.toFixed(1)} s`;
  return differences === 0 ? `no difference; ${result}` : result;
}

/** Names that the line of failures shows. */
const namesShown = 5;

function failedText({ failed, failedNames }: SummaryEvent): string {
  const names = failedNames.slice(0, namesShown).map(escapeUnsafe);
  const more = failed > names.length ? `, and ${failed - names.length} more` : '';
  return `${countText(failed, 'file')} failed: ${names.join(', ')}${more}`;
}
