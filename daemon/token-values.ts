/** How what a token allows is written. Each parser throws what commander shows. */
import { InvalidArgumentError } from 'commander';
import { splitPath } from '../protocol/paths.ts';
import { type Scope, scopes } from './grant.ts';
import { checkTokenName } from './stored-grants.ts';

export function parseTokenName(name: string): string {
  const fault = checkTokenName(name);
  if (fault !== undefined) throw new InvalidArgumentError(fault);
  return name;
}

export function parseScope(name: string): Scope {
  const scope = scopes.find((known) => known === name);
  if (scope === undefined) throw new InvalidArgumentError(`Choose from ${scopes.join(', ')}.`);
  return scope;
}

export function parsePrefix(text: string): string {
  const prefix = text.replace(/^\/+|\/+$/g, '');
  try {
    splitPath(prefix);
  } catch (error) {
    throw new InvalidArgumentError(error instanceof Error ? error.message : '');
  }
  // Whoever gives a prefix wants a limit: none must not come of a slip.
  if (prefix === '') throw new InvalidArgumentError('Name a folder, or leave the prefix out.');
  return prefix;
}

/** Scopes of a token for which none are named. */
export const usualScopes: readonly Scope[] = ['read', 'write'];

/** As many as anybody may ask for; the daemon's own limits come first. */
export const mostConnections = 1_000_000;
