/**
 * Which paths take part: rsync's include and exclude rules, in order, the first match decides.
 *
 * The translation from pattern to regular expression is our own. picomatch, the library for globs,
 * was measured against rsync and differs in most of what is left of a glob here:
 * - its `**` is a whole component, which may also be absent; rsync's is any text, slashes included,
 *   anywhere, as in `a**b`;
 * - `|`, `(` and `\d` reach the regular expression as its own syntax, quotes vanish, and no option
 *   stops it, so every literal would have to be escaped before it, which is most of the work;
 * - a bracket that never closes is literal there and matches nothing in rsync.
 *
 * One difference from rsync is meant: `?` and a class match one character, not one byte of it.
 */
import { FerryError } from '../protocol/errors.ts';
import { shown } from '../protocol/paths.ts';
import { everything, type Selection } from './transfer-options.ts';

export interface Rule {
  readonly include: boolean;
  readonly pattern: string;
}

/** What one `--exclude`, `--include` or line of a file says; `clear` forgets all rules before it. */
export type RuleText = Rule | 'clear';

/**
 * Reads one rule: `- pattern` and `+ pattern` say themselves which they are, a bare pattern is what
 * its option says, and `!` alone clears. Throws FerryError (`usage`).
 */
export function parseRule(text: string, include: boolean): RuleText {
  if (text === '!') return 'clear';
  const marked = text.startsWith('- ') || text.startsWith('+ ');
  const rule = marked
    ? { include: text.startsWith('+'), pattern: text.slice(2) }
    : { include, pattern: text };
  if (rule.pattern === '') throw new FerryError('usage', 'An exclude or include pattern is empty.');
  if (rule.pattern.includes('\0')) {
    throw new FerryError('usage', `The pattern ${shown(rule.pattern)} contains a NUL.`);
  }
  return rule;
}

/** The rules of an `--exclude-from` file: one a line, without blank lines and `#` or `;` comments. */
export function parseRuleFile(lines: readonly string[]): RuleText[] {
  return lines
    .filter((line) => line !== '' && !line.startsWith('#') && !line.startsWith(';'))
    .map((line) => parseRule(line, false));
}

/** The rules in force after all were read in order. */
export function settleRules(texts: readonly RuleText[]): Rule[] {
  const rules = texts.slice(texts.lastIndexOf('clear') + 1);
  return rules.filter((rule) => rule !== 'clear');
}

export function selectionOf(rules: readonly Rule[]): Selection {
  if (rules.length === 0) return everything;
  const matchers = rules.map(({ include, pattern }) => ({ include, matches: matcher(pattern) }));
  return {
    includes(path, isDirectory) {
      // The source itself always takes part.
      if (path === '') return true;
      return matchers.find(({ matches }) => matches(path, isDirectory))?.include ?? true;
    },
  };
}

type Matcher = (path: string, isDirectory: boolean) => boolean;

function matcher(pattern: string): Matcher {
  const foldersOnly = pattern.length > 1 && pattern.endsWith('/');
  const text = foldersOnly ? pattern.slice(0, -1) : pattern;
  const hasWildcards = /[*?[]/.test(text);
  const crosses = hasWildcards && text.includes('**');
  const anchored = text.startsWith('/');
  const body = anchored ? text.slice(1) : text;
  // Without wildcards a backslash is an ordinary character.
  const source = hasWildcards ? translate(body) : Array.from(body, literal).join('');
  if (source === undefined) return () => false;
  // Paths are matched with a slash in front. It is the pattern's own where that begins with `**`.
  const start = anchored ? '/' : crosses && text.startsWith('**') ? '' : '[^]*/';
  const regex = new RegExp(`^${start}${source}$`, 'u');
  // `folder/***` is the folder and all below it: there a folder ends in a slash.
  const slashAfterFolder = crosses && text.endsWith('***');
  return (path, isDirectory) => {
    if (foldersOnly && !isDirectory) return false;
    return regex.test(isDirectory && slashAfterFolder ? `/${path}/` : `/${path}`);
  };
}

function literal(character: string): string {
  return /^[\p{L}\p{N}_/]$/u.test(character)
    ? character
    : `\\u{${codePoint(character).toString(16)}}`;
}

function codePoint(character: string): number {
  return character.codePointAt(0) ?? 0;
}

/** Pieces of a pattern: an escaped character, a class, a run of stars, or one other character. */
const pieces =
  /\\[^]|\[[!^]?(?:\\[^]|\[:[^\]]*:\]|[^\\])(?:\\[^]|\[:[^\]]*:\]|[^\]\\])*\]|\*+|[^]/gu;

/** The regular expression for a pattern with wildcards; undefined when it can match nothing. */
function translate(pattern: string): string | undefined {
  let source = '';
  for (const [piece] of pattern.matchAll(pieces)) {
    // A class that never closes, or a backslash with nothing after it.
    if (piece === '[' || piece === '\\') return undefined;
    if (piece.startsWith('\\')) source += literal(piece.slice(1));
    else if (piece === '*') source += '[^/]*';
    else if (piece.startsWith('*')) source += '[^]*';
    else if (piece === '?') source += '[^/]';
    else if (piece.startsWith('[')) {
      const set = translateClass(piece.slice(1, -1));
      if (set === undefined) return undefined;
      source += `(?!/)${set}`;
    } else source += literal(piece);
  }
  return source;
}

const namedClasses: Readonly<Record<string, string>> = {
  alnum: 'A-Za-z0-9',
  alpha: 'A-Za-z',
  blank: ' \\t',
  cntrl: '\\u{0}-\\u{1f}\\u{7f}',
  digit: '0-9',
  graph: '\\u{21}-\\u{7e}',
  lower: 'a-z',
  print: '\\u{20}-\\u{7e}',
  punct: '\\u{21}-\\u{2f}\\u{3a}-\\u{40}\\u{5b}-\\u{60}\\u{7b}-\\u{7e}',
  space: '\\t-\\r ',
  upper: 'A-Z',
  xdigit: '0-9A-Fa-f',
};

/** A range, a named class or one character; either end of a range may be escaped. */
const classItems = /\[:([^\]]*):\]|(\\[^]|[^])-(\\[^]|[^])|(\\[^]|[^])/gu;

/** The inside of `[…]`; undefined when it names a class that doesn't exist. */
function translateClass(inside: string): string | undefined {
  const negated = inside.startsWith('!') || inside.startsWith('^');
  let set = '';
  for (const [, name, from, to, single] of inside.slice(negated ? 1 : 0).matchAll(classItems)) {
    if (name !== undefined) {
      const named = namedClasses[name];
      if (named === undefined) return undefined;
      set += named;
    } else if (from !== undefined && to !== undefined) {
      const [low, high] = [unescaped(from), unescaped(to)];
      // Of a range that runs backwards only the first character counts.
      set += codePoint(low) <= codePoint(high) ? `${literal(low)}-${literal(high)}` : literal(low);
    } else if (single !== undefined) set += literal(unescaped(single));
  }
  return negated ? `[^${set}]` : `[${set}]`;
}

function unescaped(item: string): string {
  return item.length > 1 && item.startsWith('\\') ? item.slice(1) : item;
}
