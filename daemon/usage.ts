/**
 * How much content the tokens with a quota have moved, up and down. It is kept in `<state>/usage.json`,
 * written a second after it changed: what a crash can make it forget is what moved in that second.
 */
import path from 'node:path';
import { FerryError } from '../protocol/errors.ts';
import { shown } from '../protocol/paths.ts';
import type { Logger } from './log.ts';
import { readPrivate, writePrivate } from './private-file.ts';

const usageName = 'usage.json';
const fileVersion = 1;
const saveMs = 1_000;

/** Bytes by token id in hexadecimal. Throws FerryError. */
export async function readUsage(stateFolder: string): Promise<Map<string, number>> {
  const file = path.join(stateFolder, usageName);
  const text = await readPrivate(file);
  const usage = text === undefined ? new Map<string, number>() : parseUsage(text);
  if (usage !== undefined) return usage;
  // Quotas that nobody can read must not pass for quotas that nobody used.
  throw new FerryError(
    'usage',
    `Cannot use ${shown(file)}: it is damaged. Move it away and restart ferryd: then all quotas begin anew.`,
  );
}

function parseUsage(text: string): Map<string, number> | undefined {
  try {
    const content = JSON.parse(text) as { version?: unknown; usedBytes?: unknown } | null;
    const entries = Object.entries(content?.usedBytes ?? Number.NaN);
    const isRight = entries.every(([id, used]) => /^[0-9a-f]+$/.test(id) && isBytes(used));
    const known = content?.version === fileVersion && typeof content.usedBytes === 'object';
    return known && isRight ? new Map(entries as [string, number][]) : undefined;
  } catch {
    return undefined;
  }
}

const isBytes = (value: unknown): boolean => Number.isSafeInteger(value) && (value as number) >= 0;

export class Usage {
  readonly #stateFolder: string | undefined;
  readonly #log: Logger | undefined;
  readonly #usedBytes: Map<string, number>;
  #timer: NodeJS.Timeout | undefined;
  #saving: Promise<void> = Promise.resolve();

  /** Without a folder it is kept in memory alone. */
  constructor(usedBytes = new Map<string, number>(), stateFolder?: string, log?: Logger) {
    this.#usedBytes = usedBytes;
    this.#stateFolder = stateFolder;
    this.#log = log;
  }

  /** Throws FerryError when what is kept cannot be read. */
  static async open(stateFolder: string, log: Logger): Promise<Usage> {
    return new Usage(await readUsage(stateFolder), stateFolder, log);
  }

  of(token: string): number {
    return this.#usedBytes.get(token) ?? 0;
  }

  add(token: string, bytes: number): void {
    this.#usedBytes.set(token, this.of(token) + bytes);
    this.#timer ??= setTimeout(() => void this.save(), saveMs).unref();
  }

  /** Writes what changed since the last time. */
  save(): Promise<void> {
    if (this.#timer !== undefined) {
      clearTimeout(this.#timer);
      this.#timer = undefined;
      this.#saving = this.#saving.then(() => this.#write());
    }
    return this.#saving;
  }

  async #write(): Promise<void> {
    if (this.#stateFolder === undefined) return;
    const content = { version: fileVersion, usedBytes: Object.fromEntries(this.#usedBytes) };
    const file = path.join(this.#stateFolder, usageName);
    try {
      await writePrivate(file, `${JSON.stringify(content, undefined, 2)}\n`);
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error);
      this.#log?.error({ event: 'usage', reason }, 'a restart would forget what quotas were used');
    }
  }
}
