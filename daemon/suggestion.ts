/** What somebody may have meant. */
import { closest, distance } from 'fastest-levenshtein';

/** ` Did you mean …?`, or '' where nothing is near. */
export function suggestion(word: string, known: readonly string[]): string {
  // To people max_connections, maxConnections and max-connections are one word.
  const plain = (name: string): string => name.replaceAll(/[-_]/g, '').toLowerCase();
  const same = known.find((name) => plain(name) === plain(word));
  const near = same ?? closest(word, known);
  // One letter in three may be wrong.
  const isNear = same !== undefined || distance(word, near) <= Math.max(1, near.length / 3);
  return isNear ? ` Did you mean ${near}?` : '';
}
