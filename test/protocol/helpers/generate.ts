/**
 * Writes fixtures/frames from the layouts, and the examples of docs/protocol.md from the code:
 * `node dist/test/protocol/helpers/generate.js`. The tests fail when either is out of date.
 */
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { root } from '../../helpers/root.ts';
import { examples, withExamples } from './examples.ts';
import { fixturesFolder } from './fixtures.ts';
import { alsoValid, goldens } from './goldens.ts';
import { malformedFrames } from './malformed.ts';
import { malformedPreambles, preambles } from './preambles.ts';

interface File {
  readonly name: string;
  readonly about: string;
  readonly layout: { toString(): string };
}

function writeAll(folder: string, files: readonly File[]): void {
  const path = join(fixturesFolder, folder);
  rmSync(path, { recursive: true, force: true });
  mkdirSync(path, { recursive: true });
  for (const { name, about, layout } of files) {
    writeFileSync(join(path, `${name}.hex`), `# ${about}\n${layout.toString()}`);
  }
}

writeAll('.', [...preambles, ...goldens]);
writeAll('also-valid', alsoValid);
writeAll('malformed', [
  ...malformedFrames.map((frame) => ({ ...frame, about: `${frame.failure}: ${frame.reason}` })),
  ...malformedPreambles,
]);

const docs = join(root, 'docs', 'protocol.md');
writeFileSync(docs, withExamples(readFileSync(docs, 'utf8'), examples()));
