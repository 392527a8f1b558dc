import test from 'ava';
import fc from 'fast-check';
import { entryKinds } from '../../protocol/entry.ts';
import { ProtocolError } from '../../protocol/errors.ts';
import { benchParts, benchStores } from '../../protocol/frames/bench.ts';
import { answerNames } from '../../protocol/frames/pages.ts';
import { levels } from '../../protocol/frames/requests.ts';
import { outcomes, overwrites, phases } from '../../protocol/frames/transfer.ts';
import {
  chunkCode,
  decodeFrame,
  encodeFrame,
  type Frame,
  frameCodes,
  isBulk,
  payloadLimit,
} from '../../protocol/frames.ts';
import { encodePreamble, versions } from '../../protocol/preamble.ts';
import { anyControlFrame, anyFrame, frameTypes } from './helpers/arbitraries.ts';
import { quoted, specification, table } from './helpers/doc.ts';
import { exampleIn, examples } from './helpers/examples.ts';
import { type Fixture, parseHex, readFixtures } from './helpers/fixtures.ts';
import { alsoValid, goldens } from './helpers/goldens.ts';
import { header, hexOf } from './helpers/layout.ts';
import { malformedFrames } from './helpers/malformed.ts';
import { malformedPreambles, preambles } from './helpers/preambles.ts';
import { exampleSession } from './helpers/session.ts';
import { concat, decode, encode } from './helpers/wire.ts';

const files = readFixtures('.');
const validFiles = readFixtures('also-valid');
const malformedFiles = readFixtures('malformed');

function fixture(from: ReadonlyMap<string, Fixture>, name: string): Fixture {
  const found = from.get(name);
  if (found === undefined) throw new Error(`fixtures/frames has no ${name}.hex: run generate.js.`);
  return found;
}

// ---- exact bytes ---------------------------------------------------------------------------------

for (const { name, frame } of goldens) {
  test(`fixture ${name} is written and read alike`, (t) => {
    const { bytes } = fixture(files, name);
    t.deepEqual(decode(bytes), [frame]);
    t.is(hexOf(encode(frame)), hexOf(bytes));
  });
}

for (const { name, frame } of alsoValid) {
  test(`fixture also-valid/${name} is read`, (t) => {
    t.deepEqual(decode(fixture(validFiles, name).bytes), [frame]);
  });
}

for (const { name, failure } of malformedFrames) {
  test(`fixture malformed/${name} is refused`, (t) => {
    const { bytes, title } = fixture(malformedFiles, name);
    const error = t.throws(() => decode(bytes), { instanceOf: ProtocolError });
    t.is(error?.failure, failure);
    t.is(title.split(':')[0], failure);
  });
}

test('every file under fixtures/frames is tested, and every frame type has a golden frame', (t) => {
  const sorted = (names: Iterable<string>): string[] => [...names].toSorted();
  t.deepEqual(sorted(files.keys()), sorted([...goldens, ...preambles].map(({ name }) => name)));
  t.deepEqual(sorted(validFiles.keys()), sorted(alsoValid.map(({ name }) => name)));
  t.deepEqual(
    sorted(malformedFiles.keys()),
    sorted([...malformedFrames, ...malformedPreambles].map(({ name }) => name)),
  );
  t.deepEqual(sorted(new Set(goldens.map(({ frame }) => frame.type))), sorted(frameTypes));
});

test('the fixtures are what the layouts of the tests say', (t) => {
  for (const { name, layout } of goldens) {
    t.is(hexOf(fixture(files, name).bytes), hexOf(layout.bytes), name);
  }
  for (const { name, layout } of malformedFrames) {
    t.is(hexOf(fixture(malformedFiles, name).bytes), hexOf(layout.bytes), name);
  }
});

// ---- properties ----------------------------------------------------------------------------------

test('every frame survives the way there and back', (t) => {
  const property = fc.property(anyFrame, (frame) => {
    t.deepEqual(decode(encode(frame)), [frame]);
  });
  fc.assert(property, { numRuns: 2000 });
});

test('every split point of every golden frame gives the same frame', (t) => {
  for (const { name } of goldens) {
    const { bytes } = fixture(files, name);
    const whole = decode(bytes);
    for (let cut = 0; cut <= bytes.length; cut += 1) t.deepEqual(decode(bytes, [cut]), whole, name);
    const everyByte = Array.from(bytes.keys());
    t.deepEqual(decode(bytes, everyByte), whole, name);
  }
});

test('frames behind one another, cut anywhere, come out one by one', (t) => {
  const property = fc.property(
    fc.array(anyFrame, { minLength: 1, maxLength: 5 }),
    fc.array(fc.nat(), { maxLength: 8 }),
    (frames, seeds) => {
      const bytes = concat(frames.map(encode));
      const cuts = seeds.map((seed) => seed % (bytes.length + 1)).toSorted((a, b) => a - b);
      t.deepEqual(decode(bytes, cuts), frames);
    },
  );
  fc.assert(property, { numRuns: 200 });
});

/** Decodes; anything but frames or a ProtocolError is a bug. */
function tolerates(bytes: Uint8Array): Frame[] | ProtocolError {
  try {
    return decode(bytes);
  } catch (error) {
    if (error instanceof ProtocolError) return error;
    throw error;
  }
}

test('garbage gives only ProtocolError', (t) => {
  const property = fc.property(fc.uint8Array({ minLength: 32, maxLength: 200 }), (bytes) => {
    t.true(tolerates(bytes) instanceof ProtocolError);
  });
  fc.assert(property, { numRuns: 2000 });
});

test('garbage behind a good header check and checksum gives frames or ProtocolError', (t) => {
  const types = fc.oneof(fc.constantFrom(...Object.values(frameCodes)), fc.nat(255));
  const property = fc.property(
    types,
    fc.constantFrom(0, 1, 7),
    fc.uint8Array({ maxLength: 100 }),
    (type, request, payload) => {
      const bytes = concat([header({ type, name: '', request }, payload).bytes, payload]);
      tolerates(bytes);
      t.pass();
    },
  );
  fc.assert(property, { numRuns: 5000 });
});

interface Change {
  readonly place: number;
  readonly value: number;
  readonly how: 'replace' | 'insert' | 'remove';
}

function mutate(bytes: Uint8Array, changes: readonly Change[]): Uint8Array {
  const result = [...bytes];
  for (const { place, value, how } of changes) {
    const at = place % (result.length + 1);
    result.splice(at, how === 'insert' ? 0 : 1, ...(how === 'remove' ? [] : [value]));
  }
  return Uint8Array.from(result);
}

const changes = fc.array(
  fc.record({
    place: fc.nat(),
    value: fc.oneof(fc.nat(255), fc.constantFrom(0, 1, 0x7f, 0x80, 0xff)),
    how: fc.constantFrom('replace' as const, 'insert' as const, 'remove' as const),
  }),
  { minLength: 1, maxLength: 4 },
);

test('a mutated frame gives a ProtocolError', (t) => {
  const property = fc.property(anyControlFrame, changes, (frame, some) => {
    const bytes = encode(frame);
    const mutated = mutate(bytes, some);
    fc.pre(mutated.length >= bytes.length && hexOf(mutated) !== hexOf(bytes));
    const result = tolerates(mutated);
    const startsAsBefore = hexOf(mutated.subarray(0, bytes.length)) === hexOf(bytes);
    // An insertion near the front may announce more bytes than there are; nothing comes out then.
    t.true(startsAsBefore || result instanceof ProtocolError || result.length === 0);
  });
  fc.assert(property, { numRuns: 2000 });
});

test('a mutated payload with true checks is refused, or is a frame that can be written', (t) => {
  const property = fc.property(anyControlFrame, changes, (frame, some) => {
    const payload = mutate(encode(frame).subarray(32), some);
    const fields = { type: frameCodes[frame.type], name: '', request: frame.request };
    const result = tolerates(concat([header(fields, payload).bytes, payload]));
    if (result instanceof ProtocolError) {
      t.is(result.failure, 'protocol');
    } else {
      t.is(result.length, 1);
      t.deepEqual(
        result.flatMap((each) => decode(encode(each))),
        result,
      );
    }
  });
  fc.assert(property, { numRuns: 5000 });
});

// ---- limits and the table -------------------------------------------------------------------------

test('a frame that would be too long is not written', (t) => {
  const paths = Array.from({ length: 256 }, () => 'p'.repeat(300));
  const error = t.throws(() => encodeFrame({ type: 'fetch', request: 1, base: '', paths }), {
    instanceOf: ProtocolError,
  });
  t.regex(error?.message ?? '', /fetch/);
});

test('payloads are limited by their type', (t) => {
  t.is(payloadLimit(chunkCode, 12_345), 12_345);
  t.is(payloadLimit(frameCodes.list, 12_345), 65_536);
  t.throws(() => payloadLimit(0xee, 1), { instanceOf: ProtocolError });
});

test('decodeFrame refuses a type that it does not know, whoever let it through', (t) => {
  const payload = new Uint8Array();
  const checksum = 0xef46_db37_51d8_e999n;
  const unknown = { type: 0xee, flags: 0, length: 0, request: 1, index: 0, checksum };
  t.throws(() => decodeFrame(unknown, payload), { instanceOf: ProtocolError });
});

// ---- docs/protocol.md -----------------------------------------------------------------------------

const connectionTypes = new Set(
  goldens.filter(({ frame }) => frame.request === 0).map(({ frame }) => frame.type),
);
const requestTypes = new Set(
  goldens.filter(({ frame }) => frame.request !== 0).map(({ frame }) => frame.type),
);

test('the frame types of the specification are those of the code', (t) => {
  const documented = table('Frame types').map((row) => ({
    name: quoted(row.get('Name') ?? '')[0],
    code: Number(row.get('Code')),
    bulk: row.get('Bulk') === 'yes',
    scope: row.get('Scope'),
  }));
  const coded = Object.entries(frameCodes).map(([name, code]) => ({
    name,
    code,
    bulk: isBulk(name as Frame['type']),
    scope: !requestTypes.has(name as Frame['type'])
      ? 'connection'
      : connectionTypes.has(name as Frame['type'])
        ? 'either'
        : 'request',
  }));
  const byCode = (a: { code: number }, b: { code: number }): number => a.code - b.code;
  t.deepEqual(documented, coded.toSorted(byCode));
});

test('codes and names of frames are unique', (t) => {
  const codes = Object.values(frameCodes);
  t.is(new Set(codes).size, codes.length);
});

test('the enumerations of the specification are those of the code', (t) => {
  const documented = table('Enumerations').map((row) => [
    row.get('Enumeration'),
    ['0', '1', '2', '3', '4'].flatMap((value) => quoted(row.get(value) ?? '')),
  ]);
  t.deepEqual(documented, [
    ['kind', [...entryKinds]],
    ['level', [...levels]],
    ['overwrite', [...overwrites]],
    ['phase', [...phases]],
    ['outcome', [...outcomes]],
    ['answer', [...answerNames]],
    ['part', [...benchParts]],
    ['store', [...benchStores]],
  ]);
});

test('every field of the fixtures stands in the specification, in the same order', (t) => {
  for (const { name, frame } of goldens) {
    const code = `0x${frameCodes[frame.type].toString(16).padStart(2, '0')}`;
    const documented = table(`${code} ${frame.type}`).map((row) => row.get('Field'));
    const roots = fixture(files, name).labels.map((label) => label.split(/[.[]/)[0]);
    const used = [...new Set(roots)].filter((root) => root !== 'fields');
    t.deepEqual(
      used,
      documented.filter((field) => used.includes(field)),
      name,
    );
  }
});

test('the example session of the specification is what the code says and hears', (t) => {
  const blocks = exampleIn(specification, 'session').match(/```hex\n[^`]*```/g) ?? [];
  const documented = blocks.map((block) => parseHex(block.replace(/```(hex)?/g, '')).bytes);
  const said = exampleSession.map(({ frame }) =>
    frame === undefined ? encodePreamble(versions) : encode(frame),
  );
  t.deepEqual(documented.map(hexOf), said.map(hexOf));
});

test('the examples of the specification are up to date', (t) => {
  for (const { name, text } of examples()) t.is(exampleIn(specification, name), text.trim());
});
