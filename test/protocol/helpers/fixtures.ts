/** Reads the commented hex under fixtures/frames. */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { root } from '../../helpers/root.ts';
import { fromHex } from './layout.ts';

export const fixturesFolder: string = join(root, 'fixtures', 'frames');

export interface Fixture {
  /** File name without its extension. */
  readonly name: string;
  /** The first comment. */
  readonly title: string;
  readonly bytes: Uint8Array;
  /** Labels of the fields behind the header, in order. */
  readonly labels: readonly string[];
}

const headerFields = 8;

export function parseHex(text: string): Pick<Fixture, 'bytes' | 'labels'> {
  const lines = text.split('\n').filter((line) => line !== '' && !line.startsWith('#'));
  const comments = lines.map((line) => line.split('#')[1]?.trim()).filter((c) => c !== undefined);
  return {
    bytes: fromHex(lines.map((line) => line.split('#')[0]).join('')),
    labels: comments.slice(headerFields).map((comment) => comment.split(':')[0] ?? ''),
  };
}

/** All files of a folder below fixtures/frames, by name. */
export function readFixtures(folder: string): Map<string, Fixture> {
  const path = join(fixturesFolder, folder);
  const files = readdirSync(path).filter((file) => file.endsWith('.hex'));
  return new Map(
    files.map((file) => {
      const text = readFileSync(join(path, file), 'utf8');
      const name = file.replace('.hex', '');
      return [name, { name, title: text.split('\n')[0]?.slice(2) ?? '', ...parseHex(text) }];
    }),
  );
}
