/** The example session of docs/protocol.md: an upload of "hello", every byte both ways. */
import type { ToldLimits } from '../../../protocol/frames/connection.ts';
import type { Offer } from '../../../protocol/frames/transfer.ts';
import { type Golden, golden, id, mtimeNs, plainPolicy, policy, range } from './golden.ts';
import { toldLimits } from './goldens-connection.ts';
import { Layout } from './layout.ts';
import { preambles } from './preambles.ts';

export interface Said {
  readonly speaker: 'client' | 'daemon';
  readonly about: string;
  readonly layout: Layout;
  /** Undefined for a preamble. */
  readonly frame?: Golden['frame'];
}

const told: ToldLimits = {
  chunkBytesMin: 1024,
  chunkBytesMax: 4_194_304,
  inFlightBytes: 16_777_216,
  requests: 64,
  pages: 8,
};
const hello = new TextEncoder().encode('hello');
/** XXH64 of "hello", and the digest of a file that consists of it; a test computes both. */
export const helloChecksum = 0x26c7_827d_889f_6da3n;
export const helloDigest = 0x7360_b2bc_52bf_7b69n;
const session = { client: id(0x10), daemon: id(0x20) };
const nonces = {
  client: Uint8Array.from({ length: 32 }, (_, i) => 0x40 + i),
  daemon: Uint8Array.from({ length: 32 }, (_, i) => 0x80 + i),
};
const operation = id(0x30);
const transfer = id(0x60);
const identity = Uint8Array.of(0xca, 0xfe);

const offered: Offer = {
  path: 'share/hello.txt',
  size: 5,
  mtimeNs,
  mode: 0o644,
  identity,
  chunkBytes: 65_536,
  rewindable: true,
  sha256: false,
  operation,
  policy: {
    overwrite: 'always',
    checksum: false,
    delta: false,
    fresh: false,
    modifyWindowNs: 10_000,
  },
};

function greeting(speaker: 'client' | 'daemon', software: string): Said[] {
  const frame = {
    type: 'hello',
    request: 0,
    session: session[speaker],
    nonce: nonces[speaker],
    features: [],
    limits: told,
    software,
  } as const;
  const { layout } = golden('', '', 0x01, frame, (payload) => {
    payload
      .u16('fields', 5)
      .field(1, 'session', false, (value) => value.raw('session', session[speaker]))
      .field(2, 'nonce', false, (value) => value.raw('nonce', nonces[speaker]))
      .field(3, 'features', false, (value) => value.u16('features.count', 0));
    toldLimits(payload, told).field(5, 'software', false, (value) =>
      value.raw('software', new TextEncoder().encode(software), JSON.stringify(software)),
    );
  });
  const preamble = preambles[0]?.layout ?? new Layout();
  return [
    { speaker, about: `The ${speaker}'s preamble`, layout: preamble },
    { speaker, about: `The ${speaker}'s hello`, layout, frame },
  ];
}

function writeOffer(payload: Layout): void {
  payload
    .u16('fields', 9)
    .field(1, 'path', false, (value) => value.text('path', offered.path))
    .field(2, 'size', false, (value) => value.u64('size', 5))
    .field(3, 'mtimeNs', false, (value) => value.u64('mtimeNs', mtimeNs))
    .field(4, 'mode', false, (value) => value.u16('mode', 0o644, 'octal 644'))
    .field(5, 'identity', false, (value) => value.raw('identity', identity))
    .field(6, 'chunkBytes', false, (value) => value.u32('chunkBytes', 65_536))
    .field(7, 'rewindable', true, (value) => value.u8('rewindable', 1))
    .field(9, 'operation', false, (value) => value.raw('operation', operation))
    .field(10, 'policy', true, (value) => policy(value, plainPolicy));
}

const said = (speaker: Said['speaker'], { about, layout, frame }: Golden): Said => ({
  speaker,
  about,
  layout,
  frame,
});

const upload: Said[] = [
  said(
    'client',
    golden(
      '',
      'offer: the client opens request 1',
      0x21,
      { type: 'offer', request: 1, ...offered },
      writeOffer,
    ),
  ),
  said(
    'daemon',
    golden(
      '',
      'want: the daemon has nothing of it and asks for all, and for the digest',
      0x22,
      {
        type: 'want',
        request: 1,
        round: 1,
        transfer,
        epoch: 1,
        last: true,
        ranges: [{ start: 0, end: 1 }],
      },
      (payload) => {
        payload.u32('round', 1).raw('transfer', transfer).u32('epoch', 1).u8('last', 1);
        range(payload.u16('ranges.count', 1), 0, 0, 1);
      },
    ),
  ),
  said(
    'client',
    golden(
      '',
      'chunk 0',
      0x2f,
      {
        type: 'chunk',
        request: 1,
        index: 0,
        payload: hello,
        checksum: helloChecksum,
        intact: true,
        zero: false,
      },
      (payload) => payload.raw('payload', hello, '"hello"'),
    ),
  ),
  said(
    'client',
    golden(
      '',
      'end: all that round 1 asked for was sent; here is the digest',
      0x25,
      { type: 'end', request: 1, round: 1, size: 5, digest: helloDigest },
      (payload) =>
        payload
          .u32('round', 1)
          .u64('size', 5)
          .u8('digest.present', 1)
          .u64('digest', helloDigest)
          .u8('sha256.present', 0),
    ),
  ),
  said(
    'daemon',
    golden(
      '',
      'credit: the chunk was taken',
      0x06,
      { type: 'credit', request: 0, consumed: 5 },
      (payload) => payload.u64('consumed', 5),
    ),
  ),
  said(
    'daemon',
    golden(
      '',
      'complete: the file is on disk under its name; request 1 is closed',
      0x28,
      { type: 'complete', request: 1, outcome: 'stored', digest: helloDigest },
      (payload) =>
        payload
          .u8('outcome', 0, 'stored')
          .u8('digest.present', 1)
          .u64('digest', helloDigest)
          .u8('sha256.present', 0),
    ),
  ),
  said(
    'client',
    golden(
      '',
      'goodbye; then the client closes',
      0x05,
      { type: 'goodbye', request: 0 },
      () => undefined,
    ),
  ),
];

export const exampleSession: readonly Said[] = [
  ...greeting('client', 'ferry 0.1.0'),
  ...greeting('daemon', 'ferryd 0.1.0'),
  ...upload,
];
