import test from 'ava';
import { limits } from '../../../protocol/limits.ts';
import { decode, encode } from '../helpers/wire.ts';

test('a whole page of short entries fits into a frame', (t) => {
  const entries = Array.from({ length: limits.listingEntries }, (_, i) => ({
    path: `file-${i}`,
    kind: 'file' as const,
    size: i,
    mtimeNs: 0n,
    mode: 0o644,
    contentType: '',
  }));
  t.deepEqual(decode(encode({ type: 'entries', request: 1, last: true, entries })), [
    { type: 'entries', request: 1, last: true, entries },
  ]);
});

test('the longest path travels', (t) => {
  const path = 'p'.repeat(limits.pathBytes);
  t.deepEqual(
    decode(
      encode({ type: 'rename', request: 1, operation: new Uint8Array(16), from: path, to: path }),
    ),
    [{ type: 'rename', request: 1, operation: new Uint8Array(16), from: path, to: path }],
  );
});
