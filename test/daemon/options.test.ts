/** Settings: one table, three sources, and what is said of each fault. */
import { chmod, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'ava';
import fc from 'fast-check';
import { usualFiles } from '../../daemon/config-file.ts';
import { type Configuration, readOptions, type Sources } from '../../daemon/options.ts';
import {
  changesOf,
  defaultSettings,
  keyOf,
  type Setting,
  type Settings,
  settings,
  variableOf,
} from '../../daemon/settings.ts';
import { FerryError } from '../../protocol/errors.ts';
import { newToken, tokenText } from '../../transfer/authentication.ts';
import { root } from '../helpers/root.ts';

let folder = '';
test.before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'chunkferry-options-'));
});
test.after.always(() => rm(folder, { recursive: true, force: true }));

let files = 0;
async function fileWith(text: string): Promise<string> {
  files += 1;
  const file = join(folder, `${files}.toml`);
  await writeFile(file, text);
  return file;
}

async function read(sources: Partial<Sources>): Promise<Configuration> {
  return await readOptions({ flags: {}, env: {}, config: '/dev/null', ...sources });
}

async function faultsOf(sources: Partial<Sources>): Promise<string> {
  const error = await read(sources).then(
    () => undefined,
    (reason: unknown) => reason,
  );
  if (!(error instanceof FerryError)) throw new Error(`no fault: ${String(error)}`);
  return error.message;
}

/** Two ways to write each setting, as text and as TOML. */
const samples: Readonly<Record<string, readonly { text: string; toml: string }[]>> = {
  folder: [
    { text: '/srv/a', toml: '"/srv/a"' },
    { text: '/srv/b', toml: '"/srv/b"' },
  ],
  listen: [
    { text: '127.0.0.1:1', toml: '"127.0.0.1:1"' },
    { text: '[::1]', toml: '"[::1]"' },
  ],
  plain: [
    { text: 'true', toml: 'true' },
    { text: '0', toml: 'false' },
  ],
  'allow-plain-network': [
    { text: 'yes', toml: 'true' },
    { text: 'no', toml: 'false' },
  ],
  allow: [
    { text: '10.0.0.0/8', toml: '["10.0.0.0/8"]' },
    { text: '::1', toml: '["::1"]' },
  ],
  state: [
    { text: '/s/a', toml: '"/s/a"' },
    { text: '/s/b', toml: '"/s/b"' },
  ],
  durability: [
    { text: 'none', toml: '"none"' },
    { text: 'fsync', toml: '"fsync"' },
  ],
  'max-connections': [
    { text: '3', toml: '3' },
    { text: '4', toml: '4' },
  ],
  'partial-age': [
    { text: '1', toml: '1' },
    { text: '2', toml: '2' },
  ],
  metrics: [
    { text: ':9464', toml: '":9464"' },
    { text: 'localhost:0', toml: '"localhost:0"' },
  ],
  'log-level': [
    { text: 'debug', toml: '"debug"' },
    { text: 'warn', toml: '"warn"' },
  ],
  'log-format': [
    { text: 'json', toml: '"json"' },
    { text: 'pretty', toml: '"pretty"' },
  ],
};
/** Those that are given in pairs, or in a form of their own, have tests below. */
const special = new Set(['share', 'limit', 'tls-cert', 'tls-key', 'token']);

const sampled = settings.filter(({ name }) => name in samples);
const rowOf = (name: string): Setting =>
  settings.find((row) => row.name === name) ?? (undefined as never);
const valueOf = (row: Setting, which: number): unknown =>
  row.kind.fromTexts?.([samples[row.name]?.[which]?.text ?? '']);

test('every setting has a default, and a row in the tests', (t) => {
  for (const { name } of settings) t.true(name in samples || special.has(name), name);
  const names: Record<keyof Settings, true> = {
    shares: true,
    listen: true,
    plain: true,
    allowPlainNetwork: true,
    allow: true,
    tlsCert: true,
    tlsKey: true,
    state: true,
    tokens: true,
    durability: true,
    limits: true,
    partialAgeDays: true,
    metrics: true,
    logLevel: true,
    logFormat: true,
  };
  t.deepEqual(Object.keys(defaultSettings).sort(), Object.keys(names).sort());
  t.is(new Set(settings.map(keyOf)).size, settings.length);
  t.is(new Set(settings.map(variableOf)).size, settings.length);
});

test('flags beat variables, variables beat the file, the file beats the default', async (t) => {
  // For each setting and source: unsaid, or one of the two samples.
  const word = fc.option(fc.nat(1), { nil: undefined });
  const said = fc.record({ file: word, env: word, flag: word });
  const all = fc.record(Object.fromEntries(sampled.map(({ name }) => [name, said])));
  await fc.assert(
    fc.asyncProperty(all, async (chosen) => {
      const expected: Record<string, unknown> = { ...defaultSettings };
      const lines: string[] = [];
      const env: Record<string, string> = {};
      const flags: Record<string, string[]> = {};
      for (const row of sampled) {
        const { file, env: variable, flag } = chosen[row.name] ?? {};
        const own = samples[row.name] ?? [];
        if (file !== undefined) lines.push(`${keyOf(row)} = ${own[file]?.toml ?? ''}`);
        if (variable !== undefined) env[variableOf(row)] = own[variable]?.text ?? '';
        if (flag !== undefined) flags[row.name] = [own[flag]?.text ?? ''];
        const winner = flag ?? variable ?? file;
        if (winner !== undefined) expected[row.sets] = valueOf(row, winner);
      }
      const config = await fileWith(lines.join('\n'));
      const { options } = await read({ config, env, flags });
      t.deepEqual(options, { ...expected, grants: [] } as unknown as typeof options);
      await rm(config);
    }),
    { numRuns: 200 },
  );
});

test('limits are settled one by one, whoever says them', async (t) => {
  const config = await fileWith(
    'max-connections = 5\n[limits]\npendingConnections = 7\nfreeBytes = "1G"\ntransfers = 9\n',
  );
  const env = { FERRYD_LIMIT: 'transfers=10,connections=6' };
  const flags = { limit: ['transfers=11', 'pathDepth=3'] };
  const { options } = await read({ config, env, flags });
  t.deepEqual(options.limits, {
    pendingConnections: 7,
    freeBytes: 2 ** 30,
    connections: 6,
    transfers: 11,
    pathDepth: 3,
  });
  const short = await read({ flags: { 'max-connections': ['4'] }, env });
  t.is(short.options.limits.connections, 4);
});

test('a folder and shares take the place of each other, and are not given together', async (t) => {
  const config = await fileWith(
    '[[share]]\nname = "music"\nfolder = "m"\nread-only = true\n[[share]]\nname = "in"\nfolder = "/i"\nportable-names = true\n',
  );
  const { options } = await read({ config });
  t.deepEqual(options.shares, [
    { name: 'music', folder: join(folder, 'm'), readOnly: true, portableNames: false },
    { name: 'in', folder: '/i', readOnly: false, portableNames: true },
  ]);
  const single = await read({ config, flags: { folder: ['x'] } });
  const open = { readOnly: false, portableNames: false };
  t.deepEqual(single.options.shares, [{ name: '', folder: 'x', ...open }]);
  const named = await read({ env: { FERRYD_FOLDER: 'x' }, flags: { share: ['a=b:ro'] } });
  t.deepEqual(named.options.shares, [{ name: 'a', folder: 'b', ...open, readOnly: true }]);
  const portable = await read({ flags: { share: ['a=b:portable-names', 'c=d:other'] } });
  t.deepEqual(portable.options.shares, [
    { name: 'a', folder: 'b', ...open, portableNames: true },
    { name: 'c', folder: 'd:other', ...open },
  ]);
  t.regex(await faultsOf({ flags: { folder: ['x'], share: ['a=b'] } }), /not both/);
  const both = await fileWith('folder = "x"\n\n[[share]]\nname = "a"\nfolder = "b"\n');
  t.regex(await faultsOf({ config: both }), /toml:3: share: Give either folder or share, not both/);
});

const tokenLine = '[[token]]\nname = "a"\ntoken-file = "t"\n';

test('every fault in the file is told with its line, and what may have been meant', async (t) => {
  const cases: [string, number, RegExp][] = [
    ['listen = 1', 1, /listen: Write it as text/],
    ['# first\n\nlisten = "a:b:c"', 3, /listen: Write it as host:port/],
    ['plain = "true"', 1, /plain: Write true or false/],
    ['partial-age = "7"', 1, /as a number/],
    ['partial-age = 0', 1, /from 1 to/],
    ['partial-age = 1.5', 1, /whole number/],
    ['max_connections = 1', 1, /no such setting\. Did you mean max-connections\?/],
    ['maxConnections = 1', 1, /Did you mean max-connections\?/],
    ['\n\nlisen = "x"', 3, /Did you mean listen\?/],
    ['completelyelse = "x"', 1, /no such setting\.$/],
    ['config = "x"', 1, /no such setting/],
    ['durability = "fysnc"', 1, /Choose from fsync, none/],
    ['allow = []', 1, /list is empty/],
    ['allow = "10.0.0.0/8"', 1, /as a list/],
    [
      'plain = true\nallow = [\n  "::1",\n  "10.0.0.0/33",\n]',
      2,
      /allow: "10\.0\.0\.0\/33": Write an/,
    ],
    ['allow = ["::1", 5]', 1, /in quotes/],
    ['metrics = "localhost"', 1, /host:port/],
    ['share = "a=b"', 1, /\[\[share\]\]/],
    ['[share]\nname = "a"', 1, /\[\[share\]\]/],
    [
      '[[share]]\nname = "a"\nfolder = "x"\n[[share]]\nname = "b"\nfodler = "y"',
      6,
      /Did you mean folder/,
    ],
    ['[[share]]\nname = "a"\nfolder = "x"\n\n[[share]]\nname = "b"', 5, /It lacks folder/],
    ['[[share]]\nname = "a"\nfolder = "x"\n[[share]]\nname = "a"\nfolder = "y"', 4, /is taken/],
    ['[[share]]\nname = "a/b"\nfolder = "x"', 2, /not allowed/],
    ['share = [{ name = "a", folder = "x", ro = true }]', 1, /share\.ro: There is no such/],
    ['limits = 5', 1, /as a table/],
    ['[limits]\n# none\npendingConections = 5', 3, /Did you mean pendingConnections/],
    ['[limits]\npathDepth = 65', 2, /pathDepth must be a whole number/],
    ['[limits]\nfreeBytes = "10X"', 2, /number of bytes/],
    ['[limits]\nfreeBytes = true', 2, /text with a unit/],
    ['limits.transfers = 0', 1, /transfers must be/],
    ['plain = true\nlisten = "0.0.0.0"', 2, /loopback only/],
    ['tls-cert = "x"', 1, /together/],
    ['\ntls-key = "x"', 2, /together/],
    ['log-level = "loud"', 1, /Choose from fatal/],
    [`${tokenLine}scope = ["read", "wirte"]`, 4, /"wirte": Choose from read/],
    [`${tokenLine}expires = "30d"`, 4, /a date like/],
    [`${tokenLine}prefix = "../x"`, 4, /\.\./],
    [`${tokenLine}prefix = "/"`, 4, /Name a folder/],
    [`${tokenLine}max-connections = "3"`, 4, /as a number/],
    [`${tokenLine}key = "x"`, 4, /no such setting/],
    [tokenLine, 3, /token\.token-file: There is no such file/],
    ['[[token]]\nname = "a"\n', 1, /It lacks token-file/],
    ['[[token]]\nname = " a"\ntoken-file = "t"', 2, /A name begins with/],
    ['a = 1\nb = [', 2, /./],
    ['plain = true\nplain = true', 2, /./],
    ['plain = true\r\n\r\nlisen = "x"\r\n', 3, /Did you mean listen/],
    ['state = """\n"""\nlisen = 1', 3, /listen/],
    ['state = ""', 1, /not be empty/],
  ];
  for (const [text, line, says] of cases) {
    const file = await fileWith(text);
    const message = await faultsOf({ config: file });
    const wanted = message.split('\n').find((each) => each.startsWith(`${file}:${line}: `));
    t.truthy(wanted, `${text}\n→ ${message}`);
    t.regex(wanted ?? '', says, text);
  }
});

test('all faults are told at once, those of the file in the order of its lines', async (t) => {
  const config = await fileWith('lisen = 1\nallow = ["x"]\n[limits]\nx = 1\n');
  const message = await faultsOf({
    config,
    flags: { listen: ['a:b:c'] },
    env: { FERRYD_DURABILITY: '' },
  });
  const starts = message.split('\n').map((line) => line.replace(config, '').slice(0, 12));
  t.deepEqual(starts.slice(0, 2).sort(), ['--listen a:b', 'FERRYD_DURAB']);
  t.deepEqual(
    starts.slice(2).map((start) => start.slice(0, 3)),
    [':1:', ':2:', ':4:'],
  );
});

test('one fault in a table or a list does not hide the next', async (t) => {
  const config = await fileWith(
    'allow = ["x", "::1", "y"]\n[limits]\na = 1\nb = 2\n[[share]]\nfodler = "c"\n[[token]]\nscope = ["d", "e"]\nprefix = "/"',
  );
  const faults = (await faultsOf({ config })).split('\n').map((line) => line.replace(config, ''));
  const wanted = [
    /^:1: allow: "x"/,
    /^:1: allow: "y"/,
    /^:3: limits\.a: /,
    /^:4: limits\.b: /,
    /^:5: share: It lacks name/,
    /^:5: share: It lacks folder/,
    /^:6: share\.fodler: .*Did you mean folder/,
    /^:7: token: It lacks name/,
    /^:7: token: It lacks token-file/,
    /^:8: token\.scope: "d"/,
    /^:8: token\.scope: "e"/,
    /^:9: token\.prefix: /,
  ];
  t.is(faults.length, wanted.length, faults.join('\n'));
  for (const [i, says] of wanted.entries()) t.regex(faults[i] ?? '', says);
});

test('a file that cannot be read is a fault; only the usual ones may be missing', async (t) => {
  t.regex(await faultsOf({ config: join(folder, 'none') }), /there is no such file/);
  t.regex(await faultsOf({ config: folder }), /EISDIR/);
  t.regex(await faultsOf({ env: {}, config: await fileWith(' '.repeat(300_000)) }), /larger than/);
  t.regex(
    await faultsOf({ config: undefined, env: { FERRYD_CONFIG: join(folder, 'none') } }),
    /no such file/,
  );
  const env = { XDG_CONFIG_HOME: join(folder, 'xdg-none') };
  const { file } = await readOptions({ flags: {}, env });
  t.true(file === undefined || file === '/etc/chunkferry/ferryd.toml');
});

test("the user's own file comes before the machine's", (t) => {
  t.deepEqual(usualFiles({ XDG_CONFIG_HOME: '/x', HOME: '/h' }), [
    '/x/chunkferry/ferryd.toml',
    '/etc/chunkferry/ferryd.toml',
  ]);
  t.is(usualFiles({ HOME: '/h' })[0], '/h/.config/chunkferry/ferryd.toml');
  t.is(
    usualFiles({ XDG_CONFIG_HOME: 'relative', HOME: '/h' })[0],
    '/h/.config/chunkferry/ferryd.toml',
  );
  t.deepEqual(usualFiles({}), ['/etc/chunkferry/ferryd.toml']);
});

test('paths in the file are relative to it, those of flags are left alone', async (t) => {
  const config = await fileWith('folder = "served"\nstate = "../state"\n');
  const { options } = await read({ config });
  t.is(options.shares[0]?.folder, join(folder, 'served'));
  t.is(options.state, join(folder, '..', 'state'));
  t.is((await read({ flags: { state: ['state'] } })).options.state, 'state');
});

test('tokens of the file: all they allow, from files that are for one user', async (t) => {
  const [one, two] = [newToken(), newToken()];
  await writeFile(join(folder, 'one'), `${tokenText(one)}\n`, { mode: 0o600 });
  await writeFile(join(folder, 'two'), `${tokenText(two)}\n`, { mode: 0o600 });
  const text = `
[[token]]
name = "backup"
token-file = "one"
scope = ["write", "delete"]
share = ["in"]
prefix = "in/backup"
expires = 2027-01-01
quota = "10G"
max-connections = 4
rate = 1048576
[[token]]
name = "plain"
token-file = "two"
expires = "2001-01-01"
`;
  const { options } = await read({ config: await fileWith(text) });
  t.like(options.grants[0], {
    name: 'backup',
    shares: ['in'],
    prefix: 'in/backup',
    expiresAtMs: Date.UTC(2027, 0),
    quotaBytes: 10 * 2 ** 30,
    maxConnections: 4,
    bytesPerSecond: 2 ** 20,
  });
  t.deepEqual([...(options.grants[0]?.scopes ?? [])], ['write', 'delete']);
  t.deepEqual([...(options.grants[1]?.scopes ?? [])], ['read', 'write']);
  t.like(options.grants[1], { shares: undefined, prefix: '', expiresAtMs: Date.UTC(2001, 0) });

  const twice = `${tokenLine.replace('"t"', '"one"')}[[token]]\nname = "b"\ntoken-file = "one"\n`;
  t.regex(await faultsOf({ config: await fileWith(twice) }), /toml:4: token: It has the name or/);
  await chmod(join(folder, 'two'), 0o644);
  const open = tokenLine.replace('"t"', '"two"');
  t.regex(await faultsOf({ config: await fileWith(open) }), /toml:3: .*Others can read/);
});

test('a token in the wrong place is refused without being repeated', async (t) => {
  const secret = tokenText(newToken());
  const cases = [
    `[[token]]\nname = "a"\ntoken-file = "${secret}"\n`,
    `[[token]]\nname = "a"\ntoken = "${secret}"\ntoken-file = "t"\n`,
    `token = "${secret}"\n`,
    `[[token]]\nname = "a"\ntoken-file = "${secret}" nonsense\n`,
  ];
  for (const text of cases) {
    const message = await faultsOf({ config: await fileWith(text) });
    t.false(message.includes(secret), text);
    t.false(message.includes(secret.slice(6)), text);
  }
  t.regex(await faultsOf({ config: await fileWith(cases[0] ?? '') }), /:3: .*is a token itself/);
});

test('a variable that is nearly one is told, others may be there', async (t) => {
  const env = { FERRYD_LISTN: 'x', FERRYD_SERVICE_HOST: '10.0.0.1', FERRYD_PLAIN: '1' };
  const { warnings, options } = await read({ env });
  t.deepEqual(warnings, ['FERRYD_LISTN sets nothing. Did you mean FERRYD_LISTEN?']);
  t.true(options.plain);
});

test('what changed is told by the setting, once', async (t) => {
  const before = (await read({})).options;
  const flags = { share: ['a=b'], 'max-connections': ['3'] };
  const after = (await read({ flags })).options;
  t.deepEqual(
    changesOf(before, after).map(({ sets }) => sets),
    ['shares', 'limits'],
  );
  t.deepEqual(changesOf(after, (await read({ flags })).options), []);
  t.is(rowOf('listen').isLive, false);
});

test('docs/operations.md has every setting, as the table has it', async (t) => {
  const page = await readFile(join(root, 'docs', 'operations.md'), 'utf8');
  const section = page.slice(page.indexOf('### Every key'), page.indexOf('### Reload'));
  const rows = [...section.matchAll(/^\| `([\w-]+)` (.*)\|$/gm)].map(([, key = '', cells = '']) => [
    key,
    ...cells
      .split('|')
      .slice(1)
      .map((cell) => cell.trim()),
  ]);
  const flagOf = ({ name, argument = '', kind }: Setting): string => {
    if (kind.fromTexts === undefined) return '';
    return argument.startsWith('[') ? `\`${argument}\`` : `\`--${name} ${argument}`.trimEnd() + '`';
  };
  const expected = settings.map((row) => {
    const { fallback, shownFallback } = row;
    const isPlain = typeof fallback === 'string' || typeof fallback === 'number';
    const shown = shownFallback ?? (isPlain ? String(fallback) : '');
    return [keyOf(row), flagOf(row), shown, row.isLive ? 'yes' : '', row.help];
  });
  t.deepEqual(rows, expected);
});

test('the example of docs/operations.md is a valid file', async (t) => {
  const page = await readFile(join(root, 'docs', 'operations.md'), 'utf8');
  const [, example = ''] = /```toml\n(.*?)```/s.exec(page) ?? [];
  const secret = join(folder, 'backup.token');
  await writeFile(secret, tokenText(newToken()), { mode: 0o600 });
  const config = await fileWith(example.replace('/etc/chunkferry/backup.token', secret));
  const { options } = await read({ config });
  t.is(options.shares.length, 2);
  t.is(options.grants[0]?.name, 'backup');
});
