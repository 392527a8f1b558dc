/** The computed parts of docs/protocol.md. Each stands between two marks. */
import { checksum, digestOf, fold } from '../../../protocol/checksum.ts';
import { chunkChecksums } from '../../../protocol/segments.ts';
import { exampleSession } from './session.ts';

export interface Example {
  readonly name: string;
  readonly text: string;
}

const hex64 = (value: bigint): string => value.toString(16).padStart(16, '0');

/** Byte i of the worked example is i mod 251. */
export function exampleFile(sizeBytes: number): Uint8Array {
  return Uint8Array.from({ length: sizeBytes }, (_, i) => i % 251);
}

const chunkBytes = 65_536;
/** 128 whole chunks are a segment; then one whole chunk and one of 5 bytes. */
export const exampleBytes: number = 129 * chunkBytes + 5;

function worked(): string {
  const sums = chunkChecksums(exampleFile(exampleBytes), chunkBytes);
  const segments = [fold(sums.subarray(0, 128)), fold(sums.subarray(128))];
  const hello = checksum(new TextEncoder().encode('hello'));
  const chunk = (i: number): [string, bigint] => [`checksum of chunk ${i}`, sums[i] as bigint];
  const rows: [string, bigint][] = [
    chunk(0),
    chunk(1),
    chunk(127),
    chunk(128),
    chunk(129),
    ['checksum of segment 0', segments[0] as bigint],
    ['checksum of segment 1', segments[1] as bigint],
    ['digest', digestOf(segments, exampleBytes)],
    ['digest of a file that consists of `hello`', digestOf([fold(BigUint64Array.of(hello))], 5)],
    ['digest of an empty file', digestOf([], 0)],
  ];
  const title = ['Value', 'Hexadecimal, highest digit first'] as const;
  const cells = rows.map(([what, value]) => [what, `\`${hex64(value)}\``] as const);
  const width = Math.max(...cells.map(([what]) => what.length));
  const line = ([left, right]: readonly [string, string], fill = ' '): string =>
    `| ${left.padEnd(width, fill)} | ${right.padEnd(title[1].length, fill)} |`;
  return [line(title), line(['', ''], '-'), ...cells.map((row) => line(row))].join('\n');
}

function session(): string {
  return exampleSession
    .map(({ speaker, about, layout }) => {
      const arrow = speaker === 'client' ? 'client → daemon' : 'daemon → client';
      return `${arrow}: ${about}\n\n\`\`\`hex\n${layout.toString()}\`\`\`\n`;
    })
    .join('\n')
    .trimEnd();
}

export function examples(): Example[] {
  return [
    { name: 'worked', text: worked() },
    { name: 'session', text: session() },
  ];
}

const begin = (name: string): string =>
  `<!-- begin ${name}: written by test/protocol/helpers/generate.ts -->`;
const end = (name: string): string => `<!-- end ${name} -->`;

/** What stands between the marks of an example in `markdown`. */
export function exampleIn(markdown: string, name: string): string {
  const after = markdown.split(begin(name))[1];
  const text = after?.split(end(name))[0];
  if (text === undefined) throw new Error(`docs/protocol.md has no example "${name}".`);
  return text.trim();
}

export function withExamples(markdown: string, all: readonly Example[]): string {
  return all.reduce(
    (text, example) => text.replace(exampleIn(text, example.name), () => example.text),
    markdown,
  );
}
