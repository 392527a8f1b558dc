/** Finds the line of a key in a TOML text, by the parser itself instead of a second grammar. */
import type { KeyPath } from './setting-kinds.ts';

type Parse = (text: string) => Readonly<Record<string, unknown>>;

/**
 * The line, from 1, on which the statement begins that gives the key of `path`, or the innermost part
 * of it that is there. `text` must be valid.
 *
 * A statement has come to its end where the text up to there is valid. So the one that gives a key is
 * the first after which the key is there, and it begins behind the one before.
 */
export function lineOfKey(text: string, path: KeyPath, parse: Parse): number {
  const lines = text.split('\n');
  const upTo = (count: number): Readonly<Record<string, unknown>> | undefined => {
    try {
      return parse(`${lines.slice(0, count).join('\n')}\n`);
    } catch {
      return undefined; // In the middle of a statement.
    }
  };
  const wanted = depthIn(parse(text), path);
  // After `without` lines the key is not there yet; no statement ends from line `ceiling` on before
  // the one that gives it does.
  let without = 0;
  let ceiling = lines.length;
  while (ceiling - without > 1) {
    const middle = (without + ceiling) >> 1;
    let end = middle;
    let table = upTo(end);
    while (table === undefined && end < ceiling - 1) {
      end += 1;
      table = upTo(end);
    }
    if (table !== undefined && depthIn(table, path) < wanted) without = end;
    else ceiling = middle;
  }
  return without + 1;
}

/** How many keys of `path` lead somewhere. */
function depthIn(table: unknown, path: KeyPath): number {
  let value = table;
  for (const [depth, key] of path.entries()) {
    if (typeof value !== 'object' || value === null || !Object.hasOwn(value, key)) return depth;
    value = (value as Record<string | number, unknown>)[key];
  }
  return path.length;
}
