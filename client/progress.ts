/**
 * Progress for people, on stderr: one bar for the whole on a terminal, a plain line now and then
 * elsewhere. Only this file knows cli-progress, and loads it only for a bar.
 */
import type { ProgressEvent } from './events.ts';
import type { Output, ProgressMode } from './render.ts';
import { bytesText, countText, rateText, timeText } from './render-units.ts';

export interface Progress {
  update(event: ProgressEvent): void;
  /** Lets `writeLines` write whole lines without the bar in their way. */
  above(writeLines: () => void): void;
  /** Takes the bar away. */
  stop(): void;
}

/** Between two plain lines, in milliseconds. */
const lineGapMs = { 'few-lines': 30_000, 'many-lines': 1_000 } as const;

export async function createProgress(
  output: Output,
  mode: ProgressMode,
  now: () => number = () => performance.now(),
): Promise<Progress> {
  switch (mode) {
    case 'none':
      return {
        update: () => undefined,
        above: (writeLines) => writeLines(),
        stop: () => undefined,
      };
    case 'bar':
      return createBar(output);
    case 'few-lines':
    case 'many-lines':
      return createLines(output, lineGapMs[mode], now);
  }
}

function createLines(output: Output, gapMs: number, now: () => number): Progress {
  let lastMs = now();
  return {
    update(event) {
      if (now() - lastMs < gapMs) return;
      lastMs = now();
      output.write(`ferry: ${lineText(event)}\n`);
    },
    above: (writeLines) => writeLines(),
    stop: () => undefined,
  };
}

/** Redraws a second; cli-progress draws the last state at this pace. */
const framesPerSecond = 10;
const fallbackColumns = 80;

async function createBar(output: Output): Promise<Progress> {
  const { default: cliProgress } = await import('cli-progress');
  let latest: ProgressEvent | undefined;
  const settings = {
    fps: framesPerSecond,
    stream: output,
    // A line above the bar overwrites it, so every frame is drawn.
    forceRedraw: true,
    clearOnComplete: true,
    terminal: new BarTerminal(output),
    // One column stays free: a full line would wrap on some terminals.
    format: () => barText(latest, columnsOf(output) - 1),
  };
  const bar = new cliProgress.SingleBar(settings);
  let running = false;
  return {
    update(event) {
      latest = event;
      if (!running) bar.start(1, 0);
      running = true;
    },
    above(writeLines) {
      if (running) output.write(clearLine);
      writeLines();
      if (running) bar.render();
    },
    stop() {
      if (running) bar.stop();
      running = false;
    },
  };
}

function columnsOf({ columns }: Output): number {
  return columns === undefined || columns === 0 ? fallbackColumns : columns;
}

const clearLine = '\r\u001b[K';

/**
 * What cli-progress does to the terminal: it redraws one line, and nothing that would have to be put
 * right again if the process died. Its own terminal returns to a saved position at the end, which is
 * the wrong one as soon as anything has scrolled.
 */
class BarTerminal {
  readonly #output: Output;

  constructor(output: Output) {
    this.#output = output;
  }

  isTTY(): boolean {
    return true;
  }
  getWidth(): number {
    return columnsOf(this.#output);
  }
  write(text: string): void {
    this.#output.write(text);
  }
  cursorTo(): void {
    this.#output.write('\r');
  }
  clearRight(): void {
    this.#output.write('\u001b[K');
  }
  clearLine(): void {
    this.#output.write(clearLine);
  }
  cursor(): void {}
  cursorSave(): void {}
  cursorRestore(): void {}
  lineWrapping(): void {}
  newline(): void {}
}

const barColumnsMin = 10;
const barColumnsMax = 40;
/** Brackets, and the space after them. */
const barFrame = 3;

/** The bar's line: as many of its parts as fit into `columns`, the more telling ones first. */
export function barText(event: ProgressEvent | undefined, columns: number): string {
  if (event === undefined) return '';
  const share = shareDone(event);
  const barColumns = share === undefined ? 0 : barColumnsMin + barFrame;
  const parts = barParts(event);
  let line = parts[0] ?? '';
  for (const part of parts.slice(1)) {
    if (line.length + 2 + part.length + barColumns <= columns) line += `  ${part}`;
  }
  const room = Math.min(barColumnsMax, columns - line.length - barFrame);
  if (share === undefined || room < barColumnsMin) return line.slice(0, Math.max(0, columns));
  const filled = Math.floor(share * room);
  return `[${'='.repeat(filled)}${'-'.repeat(room - filled)}] ${line}`;
}

/** Between 0 and 1; undefined while the total is not known. */
function shareDone({ bytes, totalBytes, files, totalFiles }: ProgressEvent): number | undefined {
  if (totalBytes === null) return undefined;
  if (totalBytes > 0) return Math.min(1, bytes / totalBytes);
  return totalFiles > 0 ? Math.min(1, files / totalFiles) : undefined;
}

/** Rounded down: 100 % is said only when all is done. */
function percentText(share: number): string {
  return `${Math.floor(share * 100)} %`;
}

function barParts(event: ProgressEvent): string[] {
  const share = shareDone(event);
  const { totalBytes, secondsLeft, totalFiles, bytesReused } = event;
  const done = bytesText(event.bytes);
  return [
    share === undefined ? done : percentText(share).padStart(5),
    rateText(event.bytesPerSecond),
    ...(secondsLeft === null ? [] : [`${timeText(secondsLeft)} left`]),
    ...(event.phase === null ? [] : [event.phase]),
    ...(totalBytes === null ? [] : [`${done} of ${bytesText(totalBytes)}`]),
    ...(totalFiles > 1 ? [`${event.files} of ${countText(totalFiles, 'file')}`] : []),
    `avg ${rateText(event.averageBytesPerSecond)}`,
    ...(bytesReused > 0 ? [`${bytesText(bytesReused)} reused`] : []),
  ];
}

/** The same for a plain line. */
export function lineText(event: ProgressEvent): string {
  return barParts(event)
    .map((part) => part.trim())
    .join(', ');
}
