import test from 'ava';
import fc from 'fast-check';
import { oneByOne } from '../../protocol/chunk-run.ts';
import { FrameDecoder } from '../../protocol/decoder.ts';
import { ProtocolError } from '../../protocol/errors.ts';
import { encodeFrame, type Frame } from '../../protocol/frames.ts';
import { headerBytes } from '../../protocol/header.ts';
import { header } from './helpers/layout.ts';
import { concat, viewOf } from './helpers/wire.ts';

const ping = encodeFrame({ type: 'ping', request: 0, token: 1n });

test('it tells how many bytes the frame under way needs', (t) => {
  const decoder = new FrameDecoder();
  const view = viewOf(ping);
  t.is(decoder.neededBytes, headerBytes);
  t.is(decoder.next(ping, view, 0, headerBytes - 1), undefined);
  t.is(decoder.neededBytes, headerBytes);
  t.is(decoder.next(ping, view, 0, headerBytes), undefined);
  t.is(decoder.neededBytes, ping.length);
  t.is(decoder.next(ping, view, 0, ping.length)?.length, ping.length);
  t.is(decoder.neededBytes, headerBytes);
});

test('a frame may move between two calls, as buffers are shifted', (t) => {
  const decoder = new FrameDecoder();
  t.is(decoder.next(ping, viewOf(ping), 0, ping.length - 1), undefined);
  const shifted = concat([new Uint8Array(7), ping]);
  t.like(decoder.next(shifted, viewOf(shifted), 7, shifted.length), { length: ping.length });
});

test('bytes behind `end` are not looked at', (t) => {
  const both = concat([ping, ping]);
  const decoder = new FrameDecoder();
  t.is(decoder.next(both, viewOf(both), 0, ping.length)?.length, ping.length);
  t.is(decoder.next(both, viewOf(both), ping.length, ping.length), undefined);
});

test('a length over the limit is refused before its payload is there', (t) => {
  const decoder = new FrameDecoder(() => 2048);
  const fields = { type: 0x2f, name: 'chunk', request: 1, length: 2049 };
  const { bytes } = header(fields, new Uint8Array());
  const error = t.throws(() => decoder.next(bytes, viewOf(bytes), 0, bytes.length), {
    instanceOf: ProtocolError,
  });
  t.is(error?.failure, 'protocol');
});

test('a chunk is a view of the bytes it was read from', (t) => {
  const payload = Uint8Array.of(1, 2, 3);
  const bytes = concat([header({ type: 0x2f, name: 'chunk', request: 1 }, payload).bytes, payload]);
  const decoded = new FrameDecoder().next(bytes, viewOf(bytes), 0, bytes.length);
  const frame = decoded?.frame;
  t.is(frame?.type === 'chunk' ? frame.payload.buffer : undefined, bytes.buffer);
});

/** One frame, most of them the chunk that comes next, by what is odd about it. */
const oddities = [
  'none',
  'jump',
  'jump by 2^32',
  'request',
  'reserved',
  'ping',
  'damaged payload',
  'damaged header',
  'zeros',
  'other zeros',
  'zero with bytes',
  'empty',
  'long',
  'flag',
] as const;
const anyStep = fc.record({
  odd: fc.oneof(
    { weight: 5, arbitrary: fc.constant('none' as const) },
    { weight: 2, arbitrary: fc.constantFrom('damaged payload' as const, 'zeros' as const) },
    { weight: 1, arbitrary: fc.constantFrom(...oddities) },
  ),
  length: fc.integer({ min: 1, max: 40 }),
  /** So many of the same. */
  count: fc.integer({ min: 1, max: 4 }),
});

interface Told {
  readonly frames: Frame[];
  readonly failure: string | undefined;
  /** Where the frame that was not decoded begins. */
  readonly at: number;
  /** The longest run, of chunks with content and of zeros. */
  readonly longest: readonly [number, number];
}

/** All frames before `end`, chunks that follow each other at most `most` at a time; undefined: each alone. */
function decodeAll(bytes: Uint8Array, end: number, verified: boolean, most?: number): Told {
  const decoder = new FrameDecoder((request) => (request === 1 ? 50 : 10));
  decoder.zeroChunks = true;
  if (!verified) decoder.unverified.add(1);
  const view = viewOf(bytes);
  const frames: Frame[] = [];
  let at = 0;
  const longest: [number, number] = [0, 0];
  try {
    for (;;) {
      const decoded = decoder.next(bytes, view, at, end);
      if (decoded === undefined) return { frames, failure: undefined, at, longest };
      at += decoded.length;
      if (decoded.frame.type !== 'chunk' || most === undefined) {
        frames.push(decoded.frame);
        continue;
      }
      const { run, end: next } = decoder.run(decoded.frame, { bytes, view, start: at, end }, most);
      at = next;
      const kind = run.first.zero ? 1 : 0;
      longest[kind] = Math.max(longest[kind], run.payloads.length);
      frames.push(...[...oneByOne(run)].map((one) => one.first));
      const bytesTold = run.payloads.reduce((sum, payload) => sum + payload.length, 0);
      if (bytesTold !== run.payloadBytes) throw new Error('The sum is another.');
      const { first, checksums } = run;
      const isMixed = first.zero && checksums.some((sum) => sum !== first.checksum);
      if (isMixed) throw new Error('Zeros have two checksums.');
      if (run.payloads.length > most) throw new Error('There are too many.');
    }
  } catch (error) {
    if (!(error instanceof ProtocolError)) throw error;
    return { frames, failure: `${error.failure}: ${error.message}`, at, longest };
  }
}

test('chunks that follow each other are the same together as one by one, and so is what ends them', (t) => {
  const together = [0, 0];
  fc.assert(
    fc.property(
      fc.array(anyStep, { maxLength: 10 }),
      fc.integer({ min: 1, max: 5 }),
      fc.nat(60),
      fc.boolean(),
      fc.constantFrom(5, 2 ** 32 - 4, 2 ** 53 - 5),
      fc.constantFrom(1, 2),
      (steps, most, missing, verified, firstIndex, firstRequest) => {
        let index = BigInt(firstIndex);
        let request = firstRequest;
        const odds = steps.flatMap((step) => Array<typeof step>(step.count).fill(step));
        const pieces = odds.map(({ odd, length }, i) => {
          if (odd === 'ping') return ping;
          const isZero = odd === 'zeros' || odd === 'other zeros';
          const size = isZero || odd === 'empty' ? 0 : odd === 'long' ? 51 : length;
          const payload = Uint8Array.from({ length: size }, (_, k) => i * 7 + k);
          if (odd === 'jump') index += 2n;
          if (odd === 'jump by 2^32') index += 2n ** 32n;
          if (odd === 'request') request = 3 - request;
          const fields = {
            type: 0x2f,
            name: 'chunk',
            request,
            reserved: odd === 'reserved' ? 1 : 0,
            index,
            flags: isZero || odd === 'zero with bytes' ? 2 : odd === 'flag' ? 0x80 : 0,
            checksumOff: odd === 'damaged payload' || odd === 'other zeros' ? 1n : 0n,
            ...(isZero && { content: new Uint8Array(50) }),
            checkOff: odd === 'damaged header' ? 1n : 0n,
          };
          index += 1n;
          return concat([header(fields, payload).bytes, payload]);
        });
        const bytes = concat(pieces);
        const end = Math.max(0, bytes.length - missing);
        const { longest: _, ...expected } = decodeAll(bytes, end, verified);
        const { longest, ...told } = decodeAll(bytes, end, verified, most);
        t.deepEqual(told, expected);
        for (const [kind, chunks] of longest.entries()) {
          together[kind] = Math.max(together[kind] as number, chunks);
        }
      },
    ),
    { numRuns: 1000 },
  );
  t.true(Math.min(...together) > 2, together.join());
});
