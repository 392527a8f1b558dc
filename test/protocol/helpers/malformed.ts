/** Frames that must be refused, each with the failure it gives. One rule is broken in each. */
import { entryFields, id, largest, mtimeNs, nonce, plainPolicy, policy, range } from './golden.ts';
import { benchChecksums, benchHead, benchPath } from './goldens-bench.ts';
import { nonceField, session, toldLimits } from './goldens-connection.ts';
import { offerHead, offerTail } from './goldens-transfer.ts';
import { frameLayout, type HeaderFields, Layout } from './layout.ts';

export interface Malformed {
  readonly name: string;
  readonly failure: 'protocol' | 'corrupt';
  readonly reason: string;
  readonly layout: Layout;
}

const types = {
  hello: 0x01,
  proof: 0x02,
  ping: 0x03,
  goodbye: 0x05,
  error: 0x07,
  cancel: 0x08,
  list: 0x10,
  mkdir: 0x12,
  stat: 0x11,
  checksums: 0x15,
  entries: 0x18,
  entry: 0x19,
  download: 0x20,
  offer: 0x21,
  want: 0x22,
  compare: 0x23,
  sums: 0x24,
  end: 0x25,
  working: 0x27,
  complete: 0x28,
  chunk: 0x2f,
  fetch: 0x30,
  offers: 0x31,
  answers: 0x32,
  results: 0x33,
  verify: 0x34,
  digests: 0x35,
  bench: 0x40,
  benchReport: 0x41,
} as const;

function malformed(
  name: string,
  reason: string,
  type: keyof typeof types,
  write: (payload: Layout) => unknown,
  more: Partial<HeaderFields> = {},
): Malformed {
  const payload = new Layout();
  write(payload);
  const request = ['hello', 'proof', 'ping', 'goodbye'].includes(type) ? 0 : 1;
  const fields = { type: types[type], name: type, request, ...more };
  return { name, failure: 'protocol', reason, layout: frameLayout(fields, payload) };
}

const corrupt = (broken: Malformed): Malformed => ({ ...broken, failure: 'corrupt' });
const ping = (payload: Layout): unknown => payload.u64('token', 1);
const pathA = (payload: Layout): Layout => payload.text('path', 'a');
const byte = (payload: Layout): unknown => payload.raw('payload', [0x61]);

const headers: Malformed[] = [
  corrupt(malformed('header-check', 'the header check is wrong', 'ping', ping, { checkOff: 1n })),
  corrupt(
    malformed(
      'header-check-first',
      'the check is wrong; nothing else was looked at',
      'ping',
      ping,
      {
        checkOff: 1n,
        type: 0xee,
        reserved: 1,
        length: 0xffff_ffff,
      },
    ),
  ),
  corrupt(
    malformed('payload-checksum', 'the payload of a control frame is damaged', 'ping', ping, {
      checksumOff: 1n,
    }),
  ),
  malformed('reserved', 'the reserved field is set', 'ping', ping, { reserved: 0x0100 }),
  malformed('flags', 'a flag is set', 'ping', ping, { flags: 1 }),
  malformed('flags-chunk', 'a flag is set on a chunk', 'chunk', byte, { flags: 0x80 }),
  malformed('flags-zero', 'a chunk of zeros has a payload', 'chunk', byte, { flags: 2 }),
  malformed('flags-zero-control', 'a control frame is said to be zeros', 'ping', ping, {
    flags: 2,
  }),
  malformed('index-control', 'a control frame has a chunk index', 'ping', ping, { index: 1 }),
  malformed('index-2-53', 'the chunk index is 2^53', 'chunk', byte, { index: 2n ** 53n }),
  malformed('index-2-64', 'the chunk index is 2^64 - 1', 'chunk', byte, { index: 2n ** 64n - 1n }),
  malformed('type-unknown', 'no frame has this type', 'ping', ping, {
    type: 0x0b,
    name: 'unknown',
  }),
  malformed('type-0', 'no frame has this type', 'ping', ping, { type: 0, name: 'unknown' }),
  malformed('type-255', 'no frame has this type', 'ping', ping, { type: 0xff, name: 'unknown' }),
  malformed(
    'length-control',
    'a control payload of 65,537 bytes; refused on its header alone',
    'list',
    () => undefined,
    { length: 65_537 },
  ),
  malformed(
    'length-chunk',
    'a chunk of 4,194,305 bytes; refused on its header alone',
    'chunk',
    () => undefined,
    { length: 4_194_305 },
  ),
  malformed(
    'length-2-32',
    'the longest length there is, refused on its header alone',
    'chunk',
    () => undefined,
    {
      length: 0xffff_ffff,
    },
  ),
  malformed('request-of-connection', 'a connection frame with a request id', 'ping', ping, {
    request: 1,
  }),
  malformed('request-missing', 'a request frame without a request id', 'stat', pathA, {
    request: 0,
  }),
  malformed('request-missing-chunk', 'a chunk without a request id', 'chunk', byte, { request: 0 }),
  malformed('chunk-empty', 'a chunk without bytes', 'chunk', () => undefined),
];

const ends: Malformed[] = [
  malformed('truncated-u64', 'the payload ends within a number', 'ping', (p) =>
    p.raw('token', [1, 2, 3]),
  ),
  malformed('truncated-text', 'a text is longer than the payload', 'stat', (p) =>
    p.u16('path.length', 2).raw('path', [0x61]),
  ),
  malformed(
    'truncated-empty',
    'a payload of 0 bytes for a frame with fields',
    'list',
    () => undefined,
  ),
  malformed('truncated-list', 'a list with fewer items than it counts', 'answers', (p) =>
    p.u16('answers.count', 2).u8('answers', 0),
  ),
  malformed('trailing', 'a byte behind the last field', 'stat', (p) => pathA(p).u8('trailing', 0)),
  malformed('trailing-empty', 'a byte in a frame without fields', 'cancel', (p) =>
    p.u8('trailing', 0),
  ),
  malformed('trailing-field', 'a byte behind the value of a field', 'hello', (p) => {
    p.u16('fields', 3).field(1, 'session', false, (value) =>
      value.raw('session', [...id(0x10), 0]),
    );
    toldLimits(nonceField(p));
  }),
];

const fields: Malformed[] = [
  malformed('field-missing', 'a required field is missing: session', 'hello', (p) =>
    toldLimits(nonceField(p.u16('fields', 2))),
  ),
  malformed('field-missing-offer', 'a required field is missing: path', 'offer', (p) =>
    offerTail(p.u16('fields', 5)),
  ),
  malformed('field-twice', 'a field stands twice', 'hello', (p) =>
    toldLimits(nonceField(session(session(p.u16('fields', 4))))),
  ),
  malformed('field-twice-critical', 'a field stands twice, once critical', 'offer', (p) =>
    offerTail(offerHead(p, 8, 5)).field(7, 'rewindable', false, (value) =>
      value.u8('rewindable', 1),
    ),
  ),
  malformed('field-critical', 'an unknown critical field', 'offer', (p) =>
    offerTail(offerHead(p, 8, 5)).field(77, 'unknown', true, () => undefined),
  ),
  malformed('field-critical-hello', 'an unknown critical field', 'hello', (p) =>
    toldLimits(nonceField(session(p.u16('fields', 4)))).field(77, 'unknown', true, () => undefined),
  ),
  malformed('field-count', '33 fields', 'offer', (p) => {
    p.u16('fields', 33);
    for (let tag = 100; tag < 133; tag += 1) p.field(tag, 'unknown', false, () => undefined);
  }),
  malformed('identity', 'an identity of 65 bytes', 'offer', (p) => {
    offerHead(p, 7, 5)
      .field(3, 'mtimeNs', false, (value) => value.u64('mtimeNs', 0))
      .field(4, 'mode', false, (value) => value.u16('mode', 0))
      .field(5, 'identity', false, (value) => value.raw('identity', new Uint8Array(65)))
      .field(6, 'chunkBytes', false, (value) => value.u32('chunkBytes', 65_536))
      .field(7, 'rewindable', true, (value) => value.u8('rewindable', 1));
  }),
  ...[1023, 4_194_305].map((chunkBytes) =>
    malformed(`chunk-bytes-${chunkBytes}`, 'a chunk size out of its limits', 'offer', (p) => {
      offerHead(p, 7, 5)
        .field(3, 'mtimeNs', false, (value) => value.u64('mtimeNs', 0))
        .field(4, 'mode', false, (value) => value.u16('mode', 0))
        .field(5, 'identity', false, () => undefined)
        .field(6, 'chunkBytes', false, (value) => value.u32('chunkBytes', chunkBytes))
        .field(7, 'rewindable', true, (value) => value.u8('rewindable', 1));
    }),
  ),
  malformed('mode-offer', 'a mode beyond octal 7777', 'offer', (p) => {
    offerHead(p, 7, 5)
      .field(3, 'mtimeNs', false, (value) => value.u64('mtimeNs', 0))
      .field(4, 'mode', false, (value) => value.u16('mode', 0o10000))
      .field(5, 'identity', false, () => undefined)
      .field(6, 'chunkBytes', false, (value) => value.u32('chunkBytes', 65_536))
      .field(7, 'rewindable', true, (value) => value.u8('rewindable', 1));
  }),
];

const entry = { path: 'a', kind: 0, size: 0, mtimeNs, mode: 0, contentType: '' };

const counts: Malformed[] = [
  malformed('count-ranges', '2,049 ranges announced', 'compare', (p) =>
    p.u8('level', 0).u16('ranges.count', 2049),
  ),
  malformed('count-checksums', '4,097 checksums announced', 'sums', (p) =>
    p.u8('level', 0).u64('first', 0).u8('last', 0).u16('checksums.count', 4097),
  ),
  malformed('count-entries', '1,025 entries announced', 'entries', (p) =>
    p.u8('last', 1).u16('entries.count', 1025),
  ),
  malformed('count-paths', '257 paths announced', 'fetch', (p) =>
    p.text('base', '').u16('paths.count', 257),
  ),
  malformed('count-verified', '257 paths announced', 'verify', (p) =>
    p.text('base', '').u16('paths.count', 257),
  ),
  malformed('count-digests', '257 digests announced', 'digests', (p) =>
    p.u16('digests.count', 257),
  ),
  malformed('count-page', '257 entries announced', 'offers', (p) =>
    policy(p.raw('operation', id(0)).text('base', ''), plainPolicy)
      .u8('eager', 0)
      .u16('entries.count', 257),
  ),
  malformed('count-answers', '257 answers announced', 'answers', (p) =>
    p.u16('answers.count', 257),
  ),
  malformed('count-results', '257 failures announced', 'results', (p) =>
    p.u16('failures.count', 257),
  ),
  malformed('count-features', '65 features announced', 'hello', (p) => {
    nonceField(session(p.u16('fields', 4))).field(3, 'features', false, (value) =>
      value.u16('features.count', 65),
    );
    toldLimits(p);
  }),
  malformed('count-limits', '33 limits announced', 'hello', (p) =>
    nonceField(session(p.u16('fields', 3))).field(4, 'limits', false, (value) =>
      value.u16('limits.count', 33),
    ),
  ),
  malformed('long-path', 'a path of 4,097 bytes announced', 'stat', (p) =>
    p.u16('path.length', 4097),
  ),
  malformed('long-message', 'a message of 1,025 bytes announced', 'error', (p) =>
    p.u16('failure', 36).u16('message.length', 1025),
  ),
  malformed('long-content-type', 'a content type of 129 bytes announced', 'entry', (p) =>
    p
      .text('entry.path', '')
      .u8('entry.kind', 0)
      .u64('entry.size', 0)
      .u64('entry.mtimeNs', 0)
      .u16('entry.mode', 0)
      .u16('entry.contentType.length', 129),
  ),
  malformed('long-feature', 'the name of a feature has 33 bytes', 'hello', (p) => {
    nonceField(session(p.u16('fields', 4))).field(3, 'features', false, (value) =>
      value.u16('features.count', 1).text('features', 'f'.repeat(33)),
    );
    toldLimits(p);
  }),
  malformed('long-software', 'the name of the software has 65 bytes', 'hello', (p) => {
    toldLimits(nonceField(session(p.u16('fields', 4)))).field(5, 'software', false, (value) =>
      value.raw('software', new TextEncoder().encode('s'.repeat(65))),
    );
  }),
];

const wantHead = (payload: Layout): Layout =>
  payload.u32('round', 1).raw('transfer', id(0x60)).u32('epoch', 1).u8('last', 0);

const values: Malformed[] = [
  malformed('ranges-order', 'ranges out of order', 'want', (p) =>
    range(range(wantHead(p).u16('ranges.count', 2), 0, 5, 6), 1, 4, 5),
  ),
  malformed('ranges-overlap', 'ranges that overlap', 'want', (p) =>
    range(range(wantHead(p).u16('ranges.count', 2), 0, 0, 6), 1, 5, 7),
  ),
  malformed('ranges-empty', 'a range with nothing in it', 'want', (p) =>
    range(wantHead(p).u16('ranges.count', 1), 0, 5, 5),
  ),
  malformed('ranges-backwards', 'a range that ends before it starts', 'want', (p) =>
    range(wantHead(p).u16('ranges.count', 1), 0, 6, 5),
  ),
  malformed('number-2-53', 'a number of 2^53', 'end', (p) =>
    p
      .u32('round', 1)
      .u64('size', largest + 1)
      .u8('digest.present', 0)
      .u8('sha256.present', 0),
  ),
  malformed('flag-2', 'a flag that is neither 0 nor 1', 'download', (p) =>
    pathA(p).u8('sha256', 2),
  ),
  malformed('utf8-invalid', 'a byte that UTF-8 does not have', 'stat', (p) =>
    p.u16('path.length', 1).raw('path', [0xff]),
  ),
  malformed('utf8-surrogate', 'a surrogate written as UTF-8', 'stat', (p) =>
    p.u16('path.length', 3).raw('path', [0xed, 0xa0, 0x80]),
  ),
  malformed('utf8-long-form', 'a slash in two bytes', 'stat', (p) =>
    p.u16('path.length', 2).raw('path', [0xc0, 0xaf]),
  ),
  malformed('utf8-software', 'a text in a field that is not UTF-8', 'hello', (p) => {
    toldLimits(nonceField(session(p.u16('fields', 4)))).field(5, 'software', false, (value) =>
      value.raw('software', [0x80]),
    );
  }),
  malformed('enum-level', 'no such level', 'checksums', (p) =>
    pathA(p).u8('level', 2).u64('first', 0).u64('count', 1),
  ),
  malformed('enum-phase', 'no such phase', 'working', (p) =>
    p.u8('phase', 5).u64('done', 0).u64('total', 0),
  ),
  malformed('enum-outcome', 'no such outcome', 'complete', (p) =>
    p.u8('outcome', 4).u8('digest.present', 0).u8('sha256.present', 0),
  ),
  malformed('enum-answer', 'no such answer', 'answers', (p) =>
    p.u16('answers.count', 1).u8('answers', 4),
  ),
  malformed('enum-kind', 'no such kind', 'entry', (p) =>
    entryFields(p, 'entry', { ...entry, kind: 5 }),
  ),
  malformed('enum-overwrite', 'no such policy', 'offers', (p) =>
    policy(p.raw('operation', id(0)).text('base', ''), { ...plainPolicy, overwrite: 3 })
      .u8('eager', 0)
      .u16('entries.count', 0),
  ),
  malformed('mode', 'a mode beyond octal 7777', 'entry', (p) =>
    entryFields(p, 'entry', { ...entry, mode: 0o10000 }),
  ),
  malformed('proof-short', 'a proof of 31 bytes', 'proof', (p) => p.raw('mac', nonce.slice(1))),
  malformed('operation-short', 'an operation id of 15 bytes', 'mkdir', (p) =>
    p.raw('operation', id(0).slice(1)),
  ),
];

const benchA = (payload: Layout, part: number, store: number, chunkBytes: number, fields = 5) =>
  benchPath(benchHead(payload, fields, part, store), 'a', chunkBytes);

const benches: Malformed[] = [
  malformed('bench-part', 'a part that no bench has', 'bench', (p) =>
    benchChecksums(benchA(p, 3, 0, 65_536), 1),
  ),
  malformed('bench-store', 'a store that no bench has', 'bench', (p) =>
    benchChecksums(benchA(p, 0, 2, 65_536), 1),
  ),
  malformed('bench-chunk-bytes', 'a chunk size out of its limits', 'bench', (p) =>
    benchChecksums(benchA(p, 0, 0, 1_023), 1),
  ),
  malformed('bench-write-bytes', 'writes of no bytes', 'bench', (p) =>
    benchChecksums(
      benchA(p, 0, 0, 65_536, 6).field(7, 'writeBytes', false, (value) =>
        value.u32('writeBytes', 0),
      ),
      1,
    ),
  ),
  malformed('bench-rate', 'a rate of 0', 'bench', (p) =>
    benchChecksums(
      benchA(p, 1, 0, 65_536, 6).field(8, 'bytesPerSecond', false, (value) =>
        value.u64('bytesPerSecond', 0),
      ),
      1,
    ),
  ),
  malformed('bench-report-ms', 'a report every 0 ms', 'bench', (p) =>
    benchChecksums(
      benchA(p, 1, 0, 65_536, 6).field(9, 'reportMs', false, (value) => value.u32('reportMs', 0)),
      1,
    ),
  ),
  malformed('bench-store-bytes', '0 bytes to put on the disk', 'bench', (p) =>
    benchChecksums(benchA(p, 1, 1, 65_536, 6), 1).field(11, 'storeBytes', false, (value) =>
      value.u64('storeBytes', 0),
    ),
  ),
  malformed('bench-missing', 'a required field is missing: checksums', 'bench', (p) =>
    benchA(p, 0, 0, 65_536, 4),
  ),
  malformed('bench-critical', 'an unknown critical field', 'bench', (p) =>
    benchChecksums(benchA(p, 0, 0, 65_536, 6), 1).field(77, 'unknown', true, () => undefined),
  ),
  malformed('bench-report-missing', 'a report without any of its fields', 'benchReport', (p) =>
    p.u16('fields', 0),
  ),
  malformed('bench-report-critical', 'an unknown critical field', 'benchReport', (p) =>
    p.u16('fields', 1).field(77, 'unknown', true, () => undefined),
  ),
];

export const malformedFrames: readonly Malformed[] = [
  ...headers,
  ...ends,
  ...fields,
  ...counts,
  ...values,
  ...benches,
];
