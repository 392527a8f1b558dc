/** `ferryd token` as a program. */
import { mkdir, readFile } from 'node:fs/promises';
import test, { type ExecutionContext } from 'ava';
import { connect, parseRemote } from '../../client/index.ts';
import { changeGrants, newGrant } from '../../daemon/token-file.ts';
import { newToken, parseToken } from '../../transfer/authentication.ts';
import { testConnect } from '../helpers/token.ts';
import { runFerryd, startDaemon } from './helpers/daemon.ts';
import { type TempFolder, tempFolder } from './helpers/files.ts';

async function stateOf(t: ExecutionContext): Promise<TempFolder> {
  const state = await tempFolder();
  t.teardown(() => state.remove());
  return state;
}

const ferryd = (...args: string[]) => runFerryd(args);

test.serial('add shows the token alone on stdout, once; list shows what it allows', async (t) => {
  const state = await stateOf(t);
  const limits = ['--quota', '10G', '--max-connections', '3', '--rate', '10M'];
  const where = ['--scope', 'read', '--share', 'music,work', '--prefix', '/work/in/'];
  const all = [...where, ...limits, '--expires', '2127-01-01', '--state', state.path];
  const added = await ferryd('token', 'add', 'laptop', ...all);
  t.is(added.code, 0);
  t.notThrows(() => parseToken(added.stdout));
  const secret = added.stdout.trim();
  t.false(added.stderr.includes(secret));
  const listed = await ferryd('token', 'list', '--json', '--state', state.path);
  const tokens = listed.stdout.split('\n').filter(Boolean);
  const laptop = JSON.parse(tokens[1] ?? '') as Record<string, unknown>;
  const { id, created, ...rest } = laptop;
  t.regex(id as string, /^[0-9a-f]{16}$/);
  t.truthy(created);
  t.deepEqual(rest, {
    name: 'laptop',
    scopes: ['read'],
    shares: ['music', 'work'],
    prefix: 'work/in',
    expires: '2127-01-01T00:00:00.000Z',
    expired: false,
    quotaBytes: 10 * 1024 ** 3,
    usedBytes: 0,
    maxConnections: 3,
    bytesPerSecond: 10 * 1024 ** 2,
  });
  const table = await ferryd('--state', state.path, 'token', 'list');
  t.regex(table.stdout, /^first .*\nlaptop .*read; in music, work; below "work\/in"; until 2127/);
  for (const text of [
    listed.stdout,
    table.stdout,
    await readFile(state.at('tokens.json'), 'utf8'),
  ]) {
    t.false(text.includes(secret));
  }
});

test.serial('revoke takes a name or an id; the first one leaves its file', async (t) => {
  const state = await stateOf(t);
  const at = ['--state', state.path];
  await ferryd('token', 'add', 'a', ...at);
  await ferryd('token', 'add', 'b', ...at);
  const { stdout } = await ferryd('token', 'list', '--json', ...at);
  const ids = stdout
    .split('\n')
    .filter(Boolean)
    .map((line) => (JSON.parse(line) as { id: string }).id);
  t.is((await ferryd('token', 'revoke', 'a', ...at)).code, 0);
  t.is((await ferryd('token', 'revoke', ids[2] ?? '', ...at)).code, 0);
  t.is((await ferryd('token', 'revoke', 'a', ...at)).code, 3);
  const last = await ferryd('token', 'revoke', 'first', ...at);
  t.regex(last.stderr, /No token is left/);
  t.is((await ferryd('token', 'list', ...at)).stdout, '');
  await t.throwsAsync(readFile(state.at('token')), { code: 'ENOENT' });
});

for (const plain of [true, false]) {
  const over = plain ? 'plain TCP' : 'TLS';
  test.serial(`who was just given a token is let in, fifty times, over ${over}`, async (t) => {
    const state = await stateOf(t);
    const folder = await stateOf(t);
    // Whoever was refused is let wait: that is not what this is about.
    const args = ['--limit', 'penaltyMs=0'];
    const daemon = await startDaemon({ folder: folder.path, state: state.path, plain, args });
    t.teardown(() => daemon.stop());
    const remote = parseRemote(daemon.url());
    for (let round = 0; round < 50; round += 1) {
      const token = newToken();
      const grant = newGrant(token, `t${round}`);
      const credentials = { ...testConnect.credentials, token };
      const options = { ...testConnect, credentials, retries: 0 };
      await changeGrants(state.path, (grants) => [...grants, grant]);
      const ferry = await connect(remote, options);
      await ferry.stat('');
      await ferry.close();
      await changeGrants(state.path, (grants) => grants.filter(({ name }) => name !== grant.name));
      const error = await t.throwsAsync(connect(remote, options));
      t.like(error, { failure: 'authentication' });
    }
  });
}

test.serial('wrong words make no token', async (t) => {
  const state = await stateOf(t);
  const at = ['--state', state.path];
  await ferryd('token', 'list', ...at);
  for (const args of [
    ['first'],
    ['x', '--scope', 'all'],
    ['x', '--prefix', '../y'],
    ['x', '--prefix', '/'],
    ['x', '--expires', '2020-01-01'],
    ['x', '--quota', 'much'],
    ['x', '--share', 'a,,b'],
    ['x\ny'],
    [],
  ]) {
    const { code, stdout } = await ferryd('token', 'add', ...args, ...at);
    t.is(code, 2, args.join(' '));
    t.is(stdout, '');
  }
  t.is((await ferryd('token', 'list', ...at)).stdout.split('\n').length, 2);
});

test.serial('a folder named token is served as ./token', async (t) => {
  const folder = await stateOf(t);
  await mkdir(folder.at('token'));
  const daemon = await startDaemon({ folder: './token', cwd: folder.path });
  const share = await daemon.logged('share');
  t.is(share['folder'], './token');
  await daemon.stop();
});
