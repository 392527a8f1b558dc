/** Golden preambles, laid out by hand like the frames. */
import { Layout } from './layout.ts';

const magic = [0x89, 0x46, 0x45, 0x52, 0x52, 0x59, 0x0d, 0x0a];

export interface GoldenPreamble {
  readonly name: string;
  /** First line of the file. */
  readonly about: string;
  readonly lowest: number;
  readonly highest: number;
  readonly extensionBytes: number;
  readonly layout: Layout;
}

function preamble(
  name: string,
  about: string,
  [lowest, highest, extensionBytes]: readonly [number, number, number],
  first = magic,
): GoldenPreamble {
  const layout = new Layout()
    .raw('magic', first)
    .u16('lowest', lowest)
    .u16('highest', highest)
    .u32('extension length', extensionBytes);
  if (extensionBytes === 4) layout.raw('extension', [0xde, 0xad, 0xbe, 0xef], 'skipped');
  return { name, about, lowest, highest, extensionBytes, layout };
}

export const preambles: readonly GoldenPreamble[] = [
  preamble('preamble', 'preamble: version 1', [1, 1, 0]),
  preamble('preamble-later', 'preamble: of a later release, with an extension', [1, 7, 4]),
];

export const malformedPreambles: readonly GoldenPreamble[] = [
  preamble('preamble-magic', 'protocol: not the magic bytes', [1, 1, 0], [0x88, ...magic.slice(1)]),
  preamble(
    'preamble-line-end',
    'protocol: a link that rewrote the line end',
    [1, 1, 0],
    [...magic.slice(0, 6), 0x0a, 0x0a],
  ),
  preamble('preamble-order', 'protocol: the lowest version is above the highest', [2, 1, 0]),
  preamble('preamble-extension', 'protocol: an extension of 1,025 bytes', [1, 1, 1025]),
];
