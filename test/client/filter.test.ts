import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'ava';
import fc from 'fast-check';
import { parseRule, parseRuleFile, selectionOf, settleRules } from '../../client/filter.ts';
import { everything } from '../../client/transfer-options.ts';
import { FerryError } from '../../protocol/errors.ts';

function selection(...texts: string[]) {
  return selectionOf(settleRules(texts.map((text) => parseRule(text, false))));
}

/** Pattern, what it excludes, what it leaves; a slash at the end makes a folder of a path. */
const table: readonly (readonly [string, readonly string[], readonly string[]])[] = [
  ['*.o', ['a.o', 'x/a.o', '.o', 'dir.o/'], ['a.oo', 'a.o/x', 'o']],
  ['/a', ['a', 'a/'], ['x/a', 'ab']],
  ['a/', ['a/', 'x/a/'], ['a', 'x/a']],
  ['a/b', ['a/b', 'x/a/b', 'x/y/a/b/'], ['xa/b', 'a/b/c', 'b']],
  ['/a/*', ['a/b', 'a/.b'], ['a', 'a/b/c', 'x/a/b']],
  ['a/**', ['a/b', 'a/b/c', 'x/a/b'], ['a', 'ab/c']],
  ['a/***', ['a/', 'a/b', 'a/b/c', 'x/a/'], ['a', 'ab/']],
  ['**/c', ['c', 'b/c', 'a/b/c'], ['bc', 'c/d']],
  ['a**c', ['ac', 'abc', 'a/b/c', 'x/a/c'], ['xa/c/d', 'ba/c']],
  ['a/**/c', ['a/b/c', 'a/b/b/c'], ['a/c', 'c']],
  ['?', ['a', 'ä', '😀', 'x/a'], ['ab']],
  ['[a-c]x', ['ax', 'cx'], ['dx', '-x', 'x']],
  ['[!a]x', ['bx', '!x'], ['ax', 'x']],
  ['[^a]x', ['bx', '^x'], ['ax']],
  ['[]a]x', [']x', 'ax'], ['bx']],
  ['[a', [], ['[a', 'a']],
  ['[[:digit:]]', ['7'], ['a', ':', '[']],
  ['[[:nonsense:]]', [], ['n', ':']],
  ['\\*', ['*', 'x/*'], ['a', '\\*']],
  ['a\\b', ['a\\b'], ['ab']],
  ['a\\b*', ['abc', 'ab'], ['a\\b']],
  ['{a,b}', ['{a,b}'], ['a', 'b']],
  ['@(a|b)', ['@(a|b)'], ['a']],
  ['*|b', ['a|b'], ['a', 'b']],
  ['"*"', ['"a"'], ['a']],
  ['a.c', ['a.c'], ['abc']],
  ['*\\d', ['d', 'ad'], ['1', 'dd1']],
];
for (const [pattern, excluded, left] of table) {
  test(`the pattern ${pattern} takes what it says`, (t) => {
    const { includes } = selection(pattern);
    const taken = (path: string) => includes(path.replace(/\/$/, ''), path.endsWith('/'));
    t.deepEqual(excluded.filter(taken), []);
    t.deepEqual(left.filter(taken), [...left]);
  });
}

test('the first rule that matches decides, and what none matches takes part', (t) => {
  const { includes } = selection('+ keep.o', '*.o', '+ *.o');
  t.true(includes('keep.o', false));
  t.false(includes('lose.o', false));
  t.true(includes('other', false));
});

test('the source itself always takes part', (t) => {
  t.true(selection('*', '**', '/').includes('', true));
});

test('no rules are everything', (t) => {
  t.is(selectionOf([]), everything);
});

test('a rule says itself whether it includes, and ! forgets those before', (t) => {
  t.deepEqual(parseRule('+ a', false), { include: true, pattern: 'a' });
  t.deepEqual(parseRule('- a', true), { include: false, pattern: 'a' });
  t.deepEqual(parseRule('-a', true), { include: true, pattern: '-a' });
  t.deepEqual(parseRule('+  a ', false), { include: true, pattern: ' a ' });
  t.is(parseRule('!', false), 'clear');
  t.deepEqual(settleRules(['a', '!', 'b', 'c'].map((text) => parseRule(text, false))), [
    { include: false, pattern: 'b' },
    { include: false, pattern: 'c' },
  ]);
});

test('blank lines and comments of a rule file do not count', (t) => {
  const lines = ['# a', '; b', '', '*.o', '+ c', '- d', ' # not one'];
  t.deepEqual(parseRuleFile(lines), [
    { include: false, pattern: '*.o' },
    { include: true, pattern: 'c' },
    { include: false, pattern: 'd' },
    { include: false, pattern: ' # not one' },
  ]);
});

for (const text of ['', '- ', '+ ', 'a\0b']) {
  test(`${JSON.stringify(text)} is no rule`, (t) => {
    const error = t.throws(() => parseRule(text, false), { instanceOf: FerryError });
    t.is(error?.exitCode, 2);
  });
}

// ---- side by side with rsync -------------------------------------------------------------------

/** Folders end in a slash. */
const tree = [
  ['a/', 'a/a/', 'a/a/a', 'a/a/b.c', 'a/b/', 'a/b/a', 'a/b/.c', 'a/c', 'a/-', 'a.b/', 'a.b/a'],
  ['b/', 'b/a/', 'b/a/b/', 'b/a/b/c', 'b/c', '.a', '.b/', '.b/a', 'c', 'ab', 'abc', 'a.c', 'b.c'],
  ['[a]', 'a*', '*', '?', '(a)', 'a|b', '"a"', '!a', '^', '{a,b}', ']', '-', 'a-c', 'a+', 'ba'],
].flat();

function makeTree(): string {
  const folder = mkdtempSync(join(tmpdir(), 'ferry-filter-'));
  for (const path of tree) {
    if (path.endsWith('/')) mkdirSync(join(folder, path));
    else writeFileSync(join(folder, path), '');
  }
  return folder;
}

/** What takes part by our rules; what is below an excluded folder does not. */
function ours(folder: string, texts: readonly string[]): string[] {
  const { includes } = selection(...texts);
  const walk = (parent: string): string[] =>
    readdirSync(join(folder, parent), { withFileTypes: true }).flatMap((entry) => {
      const path = parent + entry.name;
      if (!includes(path, entry.isDirectory())) return [];
      return entry.isDirectory() ? [`${path}/`, ...walk(`${path}/`)] : [path];
    });
  return walk('').sort();
}

function rsyncs(folder: string, texts: readonly string[]): string[] {
  const rules = texts.map((text) => `--exclude=${text}`);
  const options = ['-rn', '-8', '--out-format=%n', ...rules, `${folder}/`, `${folder}-absent/`];
  const { stdout, stderr, status } = spawnSync('rsync', options, { encoding: 'utf8' });
  if (status !== 0) throw new Error(stderr);
  return stdout
    .split('\n')
    .filter((line) => line !== '' && line !== './')
    .sort();
}

const pattern = fc
  .array(
    fc.oneof(
      { weight: 4, arbitrary: fc.constantFrom('a', 'b', 'c', '.c') },
      { weight: 4, arbitrary: fc.constantFrom('*', '**', '?', '/', '/', '/***') },
      {
        weight: 2,
        arbitrary: fc.constantFrom('[a-b]', '[!a]', '[^b]', '[]a]', '[[:alpha:]]', '[b-a]', '[-a]'),
      },
      {
        weight: 1,
        arbitrary: fc.constantFrom(
          '\\',
          '[',
          ']',
          '|',
          '(a)',
          '"',
          '{a,b}',
          '+',
          '-',
          '!',
          '^',
          '\\*',
        ),
      },
    ),
    { minLength: 1, maxLength: 6 },
  )
  .map((pieces) => pieces.join(''))
  // A class holds no slash in a sensible pattern; rsync counts one there in a way of its own.
  .filter((text) => text !== '!' && !/\[[^\]]*\//.test(text));
const ruleText = fc
  .tuple(fc.constantFrom('- ', '- ', '+ '), pattern)
  .map(([mark, text]) => mark + text);

const hasRsync = spawnSync('rsync', ['--version']).status === 0;
(hasRsync ? test : test.skip)('rules take what they take in rsync', (t) => {
  const folder = makeTree();
  const runs = Number(process.env['FERRY_TEST_RUNS'] ?? 150);
  try {
    fc.assert(
      fc.property(fc.array(ruleText, { minLength: 1, maxLength: 4 }), (texts) => {
        assert.deepEqual(ours(folder, texts), rsyncs(folder, texts));
      }),
      { numRuns: runs },
    );
    t.pass();
  } finally {
    rmSync(folder, { recursive: true });
  }
});
