import { chmod, mkdir, readFile, rename, rm, stat, symlink, writeFile } from 'node:fs/promises';
import test, { type ExecutionContext } from 'ava';
import fc from 'fast-check';
import { pino } from 'pino';
import { scopes } from '../../daemon/grant.ts';
import { formatGrants, parseGrants, type StoredGrant } from '../../daemon/stored-grants.ts';
import { changeGrants, loadGrants, newGrant } from '../../daemon/token-file.ts';
import { Tokens, type TokensOptions } from '../../daemon/tokens.ts';
import { FerryError } from '../../protocol/errors.ts';
import { credentialOf, newToken, parseToken } from '../../transfer/authentication.ts';
import { type TempFolder, tempFolder } from '../system/helpers/files.ts';

async function stateOf(t: ExecutionContext): Promise<TempFolder> {
  const state = await tempFolder();
  t.teardown(() => state.remove());
  return state;
}

async function opened(t: ExecutionContext, state: TempFolder, options: TokensOptions = {}) {
  const lines: string[] = [];
  const log = pino({ base: null }, { write: (line: string) => void lines.push(line) });
  const tokens = await Tokens.open(state.path, log, options);
  t.teardown(() => tokens.close());
  const changed = (): Promise<void> =>
    new Promise((resolve) => {
      tokens.onChange = resolve;
    });
  const logged = async (): Promise<void> => {
    while (lines.length === 0) await new Promise((resolve) => setTimeout(resolve, 5));
  };
  return { tokens, lines, changed, logged };
}

const add = (state: TempFolder, grant: StoredGrant): Promise<unknown> =>
  changeGrants(state.path, (grants) => [...grants, grant]);

test('the first start makes a token that may do everything, and keeps it to itself', async (t) => {
  const state = await stateOf(t);
  const folder = state.at('deep', 'state');
  const log = pino({ level: 'silent' });
  const tokens = await Tokens.open(folder, log);
  t.teardown(() => tokens.close());
  t.is((await stat(folder)).mode & 0o777, 0o700);
  for (const name of ['token', 'tokens.json']) {
    t.is((await stat(`${folder}/${name}`)).mode & 0o777, 0o600);
  }
  const text = await readFile(`${folder}/token`, 'utf8');
  const { id } = credentialOf(parseToken(text));
  const grant = tokens.find(id);
  t.is(grant?.name, 'first');
  t.deepEqual([...(grant?.scopes ?? [])], [...scopes]);
  t.false((await readFile(`${folder}/tokens.json`, 'utf8')).includes(text.trim().slice(6)));
  // The next start finds the same one.
  const again = await Tokens.open(folder, log);
  t.teardown(() => again.close());
  t.deepEqual(again.find(id), grant);
  t.is(again.find(new Uint8Array(8)), undefined);
});

test('a first token that is there already becomes the first one', async (t) => {
  const state = await stateOf(t);
  const [first] = await loadGrants(state.path);
  await rm(state.at('tokens.json'));
  const [again] = await loadGrants(state.path);
  t.deepEqual(again?.id, first?.id);
});

test('several first starts at once agree on one token', async (t) => {
  const state = await stateOf(t);
  const all = await Promise.all([1, 2, 3, 4].map(() => loadGrants(state.path)));
  t.is(new Set(all.map(([grant]) => Buffer.from(grant?.id ?? []).toString('hex'))).size, 1);
  t.deepEqual((await loadGrants(state.path))[0]?.id, all[0]?.[0]?.id);
});

test('what others can read or change is refused', async (t) => {
  for (const name of ['token', 'tokens.json']) {
    const state = await stateOf(t);
    await loadGrants(state.path);
    await chmod(state.at(name), 0o640);
    const error = await t.throwsAsync<FerryError>(loadGrants(state.path));
    t.is(error?.failure, 'usage');
    t.regex(error?.message ?? '', new RegExp(`Others can read .*${name}.*chmod 600`));
  }
  const state = await stateOf(t);
  await chmod(state.path, 0o770);
  t.regex((await t.throwsAsync(loadGrants(state.path)))?.message ?? '', /chmod 700/);
});

test('a link in the place of a secret is not followed', async (t) => {
  const state = await stateOf(t);
  await loadGrants(state.path);
  await rename(state.at('tokens.json'), state.at('elsewhere'));
  await symlink('elsewhere', state.at('tokens.json'));
  await t.throwsAsync(loadGrants(state.path), { instanceOf: FerryError });
});

test('changes made at the same time are all kept', async (t) => {
  const state = await stateOf(t);
  await loadGrants(state.path);
  const names = Array.from({ length: 8 }, (_, i) => `t${i}`);
  await Promise.all(names.map((name) => add(state, newGrant(newToken(), name))));
  const kept = (await loadGrants(state.path)).map(({ name }) => name);
  t.deepEqual(kept.sort(), ['first', ...names]);
});

test('who waits for what is current finds each change at once, without being told', async (t) => {
  const state = await stateOf(t);
  const { tokens } = await opened(t, state, { watching: false, pollMs: 1e8 });
  for (let round = 0; round < 50; round += 1) {
    const grant = newGrant(newToken(), `t${round}`);
    await add(state, grant);
    await Promise.all([tokens.current(), tokens.current()]);
    t.is(tokens.find(grant.id)?.name, `t${round}`);
    await changeGrants(state.path, (grants) => grants.slice(0, 1));
    await tokens.current();
    t.is(tokens.find(grant.id), undefined);
  }
});

for (const [how, options] of [
  ['told by the system', { pollMs: 1e8 }],
  ['by looking', { watching: false, pollMs: 20 }],
] as const) {
  test(`a running daemon sees what is added and revoked, ${how}`, async (t) => {
    const state = await stateOf(t);
    const { tokens, changed } = await opened(t, state, options);
    const grant = newGrant(newToken(), 'laptop');
    let change = changed();
    await add(state, grant);
    await change;
    t.is(tokens.find(grant.id)?.name, 'laptop');
    change = changed();
    await changeGrants(state.path, (grants) => grants.filter(({ name }) => name !== 'laptop'));
    await change;
    t.is(tokens.find(grant.id), undefined);
  });
}

test('an expired token is not found, and its moment is told', async (t) => {
  const state = await stateOf(t);
  const grant = { ...newGrant(newToken(), 'guest'), expiresAtMs: Date.now() + 2_500 };
  const late = { ...newGrant(newToken(), 'late'), expiresAtMs: Date.now() + 1e12 };
  await add(state, grant);
  await add(state, late);
  const { tokens, changed } = await opened(t, state);
  t.is(tokens.find(grant.id)?.name, 'guest');
  const alive = setInterval(() => undefined, 1_000); // The daemon's own timer keeps nobody.
  await changed();
  clearInterval(alive);
  t.is(tokens.find(grant.id), undefined);
  t.is(tokens.find(late.id)?.name, 'late');
});

test('a new list that cannot be read leaves the old one in force, and is logged once', async (t) => {
  const state = await stateOf(t);
  const { tokens, lines, logged } = await opened(t, state, { watching: false, pollMs: 10 });
  const [first] = await loadGrants(state.path);
  // Put there whole: written in place, the moment in which it is empty is a version of its own.
  await writeFile(state.at('other'), '{"version":1,"tok', { mode: 0o600 });
  await rename(state.at('other'), state.at('tokens.json'));
  await logged();
  await new Promise((resolve) => setTimeout(resolve, 50));
  t.truthy(tokens.find(first?.id ?? new Uint8Array()));
  t.is(lines.length, 1);
  t.regex(lines[0] ?? '', /tokens\.json.*no JSON.*stay valid/);
});

test('a list that is gone leaves the old one in force', async (t) => {
  const state = await stateOf(t);
  const { tokens, lines, logged } = await opened(t, state);
  const [first] = await loadGrants(state.path);
  await rm(state.at('tokens.json'));
  await logged();
  t.truthy(tokens.find(first?.id ?? new Uint8Array()));
  t.regex(lines[0] ?? '', /gone/);
});

test('a list is understood in full or refused, with file and field', (t) => {
  const text = formatGrants([newGrant(newToken(), 'a')]);
  const changed = (change: (token: Record<string, unknown>) => void): string => {
    const content = JSON.parse(text) as { tokens: Record<string, unknown>[] };
    for (const token of content.tokens) change(token);
    return JSON.stringify(content);
  };
  const cases: [string, RegExp][] = [
    ['', /no JSON/],
    ['[]', /the file is no object/],
    ['{"version":2,"tokens":[]}', /version/],
    ['{"version":1}', /tokens is not a list/],
    ['{"version":1,"tokens":[],"x":1}', /unknown field "x"/],
    [changed((token) => void (token['quota'] = 1)), /tokens\[0\] has an unknown field "quota"/],
    [changed((token) => void (token['id'] = 'xyz')), /tokens\[0\]\.id/],
    [changed((token) => void delete token['key']), /tokens\[0\]\.key/],
    [changed((token) => void (token['name'] = '-a\n')), /tokens\[0\]\.name/],
    [changed((token) => void (token['scopes'] = ['all'])), /unknown "all"/],
    [changed((token) => void (token['shares'] = 'a')), /tokens\[0\]\.shares/],
    [changed((token) => void (token['prefix'] = '../x')), /tokens\[0\]\.prefix/],
    [changed((token) => void (token['expires'] = 'never')), /tokens\[0\]\.expires/],
    [changed((token) => void (token['quotaBytes'] = -1)), /tokens\[0\]\.quotaBytes/],
    [changed((token) => void (token['bytesPerSecond'] = 0.5)), /bytesPerSecond/],
    [formatGrants([newGrant(newToken(), 'a'), newGrant(newToken(), 'a')]), /two tokens/],
  ];
  for (const [bad, reason] of cases) {
    const error = t.throws<FerryError>(() => parseGrants(bad, '/state/tokens.json'));
    t.is(error?.failure, 'usage');
    t.regex(error?.message ?? '', reason);
    t.regex(error?.message ?? '', /\/state\/tokens\.json/);
  }
});

test('what is written is read back, whatever the grant', (t) => {
  const count = fc.option(fc.integer({ min: 1, max: Number.MAX_SAFE_INTEGER }), { nil: undefined });
  const time = fc.integer({ min: 0, max: 8.64e15 });
  const grants = fc.record({
    scopes: fc.subarray([...scopes]).map((some) => new Set(some)),
    shares: fc.option(fc.array(fc.string()), { nil: undefined }),
    prefix: fc.constantFrom('', 'a', 'a/b c/ü'),
    expiresAtMs: fc.option(time, { nil: undefined }),
    quotaBytes: count,
    maxConnections: count,
    bytesPerSecond: count,
    createdAtMs: time,
  });
  fc.assert(
    fc.property(grants, (some) => {
      const grant = { ...newGrant(newToken(), 'x'), ...some };
      t.deepEqual(parseGrants(formatGrants([grant]), 'f')[0], grant);
    }),
    { numRuns: 50 },
  );
});

test('a state folder that is a file is told in words', async (t) => {
  const state = await stateOf(t);
  await mkdir(state.at('d'));
  await writeFile(state.at('file'), '');
  const error = await t.throwsAsync<FerryError>(loadGrants(state.at('file')));
  t.is(error?.failure, 'usage');
  await writeFile(state.at('d', 'token'), 'nonsense', { mode: 0o600 });
  t.regex((await t.throwsAsync(loadGrants(state.at('d'))))?.message ?? '', /holds no token/);
});
