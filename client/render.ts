/** What a command shows of its events: text for people, or one JSON object a line. */
import type { Writable } from 'node:stream';
import type { EntryEvent, FerryEvent } from './events.ts';

/** A stream that may be a terminal. */
export type Output = Writable & {
  readonly isTTY?: boolean | undefined;
  readonly columns?: number | undefined;
};

export interface Outputs {
  readonly stdout: Output;
  readonly stderr: Output;
  readonly env: Readonly<Record<string, string | undefined>>;
}

/** How a command wants its events shown. */
export interface View {
  readonly json: boolean;
  readonly quiet: boolean;
  readonly verbose: boolean;
  /** Show progress even where it isn't by itself. */
  readonly progress: boolean;
  /** Content goes to stdout, so everything else goes to stderr. */
  readonly dataOnStdout: boolean;
  /** What the last line says; nothing for commands that only list or change something. */
  readonly summary: 'transfer' | 'verify' | 'none';
  /** An entry with its line's end. */
  readonly entryText: (entry: EntryEvent) => string;
  /** A command's own renderer, in place of the common ones. */
  readonly create?: (outputs: Outputs) => Promise<Renderer>;
}

export interface Renderer {
  /** Gives a promise where the stream asks to wait before the next event. */
  show(event: FerryEvent): Promise<void> | undefined;
  /** A sentence that is no event, for whoever watches. */
  note(text: string): void;
  /** Ends what moves on the terminal. */
  close(): void;
}

/** Writes, and gives a promise where the stream is full. */
export function write(output: Writable, text: string): Promise<void> | undefined {
  if (output.write(text)) return undefined;
  return new Promise((resolve) => {
    // A stream that breaks has its own handler; nobody may wait for it for ever.
    const done = (): void => {
      output.off('drain', done).off('close', done).off('error', done);
      resolve();
    };
    output.on('drain', done).on('close', done).on('error', done);
  });
}

/** Loads only what `view` needs. */
export async function createRenderer(outputs: Outputs, view: View): Promise<Renderer> {
  if (view.create !== undefined) return await view.create(outputs);
  const { createProgress } = await import('./progress.ts');
  const progress = await createProgress(outputs.stderr, progressMode(outputs, view));
  if (view.json) {
    const { JsonRenderer } = await import('./render-json.ts');
    return new JsonRenderer(outputs, view, progress);
  }
  const { TextRenderer } = await import('./render-text.ts');
  return new TextRenderer(outputs, view, progress);
}

/** A bar on a terminal, a line now and then elsewhere, more often when asked for; or nothing. */
function progressMode({ stderr, env }: Outputs, view: View): ProgressMode {
  if (view.summary === 'none' || view.quiet || (view.json && view.dataOnStdout)) return 'none';
  if (view.json && !view.progress) return 'none';
  if (stderr.isTTY === true && env['TERM'] !== 'dumb') return 'bar';
  return view.progress ? 'many-lines' : 'few-lines';
}

export type ProgressMode = 'bar' | 'few-lines' | 'many-lines' | 'none';
