import test from 'ava';
import { ProtocolError } from '../../protocol/errors.ts';
import { limits } from '../../protocol/limits.ts';
import { encodePreamble, preambleBytes } from '../../protocol/preamble.ts';
import { agreeLimits, newHello, PreambleReader } from '../../transfer/greeting.ts';

const ours = { lowest: 1, highest: 3, extensionBytes: 0 };

function withExtension(bytes: number): Uint8Array {
  return Buffer.concat([
    encodePreamble({ lowest: 2, highest: 4, extensionBytes: bytes }),
    Buffer.alloc(bytes, 7),
  ]);
}

test('a preamble and its extension are read in any pieces, and nothing behind them', (t) => {
  for (const extension of [0, 1, 1024]) {
    const wire = Buffer.concat([withExtension(extension), Buffer.from('behind')]);
    for (const pieceBytes of [1, 5, 16, 17, 4096]) {
      const reader = new PreambleReader(ours);
      let at = 0;
      for (let end = pieceBytes; !reader.done; end += pieceBytes) {
        at += reader.read(wire.subarray(at, Math.min(end, wire.length)));
      }
      t.is(at, preambleBytes + extension);
      t.notThrows(() => reader.agree());
    }
  }
});

test('the first wrong byte of the magic is noticed at once', (t) => {
  const wire = withExtension(0);
  for (let at = 0; at < 8; at += 1) {
    const wrong = Buffer.from(wire);
    wrong[at] = (wrong[at] as number) ^ 0x20;
    const reader = new PreambleReader(ours);
    t.throws(() => reader.read(wrong.subarray(0, at + 1)), { instanceOf: ProtocolError });
  }
});

test('an extension that is too long is refused before any of it came', (t) => {
  const wire = encodePreamble({ lowest: 1, highest: 1, extensionBytes: 1025 });
  t.throws(() => new PreambleReader(ours).read(wire), { instanceOf: ProtocolError });
});

test('without a version in common the error tells both ranges', (t) => {
  const reader = new PreambleReader(ours);
  reader.read(encodePreamble({ lowest: 7, highest: 9, extensionBytes: 0 }));
  const error = t.throws(() => reader.agree(), { instanceOf: ProtocolError });
  t.is(error.failure, 'version');
  t.regex(error.message, /1 to 3.*7 to 9/);
});

const told = newHello(new Uint8Array(16)).limits;

test('of each limit the narrower value is agreed on', (t) => {
  const mine = { ...told, chunkBytesMin: 2048, chunkBytesMax: 1 << 20, requests: 10, pages: 8 };
  const theirs = { ...told, chunkBytesMin: 1024, chunkBytesMax: 1 << 22, requests: 64, pages: 2 };
  const agreed = agreeLimits(mine, theirs);
  const { chunkBytesMin, chunkBytesMax, requests, pages } = agreed;
  t.deepEqual(
    { chunkBytesMin, chunkBytesMax, requests, pages },
    { chunkBytesMin: 2048, chunkBytesMax: 1 << 20, requests: 10, pages: 2 },
  );
  t.deepEqual(agreeLimits(theirs, mine), agreed);
});

test('limits that leave no room for a file are refused', (t) => {
  for (const narrow of [
    { chunkBytesMin: limits.fileChunkBytes + 1 },
    { chunkBytesMax: limits.fileChunkBytes - 1 },
    { requests: 0 },
    { pages: 0 },
  ]) {
    t.throws(() => agreeLimits(told, { ...told, ...narrow }), { instanceOf: ProtocolError });
  }
});

test('a hello carries the session, a nonce of its own and the limits it was given', (t) => {
  const session = new Uint8Array(16).fill(9);
  const one = newHello(session, { requests: 3 });
  const two = newHello(session);
  t.is(one.session, session);
  t.not(Buffer.compare(one.nonce, two.nonce), 0);
  t.is(one.limits.requests, 3);
  t.is(two.limits.requests, limits.requests);
  t.regex(one.software, /^chunkferry\/\d/);
});
