import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import {
  daemonLimits,
  defaultLimits,
  limitFault,
  limitNames,
  limitTable,
} from '../../daemon/limits.ts';
import { FerryError } from '../../protocol/errors.ts';
import { root } from '../helpers/root.ts';

const suffixes = ['', 'k', 'M', 'G', 'T'];

/** As the command line takes it. */
function shown(value: number, unit: string): string {
  let [number, power] = [value, 0];
  while (unit === 'bytes' && number >= 1024 && number % 1024 === 0) {
    number /= 1024;
    power += 1;
  }
  return `${number}${suffixes[power] ?? ''}`;
}

test('docs/limits.md has the table of limits', (t) => {
  const page = readFileSync(join(root, 'docs', 'limits.md'), 'utf8');
  const rows = [...page.matchAll(/^\| `(\w+)` (.*)\|$/gm)].map(([, name = '', cells = '']) => [
    name,
    ...cells
      .split('|')
      .slice(1)
      .map((cell) => cell.trim()),
  ]);
  const expected = limitNames.map((name) => {
    const { default: initial, least, most, unit, help } = limitTable[name];
    return [name, ...[initial, least, most].map((value) => shown(value, unit)), help];
  });
  t.deepEqual(rows, expected);
});

test('every default is a value that may be set', (t) => {
  for (const name of limitNames) t.is(limitFault(name, defaultLimits[name]), undefined, name);
});

test('a value outside of its bounds, or that is no whole number, is refused by name', (t) => {
  for (const name of limitNames) {
    const { least, most } = limitTable[name];
    t.is(limitFault(name, least), undefined);
    t.is(limitFault(name, most), undefined);
    for (const wrong of [least - 1, most + 1, least + 0.5, Number.NaN, '5', undefined]) {
      t.true(limitFault(name, wrong)?.startsWith(`${name} must be`), `${name} ${String(wrong)}`);
    }
  }
  const error = t.throws(() => daemonLimits({ pathDepth: 65 }), { instanceOf: FerryError });
  t.is(error?.message, 'pathDepth must be a whole number from 1 to 64.');
});

test('what is not set has its default', (t) => {
  t.deepEqual(daemonLimits({ connections: 3 }), { ...defaultLimits, connections: 3 });
});
