/** docs/json.md and docs/cli.md say what events.ts and the command line say. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import test from 'ava';
import { createProgram } from '../../client/cli.ts';
import { failures } from '../../protocol/errors.ts';
import { root } from '../helpers/root.ts';
import { outputs } from './helpers/outputs.ts';

const read = (...parts: string[]) => readFileSync(join(root, ...parts), 'utf8');
const jsonPage = read('docs', 'json.md');
const cliPage = read('docs', 'cli.md');

interface Field {
  readonly type: string;
  readonly optional: boolean;
}
type Fields = Record<string, Field>;

/** How the types of events.ts are called in the docs. */
const typeNames: Readonly<Record<string, string>> = {
  'typeof schema': 'number',
  'number | null': 'number or null',
  'Phase | null': 'string or null',
  'Readonly<Record<string, unknown>>': 'object',
  'readonly string[]': 'array of strings',
  'readonly number[]': 'array of numbers',
  'Latency | null': 'object or null',
  BenchSummary: 'object',
  FileOutcome: 'string',
  EntryKind: 'string',
  FailureName: 'string',
};

function typeName(type: string): string {
  if (/^'[a-z]+'$/.test(type)) return `"${type.slice(1, -1)}"`;
  if (type.startsWith("'")) return 'string';
  return typeNames[type] ?? type;
}

/** Events as events.ts declares them, by their type. */
function declared(): Record<string, Fields> {
  const source = read('client', 'events.ts').replace(/\/\*\*.*?\*\//gs, '');
  const events: Record<string, Fields> = {};
  for (const [, body] of source.matchAll(/export interface \w+Event \{(.*?)\n\}/gs)) {
    const fields: Fields = {};
    for (const [, name, mark, type] of (body ?? '').matchAll(/readonly (\w+)(\??): ([^;]+);/g)) {
      fields[name ?? ''] = { type: typeName(type ?? ''), optional: mark === '?' };
    }
    events[fields['type']?.type.slice(1, -1) ?? ''] = fields;
  }
  return events;
}

/** Each event's part of docs/json.md. */
function sections(): Map<string, string> {
  const parts = jsonPage.split(/^### `(\w+)`$/m).slice(1);
  const pairs = parts.flatMap((name, i) =>
    i % 2 === 0 ? [[name, parts[i + 1] ?? ''] as const] : [],
  );
  return new Map(pairs);
}

function documented(): Record<string, Fields> {
  const events: Record<string, Fields> = {};
  for (const [event, text] of sections()) {
    const fields: Fields = {};
    for (const [, name, type] of text.matchAll(/^\| `(\w+)` +\| ([^|]+?) +\|/gm)) {
      const plain = (type ?? '').replaceAll('`', '');
      const optional = plain.endsWith(', optional');
      fields[name ?? ''] = { type: plain.replace(/, optional$/, ''), optional };
    }
    events[event] = fields;
  }
  return events;
}

test('docs/json.md has every event and every field with its type', (t) => {
  t.is(Object.keys(declared()).length, 10);
  t.deepEqual(documented(), declared());
});

test('the examples of docs/json.md are such events', (t) => {
  for (const [event, text] of sections()) {
    const [, example] = /```jsonl\n(.*?)\n```/s.exec(text) ?? [];
    const object = JSON.parse(example ?? '') as Record<string, unknown>;
    t.is(object['type'], event);
    const fields = documented()[event] ?? {};
    const required = Object.keys(fields).filter((name) => fields[name]?.optional === false);
    t.deepEqual(
      required.filter((name) => !(name in object)),
      [],
      event,
    );
    t.deepEqual(
      Object.keys(object).filter((name) => !(name in fields)),
      [],
      event,
    );
  }
});

test("docs/json.md names all of the client's own failures", (t) => {
  const own = Object.entries(failures).filter(([, { code }]) => code >= 100);
  for (const [name] of own) t.true(jsonPage.includes(`\`${name}\``), name);
});

// ---- the command line --------------------------------------------------------------------------

function program() {
  const owner = { uid: 0, platform: process.platform, runtimeFolder: undefined };
  const shell = {
    ...outputs(),
    stdin: Readable.from([]),
    folder: '/',
    owner,
    cpuUs: () => 0,
    atWork: () => {},
    onStop: () => {},
  };
  return createProgram(shell, { exitCode: 0 });
}

/** `command flags` for each option that the program has. */
function programOptions(): string[] {
  return program().commands.flatMap((command) =>
    command.options.map(({ flags }) => `${command.name()} ${flags}`),
  );
}

/** The same, from the tables of docs/cli.md. */
function documentedOptions(): string[] {
  const names = program()
    .commands.map((command) => command.name())
    .filter((name) => !name.endsWith('pair'));
  const [ofFerry = ''] = cliPage.split('\n## Tokens');
  const rows = ofFerry.matchAll(/^\| (`-[^|]*`) +\| ([^|]+?) +\|/gm);
  return [...rows].flatMap(([, flags, commands]) => {
    const plain = (flags ?? '').replaceAll('`', '');
    if (/--help|--version/.test(plain)) return [];
    const all = names.filter((name) => commands === 'all' || name !== 'version');
    const chosen = commands?.startsWith('all') === true ? all : (commands?.split(', ') ?? []);
    return chosen.map((command) => `${command} ${plain}`);
  });
}

test('docs/cli.md has every option of every command, and no other', (t) => {
  t.deepEqual(documentedOptions().sort(), programOptions().sort());
});

test('docs/cli.md has every command, and its aliases', (t) => {
  const [, block] = /```\n(.*?)```/s.exec(cliPage) ?? [];
  const lines = (block ?? '').trim().split('\n');
  const names = lines.map((line) => line.split(/\s+/)[1]);
  t.deepEqual(
    names,
    program().commands.map((command) => command.name()),
  );
  for (const command of program().commands) {
    const line = lines.find((text) => text.startsWith(`ferry ${command.name()} `)) ?? '';
    for (const alias of command.aliases()) t.true(line.includes(`also: ${alias}`), alias);
  }
});

test('docs/cli.md has every exit code', (t) => {
  const [, table] = /## Exit codes\n(.*)/s.exec(cliPage) ?? [];
  const codes = [...(table ?? '').matchAll(/^\| (\d+) +\|/gm)].map(([, code]) => Number(code));
  const known = new Set([0, ...Object.values(failures).map(({ exit }) => exit)]);
  t.deepEqual(
    codes,
    [...known].sort((a, b) => a - b),
  );
});

test('what the tables say of the environment holds', (t) => {
  const [, first, second] = cliPage.split('## Options')[1]?.split(/\| option +\| commands/) ?? [];
  const bare = new Set(['mkdir -p, --parents', 'rm -r, --recursive']);
  for (const command of program().commands) {
    for (const { flags, long, envVar } of command.options) {
      const name = `FERRY_${(long ?? '').slice(2).replaceAll('-', '_').toUpperCase()}`;
      t.is(envVar, bare.has(`${command.name()} ${flags}`) ? undefined : name, flags);
    }
  }
  t.regex(first ?? '', /--exclude/);
  t.regex(second ?? '', /--parents/);
});

test('the rules that docs/cli.md and docs/recipes.md show are read', async (t) => {
  const { parseRuleFile } = await import('../../client/filter.ts');
  const [, rules] = /# ~\/\.config\/ferry\/rules\n(.*?)```/s.exec(read('docs', 'recipes.md')) ?? [];
  t.is(parseRuleFile((rules ?? '').split('\n')).length, 5);
});
