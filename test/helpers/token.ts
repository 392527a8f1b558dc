/** The token of the tests: daemons find it in their state folder, clients in their environment. */
import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import {
  type ConnectOptions,
  defaultConnectOptions,
  noCredentials,
} from '../../client/transfer-options.ts';
import { tokenText } from '../../transfer/authentication.ts';

const token: Uint8Array = new Uint8Array(32).fill(7);
export const testToken: string = tokenText(token);

/** For clients that are called as a library. */
export const testConnect: ConnectOptions = {
  ...defaultConnectOptions,
  credentials: { ...noCredentials, token },
};

/** A daemon takes the token that it finds in its state folder for its first one. */
export function provideToken(stateFolder: string): void {
  const file = `${stateFolder}/token`;
  if (existsSync(file)) return;
  mkdirSync(stateFolder, { recursive: true, mode: 0o700 });
  writeFileSync(file, `${testToken}\n`, { mode: 0o600 });
}
