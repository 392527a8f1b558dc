/** Every threat has a case that plays it. */
import { readFile } from 'node:fs/promises';
import path from 'node:path';
import test from 'ava';
import { root } from '../helpers/root.ts';
import { threats } from './threats.ts';

for (const [name, lines] of Object.entries(threats)) {
  test(`${name}: each line has a case that is there`, async (t) => {
    for (const { line, cases } of lines) {
      t.true(cases.length > 0, line);
      for (const one of cases) {
        const [file = '', title = ''] = one.split(/: (.*)/s);
        const text = await readFile(path.join(root, 'test', `${file}.test.ts`), 'utf8');
        t.true(text.includes(title), `${line}: "${title}" in ${file}`);
      }
    }
  });
}
