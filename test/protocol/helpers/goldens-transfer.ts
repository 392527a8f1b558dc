import type { Offer } from '../../../protocol/frames/transfer.ts';
import {
  type Golden,
  golden,
  id,
  largest,
  mtimeNs,
  plainPolicy,
  policy,
  range,
  sha256,
} from './golden.ts';
import type { Layout } from './layout.ts';

const digest = 0x0123_4567_89ab_cdefn;
const identity = Uint8Array.of(0xa1, 0xa2, 0xa3);

const plainOffer: Offer = {
  path: 'share/hello',
  size: 5,
  mtimeNs,
  mode: 0o644,
  identity,
  chunkBytes: 65_536,
  rewindable: true,
  sha256: false,
  operation: undefined,
  policy: undefined,
  connections: undefined,
};

/** The fields that every offer has; those behind `size` follow in `offerTail`. */
export function offerHead(payload: Layout, count: number, size?: number): Layout {
  payload.u16('fields', count);
  payload.field(1, 'path', false, (value) => value.text('path', 'share/hello'));
  return size === undefined
    ? payload
    : payload.field(2, 'size', false, (value) => value.u64('size', size));
}

export function offerTail(payload: Layout, rewindable = 1): Layout {
  return payload
    .field(3, 'mtimeNs', false, (value) => value.u64('mtimeNs', mtimeNs))
    .field(4, 'mode', false, (value) => value.u16('mode', 0o644, 'octal 644'))
    .field(5, 'identity', false, (value) => value.raw('identity', identity))
    .field(6, 'chunkBytes', false, (value) => value.u32('chunkBytes', 65_536))
    .field(7, 'rewindable', true, (value) => value.u8('rewindable', rewindable));
}

const offers: Golden[] = [
  golden(
    'offer',
    'offer: an upload with everything it can say',
    0x21,
    {
      type: 'offer',
      request: 1,
      ...plainOffer,
      sha256: true,
      operation: id(0x50),
      policy: {
        overwrite: 'newer',
        checksum: true,
        delta: true,
        fresh: true,
        modifyWindowNs: 2_000_000_000,
      },
      connections: 4,
    },
    (payload) => {
      offerTail(offerHead(payload, 11, 5))
        .field(8, 'sha256', true, (value) => value.u8('sha256', 1))
        .field(9, 'operation', false, (value) => value.raw('operation', id(0x50)))
        .field(10, 'policy', true, (value) =>
          policy(value, { overwrite: 1, checksum: 1, delta: 1, fresh: 1, windowNs: 2_000_000_000 }),
        )
        .field(11, 'connections', false, (value) => value.u8('connections', 4));
    },
  ),
  golden(
    'offer-download',
    'offer: answers a download, so without operation and policy',
    0x21,
    { type: 'offer', request: 1, ...plainOffer },
    (payload) => offerTail(offerHead(payload, 7, 5)),
  ),
  golden(
    'offer-stream',
    'offer: an upload of a stream: no size, and no part can be sent again',
    0x21,
    {
      type: 'offer',
      request: 1,
      ...plainOffer,
      size: undefined,
      rewindable: false,
      operation: id(0x50),
      policy: {
        overwrite: 'always',
        checksum: false,
        delta: false,
        fresh: false,
        modifyWindowNs: 10_000,
      },
    },
    (payload) => {
      offerTail(offerHead(payload, 8), 0)
        .field(9, 'operation', false, (value) => value.raw('operation', id(0x50)))
        .field(10, 'policy', true, (value) => policy(value, plainPolicy));
    },
  ),
];

const wants: Golden[] = [
  golden(
    'want',
    'want: everything, to wherever the end is',
    0x22,
    {
      type: 'want',
      request: 1,
      round: 1,
      transfer: id(0x60),
      epoch: 1,
      last: true,
      ranges: [{ start: 0, end: largest }],
    },
    (payload) => {
      payload.u32('round', 1).raw('transfer', id(0x60)).u32('epoch', 1).u8('last', 1);
      range(payload.u16('ranges.count', 1), 0, 0, largest);
    },
  ),
  golden(
    'want-again',
    'want: one damaged chunk and a longer range',
    0x22,
    {
      type: 'want',
      request: 1,
      round: 2,
      transfer: id(0x60),
      epoch: 3,
      last: false,
      ranges: [
        { start: 4, end: 5 },
        { start: 128, end: 256 },
      ],
    },
    (payload) => {
      payload.u32('round', 2).raw('transfer', id(0x60)).u32('epoch', 3).u8('last', 0);
      range(range(payload.u16('ranges.count', 2), 0, 4, 5), 1, 128, 256);
    },
  ),
  golden(
    'want-digest',
    'want: no chunk any more, only the digest',
    0x22,
    { type: 'want', request: 1, round: 3, transfer: id(0x60), epoch: 1, last: true, ranges: [] },
    (payload) => {
      payload.u32('round', 3).raw('transfer', id(0x60)).u32('epoch', 1).u8('last', 1);
      payload.u16('ranges.count', 0);
    },
  ),
];

const comparing: Golden[] = [
  golden(
    'compare',
    'compare: two segments',
    0x23,
    { type: 'compare', request: 1, level: 'segment', ranges: [{ start: 0, end: 2 }] },
    (payload) => range(payload.u8('level', 0, 'segment').u16('ranges.count', 1), 0, 0, 2),
  ),
  golden(
    'compare-chunks',
    'compare: the chunks of a segment that differs',
    0x23,
    { type: 'compare', request: 1, level: 'chunk', ranges: [{ start: 128, end: 256 }] },
    (payload) => range(payload.u8('level', 1, 'chunk').u16('ranges.count', 1), 0, 128, 256),
  ),
  golden(
    'sums',
    'sums: of two segments, within a transfer',
    0x24,
    {
      type: 'sums',
      request: 1,
      level: 'segment',
      first: 0,
      last: false,
      checksums: BigUint64Array.of(1n, 2n ** 64n - 1n),
    },
    (payload) =>
      payload
        .u8('level', 0, 'segment')
        .u64('first', 0)
        .u8('last', 0)
        .u16('checksums.count', 2)
        .u64('checksums', 1)
        .u64('checksums', 2n ** 64n - 1n),
  ),
  golden(
    'sums-last',
    'sums: the only answer to a `checksums` of an empty file',
    0x24,
    {
      type: 'sums',
      request: 7,
      level: 'chunk',
      first: 0,
      last: true,
      checksums: new BigUint64Array(),
    },
    (payload) =>
      payload.u8('level', 1, 'chunk').u64('first', 0).u8('last', 1).u16('checksums.count', 0),
  ),
];

const ends: Golden[] = [
  golden(
    'end',
    'end: answers a `want` without `last`',
    0x25,
    { type: 'end', request: 1, round: 1, size: 5, digest: undefined, sha256: undefined },
    (payload) =>
      payload.u32('round', 1).u64('size', 5).u8('digest.present', 0).u8('sha256.present', 0),
  ),
  golden(
    'end-digest',
    'end: with the digest',
    0x25,
    { type: 'end', request: 1, round: 2, size: largest, digest, sha256: undefined },
    (payload) =>
      payload
        .u32('round', 2)
        .u64('size', largest)
        .u8('digest.present', 1)
        .u64('digest', digest)
        .u8('sha256.present', 0),
  ),
  golden(
    'end-sha256',
    'end: with the digest and the SHA-256 of "hello"',
    0x25,
    { type: 'end', request: 1, round: 2, size: 5, digest, sha256 },
    (payload) =>
      payload
        .u32('round', 2)
        .u64('size', 5)
        .u8('digest.present', 1)
        .u64('digest', digest)
        .u8('sha256.present', 1)
        .raw('sha256', sha256),
  ),
];

const completed = (payload: Layout, outcome: number, name: string): Layout =>
  payload.u8('outcome', outcome, name);

const completes: Golden[] = [
  golden(
    'complete',
    'complete: stored, with digest and SHA-256',
    0x28,
    { type: 'complete', request: 1, outcome: 'stored', digest, sha256 },
    (payload) =>
      completed(payload, 0, 'stored')
        .u8('digest.present', 1)
        .u64('digest', digest)
        .u8('sha256.present', 1)
        .raw('sha256', sha256),
  ),
  ...(['unchanged', 'skipped', 'released'] as const).map((outcome, place) =>
    golden(
      `complete-${outcome}`,
      `complete: ${outcome}`,
      0x28,
      { type: 'complete', request: 1, outcome, digest: undefined, sha256: undefined },
      (payload) =>
        completed(payload, place + 1, outcome)
          .u8('digest.present', 0)
          .u8('sha256.present', 0),
    ),
  ),
];

const hello = new TextEncoder().encode('hello');
/** XXH64 of "hello", from https://github.com/Cyan4973/xxHash (`printf hello | xxh64sum`). */
const helloChecksum = 0x26c7_827d_889f_6da3n;
/** XXH64 of 65,536 zeros (`head -c 65536 /dev/zero | xxh64sum`). */
const zerosChecksum = 0x5983_dda9_f157_15a4n;

const chunks: Golden[] = [
  golden(
    'chunk',
    'chunk: the content "hello"; the payload checksum is its content checksum',
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
  golden(
    'chunk-last-index',
    'chunk: the largest index there is',
    0x2f,
    {
      type: 'chunk',
      request: 2 ** 32 - 1,
      index: largest,
      payload: hello,
      checksum: helloChecksum,
      intact: true,
      zero: false,
    },
    (payload) => payload.raw('payload', hello, '"hello"'),
    { index: largest },
  ),
  golden(
    'chunk-zero',
    'chunk: 65,536 zeros, with the feature zero-chunks; the payload checksum is theirs',
    0x2f,
    {
      type: 'chunk',
      request: 1,
      index: 2,
      payload: new Uint8Array(),
      checksum: zerosChecksum,
      intact: true,
      zero: true,
    },
    () => undefined,
    { index: 2, flags: 2, content: new Uint8Array(65_536) },
  ),
  golden(
    'chunk-damaged',
    'chunk: damaged on the way, which is no error: this chunk is wanted again',
    0x2f,
    {
      type: 'chunk',
      request: 1,
      index: 3,
      payload: hello,
      checksum: helloChecksum + 1n,
      intact: false,
      zero: false,
    },
    (payload) => payload.raw('payload', hello, '"hello"'),
    { index: 3, checksumOff: 1n },
  ),
];

export const transferGoldens: Golden[] = [
  golden(
    'download',
    'download: with a SHA-256 at the end',
    0x20,
    { type: 'download', request: 1, path: 'share/hello', sha256: true },
    (payload) => payload.text('path', 'share/hello').u8('sha256', 1),
  ),
  ...offers,
  ...wants,
  ...comparing,
  ...ends,
  ...completes,
  ...chunks,
  golden(
    'have',
    'have: 16 MiB received, 8 MiB of them durable',
    0x26,
    { type: 'have', request: 1, received: 16_777_216, durable: 8_388_608 },
    (payload) => payload.u64('received', 16_777_216).u64('durable', 8_388_608),
  ),
  ...(['comparing', 'verifying', 'syncing', 'hashing', 'waiting'] as const).map((phase, place) =>
    golden(
      `working-${phase}`,
      `working: ${phase}`,
      0x27,
      { type: 'working', request: 1, phase, done: 1, total: 1_000_000_000_000 },
      (payload) => payload.u8('phase', place, phase).u64('done', 1).u64('total', 1_000_000_000_000),
    ),
  ),
  golden(
    'join',
    'join: a second connection takes part in an upload',
    0x29,
    { type: 'join', request: 1, transfer: id(0x60), epoch: 1 },
    (payload) => payload.raw('transfer', id(0x60)).u32('epoch', 1),
  ),
];

export const transferAlsoValid: Golden[] = [
  golden(
    'offer-unknown',
    'offer: an unknown field that is not critical is skipped; any field may be critical or not',
    0x21,
    { type: 'offer', request: 1, ...plainOffer },
    (payload) =>
      offerTail(
        offerHead(payload, 9, 5)
          .field(77, 'unknown', false, () => undefined)
          .field(8, 'sha256', false, (value) => value.u8('sha256', 0)),
      ),
  ),
  golden(
    'want-touching',
    'want: ranges that touch',
    0x22,
    {
      type: 'want',
      request: 1,
      round: 1,
      transfer: id(0x60),
      epoch: 1,
      last: false,
      ranges: [
        { start: 0, end: 1 },
        { start: 1, end: 2 },
      ],
    },
    (payload) => {
      payload.u32('round', 1).raw('transfer', id(0x60)).u32('epoch', 1).u8('last', 0);
      range(range(payload.u16('ranges.count', 2), 0, 0, 1), 1, 1, 2);
    },
  ),
];
