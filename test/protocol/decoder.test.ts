import test from 'ava';
import { FrameDecoder } from '../../protocol/decoder.ts';
import { ProtocolError } from '../../protocol/errors.ts';
import { encodeFrame } from '../../protocol/frames.ts';
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
