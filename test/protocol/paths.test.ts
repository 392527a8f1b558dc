import test from 'ava';
import fc from 'fast-check';
import { TransferError } from '../../protocol/errors.ts';
import {
  componentFault,
  escaped,
  joinPath,
  jsonLine,
  parentAndName,
  shown,
  splitPath,
  stagingName,
} from '../../protocol/paths.ts';

const good = [
  'a',
  'aux.c',
  'x\\x2dy.slice',
  'apache.',
  ' ',
  '...',
  '.chunkferry2',
  '.CHUNKFERRY',
  'ä',
  'a\u0308',
  'new\nline',
  '-rf',
  'C:',
  '😀',
  'x'.repeat(255),
  'ä'.repeat(127),
];
for (const name of good) {
  test(`a component may be ${shown(name.slice(0, 20))} (${name.length})`, (t) => {
    t.is(componentFault(name), undefined);
    t.deepEqual(splitPath(`share/${name}`), ['share', name]);
  });
}

const bad: readonly (readonly [string, RegExp])[] = [
  ['', /empty/],
  ['.', /component "\."/],
  ['..', /component "\.\."/],
  [stagingName, /staging/],
  ['a\0b', /NUL/],
  ['\ud800', /Unicode/],
  ['x'.repeat(256), /longer than 255 bytes/],
  ['ä'.repeat(128), /longer than 255 bytes/],
];
for (const [name, why] of bad) {
  test(`a component may not be ${shown(name.slice(0, 20))} (${name.length})`, (t) => {
    t.regex(componentFault(name) ?? '', why);
    for (const path of [`a/${name}`, `${name}/a`, `a/${name}/a`]) {
      const error = t.throws(() => splitPath(path), { instanceOf: TransferError });
      t.is(error?.failure, 'bad-path');
      t.regex(error?.message ?? '', why);
    }
  });
}

test('a slash separates components and stands in none', (t) => {
  t.regex(componentFault('a/b') ?? '', /slash/);
  t.deepEqual(splitPath('a/b'), ['a', 'b']);
  for (const path of ['/', '/a', 'a/', 'a//b']) {
    t.throws(() => splitPath(path), { instanceOf: TransferError }, path);
  }
});

test('the empty path is the root', (t) => {
  t.deepEqual(splitPath(''), []);
});

test('a path has at most 4096 bytes and 64 components', (t) => {
  const component = 'ä'.repeat(63);
  const longest = Array.from({ length: 32 }, () => component)
    .join('/')
    .slice(0, 2047);
  t.notThrows(() => splitPath(longest));
  const tooLong = t.throws(() => splitPath(`${longest}${'/ab'.repeat(20)}`));
  t.regex(tooLong?.message ?? '', /longer than 4096 bytes/);
  const folders = (count: number): string => Array.from({ length: count }, () => 'a').join('/');
  t.is(splitPath(folders(64)).length, 64);
  const tooDeep = t.throws(() => splitPath(folders(65)), { instanceOf: TransferError });
  t.regex(tooDeep?.message ?? '', /deeper than 64/);
});

test('valid components come back unchanged', (t) => {
  const component = fc
    .string({ unit: 'binary', minLength: 1, maxLength: 60 })
    .filter((name) => componentFault(name) === undefined);
  const property = fc.property(fc.array(component, { minLength: 1, maxLength: 10 }), (names) => {
    const path = names.reduce(joinPath, '');
    t.is(path, names.join('/'));
    t.deepEqual(splitPath(path), names);
    t.deepEqual(parentAndName(path), { parent: names.slice(0, -1).join('/'), name: names.at(-1) });
  });
  fc.assert(property);
});

test('joinPath leaves out what is empty', (t) => {
  t.is(joinPath('', ''), '');
  t.is(joinPath('a', ''), 'a');
  t.is(joinPath('', 'b'), 'b');
  t.is(joinPath('a', 'b/c'), 'a/b/c');
});

test('what can mislead a reader is escaped', (t) => {
  t.is(escaped('plain ä 日本 😀'), 'plain ä 日本 😀');
  t.is(escaped('a\nb'), 'a\\nb');
  t.is(escaped('back\\slash'), 'back\\\\slash');
  t.is(escaped('\u001b[31m'), '\\u{1b}[31m');
  t.is(
    escaped('a\u202eb\u200bc\ufeffd\u2066e\u061cf\u0085g'),
    'a\\u{202e}b\\u{200b}c\\u{feff}d\\u{2066}e\\u{61c}f\\u{85}g',
  );
  t.is(escaped('\ud800'), '\\u{d800}');
  t.is(shown('a'), '"a"');
});

test('a line of JSON holds nothing that misleads, and reads back as the same', (t) => {
  t.is(jsonLine({ a: 'ä\u009b\u202e\n😀' }), '{"a":"ä\\u009b\\u202e\\n😀"}');
  fc.assert(
    fc.property(fc.string({ unit: 'binary', maxLength: 100 }), (text) => {
      const line = jsonLine({ [text]: text });
      t.deepEqual(JSON.parse(line), { [text]: text });
      t.notRegex(
        line,
        /[\u0000-\u001f\u007f-\u009f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]/,
      );
    }),
  );
});

test('what is shown has a bounded length, and no control character', (t) => {
  t.is(escaped('x'.repeat(2000)).length, 1025);
  fc.assert(
    fc.property(fc.string({ unit: 'binary', maxLength: 100 }), (text) => {
      t.notRegex(escaped(text), /[\u0000-\u001f\u007f-\u009f\u202a-\u202e]/);
    }),
  );
});
