/** Where the repository is, from wherever the compiled tests run. */
import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

function rootAbove(folder: string): string {
  if (existsSync(join(folder, 'package.json'))) return folder;
  const parent = dirname(folder);
  if (parent === folder) throw new Error('No package.json stands above the tests.');
  return rootAbove(parent);
}

/** The folder that holds package.json, docs/ and fixtures/. */
export const root: string = rootAbove(dirname(fileURLToPath(import.meta.url)));
