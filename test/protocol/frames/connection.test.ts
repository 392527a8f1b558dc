import test from 'ava';
import fc from 'fast-check';
import { utf8 } from '../../../protocol/bytes.ts';
import type { Frame } from '../../../protocol/frames.ts';
import { limits } from '../../../protocol/limits.ts';
import { decode, encode } from '../helpers/wire.ts';

function sent(message: string): Frame | undefined {
  return decode(encode({ type: 'error', request: 1, failure: 'io', message }))[0];
}

test('the message of an error is cut at the edge of a character', (t) => {
  const unit = fc.constantFrom('a', 'ä', '日', '😀');
  const long = fc.string({
    unit,
    minLength: limits.messageBytes / 4,
    maxLength: 2 * limits.messageBytes,
  });
  const property = fc.property(long, (message) => {
    const frame = sent(message);
    const arrived = frame?.type === 'error' ? frame.message : '';
    t.true(message.startsWith(arrived));
    const bytes = utf8(arrived).length;
    t.true(
      arrived === message || (bytes <= limits.messageBytes && bytes > limits.messageBytes - 4),
    );
  });
  fc.assert(property);
});

test('a finding of the client travels as internal', (t) => {
  const frame = decode(encode({ type: 'error', request: 1, failure: 'usage', message: '' }))[0];
  t.like(frame, { type: 'error', failure: 'internal' });
});
