/** Lists in files: of paths (`--files-from`) and of rules (`--exclude-from`). */
import { readFile } from 'node:fs/promises';
import type { Readable } from 'node:stream';
import { FerryError } from '../protocol/errors.ts';
import { shown, splitPath } from '../protocol/paths.ts';
import { storageError } from '../transfer/local/errors.ts';

/** What ends an item of a list: a line's end, or a NUL with `--from0`. */
export type Separator = 'line' | 'nul';

/** The items of the list in `file`, or of stdin when it is `-`. Throws FerryError. */
export async function readList(
  file: string,
  shell: { readonly stdin: Readable },
  separator: Separator,
): Promise<string[]> {
  const notReadable = (error: unknown): never => {
    throw storageError(error, file);
  };
  const bytes = file === '-' ? await readAll(shell.stdin) : await readFile(file).catch(notReadable);
  const name = file === '-' ? 'The list on stdin' : shown(file);
  try {
    const text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
    return text.split(separator === 'nul' ? '\0' : /\r\n|\n|\r/);
  } catch (error) {
    throw new FerryError('usage', `${name} is not valid UTF-8.`, { cause: error });
  }
}

async function readAll(stream: Readable): Promise<Buffer> {
  const pieces: Buffer[] = [];
  for await (const piece of stream) pieces.push(Buffer.from(piece as Uint8Array));
  return Buffer.concat(pieces);
}

/**
 * The paths of a `--files-from` list, each relative to the source: `./` and slashes in front or at
 * the end fall away, and so do repeated paths. In lines, blank ones and `#` or `;` comments don't
 * count. Throws FerryError (`usage`).
 */
export function parsePaths(items: readonly string[], separator: Separator): string[] {
  const paths = new Set<string>();
  for (const [i, item] of items.entries()) {
    if (item === '' || (separator === 'line' && /^[#;]/.test(item))) continue;
    const path = item
      .split('/')
      .filter((component) => component !== '' && component !== '.')
      .join('/');
    if (path === '') {
      throw new FerryError('usage', `Item ${i + 1} of --files-from names the whole source.`);
    }
    try {
      splitPath(path);
    } catch (error) {
      const why = error instanceof FerryError ? error.message : String(error);
      throw new FerryError('usage', `Item ${i + 1} of --files-from is no path here: ${why}`, {
        cause: error,
      });
    }
    paths.add(path);
  }
  return [...paths];
}
