/** Names and messages from elsewhere, made safe to show. */
import { escaped } from '../protocol/paths.ts';

/** A path with what is unsafe to show escaped; whole, since `escaped` would cut a long one. */
export function nameText(path: string): string {
  return path.split('/').map(escaped).join('/');
}

/**
 * A message with what is unsafe to show escaped. The names in it are escaped already, so that their
 * backslashes are not doubled again.
 */
export function escapeUnsafe(text: string): string {
  return escaped(text).replaceAll('\\\\', '\\');
}
