/** Interim: the one token of `<state>/token`. */
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { credentialOf, newToken, parseToken, tokenText } from '../transfer/authentication.ts';
import { type Grant, scopes } from './grant.ts';

export function openTokens(stateFolder: string): { find(id: Uint8Array): Grant | undefined } {
  mkdirSync(stateFolder, { recursive: true, mode: 0o700 });
  const file = path.join(stateFolder, 'token');
  if (!existsSync(file)) writeFileSync(file, `${tokenText(newToken())}\n`, { mode: 0o600 });
  const grant: Grant = {
    ...credentialOf(parseToken(readFileSync(file, 'utf8'))),
    name: 'first',
    scopes: new Set(scopes),
    shares: undefined,
    prefix: '',
    expiresAtMs: undefined,
    quotaBytes: undefined,
    maxConnections: undefined,
    bytesPerSecond: undefined,
  };
  return { find: (id) => (Buffer.compare(id, grant.id) === 0 ? grant : undefined) };
}
