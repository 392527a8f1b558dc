/**
 * Paths on the wire: components joined by `/`, relative to what the daemon serves; '' is its root.
 *
 * A component is valid UTF-8 of 1 to 255 bytes without NUL and `/`, is not `.` or `..`, and is not
 * the staging folder's name. Nothing is ever normalised: what breaks a rule is refused, everything
 * else is stored byte for byte. What a platform cannot hold, its storage refuses.
 */
import { utf8 } from './bytes.ts';
import { TransferError } from './errors.ts';
import { limits } from './limits.ts';

/** The folder that holds partial files, in a share and beside a download's target. */
export const stagingName = '.chunkferry';

/** Why `name` cannot be a component, or undefined when it can. */
export function componentFault(name: string): string | undefined {
  if (name === '') return 'has an empty component';
  if (name === '.' || name === '..') return `has the component "${name}"`;
  if (name === stagingName) return `names the staging folder ${stagingName}`;
  if (name.includes('\0')) return 'contains a NUL';
  if (name.includes('/')) return 'has a component with a slash';
  if (!name.isWellFormed()) return 'is not valid Unicode';
  // A UTF-16 unit takes at most 3 bytes of UTF-8, so short names need no encoding to be measured.
  if (name.length * 3 > limits.componentBytes && utf8(name).length > limits.componentBytes) {
    return `has a component longer than ${limits.componentBytes} bytes`;
  }
  return undefined;
}

/** The components of `path`; none for the root. Throws TransferError (`bad-path`). */
export function splitPath(path: string): string[] {
  if (path === '') return [];
  const components = path.split('/');
  const fault =
    path.length * 3 > limits.pathBytes && utf8(path).length > limits.pathBytes
      ? `is longer than ${limits.pathBytes} bytes`
      : components.length > limits.pathDepth
        ? `is deeper than ${limits.pathDepth} folders`
        : components.map(componentFault).find((reason) => reason !== undefined);
  if (fault !== undefined) {
    throw new TransferError('bad-path', `The path ${shown(path)} ${fault}.`);
  }
  return components;
}

/** Joins valid paths; either may be ''. */
export function joinPath(parent: string, name: string): string {
  if (parent === '') return name;
  return name === '' ? parent : `${parent}/${name}`;
}

/** Everything before the last component, and that component. */
export function parentAndName(path: string): { parent: string; name: string } {
  const slash = path.lastIndexOf('/');
  return slash < 0
    ? { parent: '', name: path }
    : { parent: path.slice(0, slash), name: path.slice(slash + 1) };
}

/**
 * Control characters, bidirectional and zero-width characters, line separators, byte order mark,
 * lone surrogates: what can mislead someone who reads a name on a terminal or in a log.
 */
const unsafeCharacters: RegExp =
  // biome-ignore format: one class a line would hide that it is one set
  /[\u0000-\u001f\u007f-\u009f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]|\p{Surrogate}/gu;
const shownCharacters = 1024;

/** Whether `text` has a character that could mislead its reader. */
export function isMisleading(text: string): boolean {
  return text.search(unsafeCharacters) >= 0;
}

/** `text` as it may be shown: unsafe characters as `\u{…}`, backslashes doubled, length cut. */
export function escaped(text: string): string {
  const cut = text.length > shownCharacters ? `${text.slice(0, shownCharacters)}…` : text;
  return cut
    .replaceAll('\\', '\\\\')
    .replace(unsafeCharacters, (character) =>
      character === '\n' ? '\\n' : `\\u{${(character.codePointAt(0) as number).toString(16)}}`,
    );
}

/** `value` as one line of JSON that misleads nobody who sees it, and reads back as the same. */
export function jsonLine(value: object): string {
  return escapedJson(JSON.stringify(value));
}

/** JSON with unsafe characters as `\uXXXX`: it means the same. */
export function escapedJson(json: string): string {
  return json.replace(
    unsafeCharacters,
    (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );
}

/** `text` escaped and in quotes, for messages. */
export function shown(text: string): string {
  return `"${escaped(text)}"`;
}
