/** The file of `--report`. */
import { type FileHandle, open } from 'node:fs/promises';
import { resolve } from 'node:path';
import { FerryError } from '../../protocol/errors.ts';
import { shown } from '../../protocol/paths.ts';
import type { FerryEvent } from '../events.ts';

export interface Report {
  /** Writes the page of a bench to `remote`, whose summary is among `events`, and closes the file. */
  write(events: readonly FerryEvent[], remote: string): Promise<void>;
}

/** Opens the file before anything is measured, since it would be late to find that it can't be written. */
export async function openReport(folder: string, path: string): Promise<Report> {
  const file = resolve(folder, path);
  const handle = await orFail(path, open(file, 'w'));
  return {
    async write(events, remote) {
      const { reportHtml } = await import('./report-html.ts');
      const at = new Date().toISOString();
      await orFail(path, written(handle, reportHtml(events, { remote, at })));
    },
  };
}

async function written(handle: FileHandle, text: string): Promise<void> {
  try {
    await handle.writeFile(text);
  } finally {
    await handle.close();
  }
}

async function orFail<T>(path: string, work: Promise<T>): Promise<T> {
  try {
    return await work;
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new FerryError('io', `The report ${shown(path)} cannot be written: ${reason}.`, {
      cause,
    });
  }
}
