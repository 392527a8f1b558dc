/** Reads the tables of docs/protocol.md, which the code must agree with. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { root } from '../../helpers/root.ts';

export const specification: string = readFileSync(join(root, 'docs', 'protocol.md'), 'utf8');

/** The text under a heading, up to the next heading. */
export function section(heading: string): string {
  const lines = specification.split('\n');
  const start = lines.findIndex(
    (line) => /^#+ /.test(line) && line.replace(/^#+ /, '') === heading,
  );
  if (start < 0) throw new Error(`docs/protocol.md has no heading "${heading}".`);
  const length = lines.slice(start + 1).findIndex((line) => line.startsWith('#'));
  return lines.slice(start + 1, length < 0 ? undefined : start + 1 + length).join('\n');
}

/** The rows of the first table under a heading, by the names of its columns. */
export function table(heading: string): Map<string, string>[] {
  const rows = section(heading)
    .split('\n')
    .filter((line) => line.startsWith('|'))
    .map((line) =>
      line
        .split('|')
        .slice(1, -1)
        .map((cell) => cell.trim()),
    );
  const [names, , ...cells] = rows;
  return cells.map((row) => new Map(names?.map((name, i) => [name, row[i] ?? ''])));
}

/** The names in backticks. */
export function quoted(text: string): string[] {
  return [...text.matchAll(/`([^`]+)`/g)].map((match) => match[1] ?? '');
}

/** state → speaker → event → next state, from the table of the conversation. */
export type DocumentedRules = Map<string, Record<'sender' | 'receiver', Map<string, string>>>;

/** Reads "`a`, `b` → state; `c` → other". */
function transitions(cell: string): Map<string, string> {
  if (cell === 'nothing') return new Map();
  return new Map(
    cell.split(';').flatMap((part) => {
      const [events = '', next = ''] = part.split('→');
      return quoted(events).map((event): [string, string] => [event, next.trim()]);
    }),
  );
}

export function documentedRules(): DocumentedRules {
  return new Map(
    table('Who may say what, when').map((row) => [
      row.get('State') ?? '',
      {
        sender: transitions(row.get('The sender may say') ?? ''),
        receiver: transitions(row.get('The receiver may say') ?? ''),
      },
    ]),
  );
}
