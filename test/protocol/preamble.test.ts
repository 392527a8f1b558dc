import test from 'ava';
import fc from 'fast-check';
import { ProtocolError } from '../../protocol/errors.ts';
import {
  agreeVersion,
  decodePreamble,
  encodePreamble,
  maybePreamble,
  preambleBytes,
  versions,
} from '../../protocol/preamble.ts';
import { readFixtures } from './helpers/fixtures.ts';
import { hexOf } from './helpers/layout.ts';
import { malformedPreambles, preambles } from './helpers/preambles.ts';

const files = readFixtures('.');
const malformedFiles = readFixtures('malformed');

for (const { name, lowest, highest, extensionBytes, layout } of preambles) {
  test(`fixture ${name} is written and read alike`, (t) => {
    const bytes = files.get(name)?.bytes ?? new Uint8Array();
    t.is(hexOf(bytes), hexOf(layout.bytes));
    const read = decodePreamble(bytes);
    t.deepEqual(read, { lowest, highest, extensionBytes });
    t.is(hexOf(encodePreamble(read)), hexOf(bytes.subarray(0, preambleBytes)));
    t.is(bytes.length, preambleBytes + extensionBytes);
  });
}

for (const { name } of malformedPreambles) {
  test(`fixture malformed/${name} is refused`, (t) => {
    const bytes = malformedFiles.get(name)?.bytes ?? new Uint8Array();
    const error = t.throws(() => decodePreamble(bytes), { instanceOf: ProtocolError });
    t.is(error?.failure, 'protocol');
  });
}

test('this release speaks version 1', (t) => {
  t.deepEqual(versions, { lowest: 1, highest: 1, extensionBytes: 0 });
});

test('a preamble that ends early is refused', (t) => {
  const bytes = encodePreamble(versions);
  t.throws(() => decodePreamble(bytes.subarray(0, preambleBytes - 1)), {
    instanceOf: ProtocolError,
  });
});

test('the first bytes tell what cannot become a preamble', (t) => {
  const bytes = encodePreamble(versions);
  for (let i = 0; i <= bytes.length; i += 1) t.true(maybePreamble(bytes.subarray(0, i)));
  for (let i = 0; i < 8; i += 1) {
    const wrong = bytes.slice(0, i + 1);
    wrong[i] = (wrong[i] ?? 0) ^ 0x20;
    t.false(maybePreamble(wrong), `byte ${i}`);
  }
  t.false(maybePreamble(new TextEncoder().encode('GET / HTTP/1.1')));
  t.false(maybePreamble(Uint8Array.of(0x16, 0x03, 0x01)), 'a TLS record');
});

test('both sides agree on the highest version that both speak, or both on none', (t) => {
  const span = fc
    .tuple(fc.nat(9), fc.nat(9))
    .map(([a, b]) => ({ lowest: Math.min(a, b), highest: Math.max(a, b), extensionBytes: 0 }));
  const property = fc.property(span, span, (ours, theirs) => {
    const common = Array.from({ length: 10 }, (_, version) => version).filter((version) =>
      [ours, theirs].every(({ lowest, highest }) => lowest <= version && version <= highest),
    );
    for (const [a, b] of [
      [ours, theirs],
      [theirs, ours],
    ] as const) {
      if (common.length > 0) {
        t.is(agreeVersion(a, b), Math.max(...common));
      } else {
        const error = t.throws(() => agreeVersion(a, b), { instanceOf: ProtocolError });
        t.is(error?.failure, 'version');
        t.regex(error?.message ?? '', /update the older/);
      }
    }
  });
  fc.assert(property);
});
