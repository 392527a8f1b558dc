/** Hostile tests at full length: every position of a session, as many entries as THREATS says, more over a bad link. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import path from 'node:path';
import { root } from '../helpers/root.ts';

const files = ['hostile/mutation', 'hostile/tls-mutation', 'hostile/listing', 'system/lossy-link'];

/** Throws where one fails; gives a line that tells which were played. */
export async function longHostile(): Promise<string> {
  const tests = files.map((name) => `dist/test/${name}.test.js`);
  const ava = path.join(root, 'node_modules', '.bin', 'ava');
  const args = ['--timeout=60m', '--concurrency=1', ...tests];
  const env = { ...process.env, FERRY_SOAK: '1' };
  const child = spawn(ava, args, { cwd: root, env, stdio: 'inherit' });
  const [code] = (await once(child, 'close')) as [number | null];
  assert.equal(code, 0, 'a hostile test fails');
  return `hostile tests at full length: ${files.join(', ')}`;
}
