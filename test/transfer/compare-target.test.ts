import test from 'ava';
import { checksum } from '../../protocol/checksum.ts';
import type { ControlFrame } from '../../protocol/frames.ts';
import { limits } from '../../protocol/limits.ts';
import { matchingChunks } from '../../transfer/compare-target.ts';
import { transferLimits } from '../../transfer/limits.ts';
import type { Listener, Request } from '../../transfer/request.ts';
import type { ChunkSource } from '../../transfer/storage.ts';

const chunkBytes = 1024;
const { segmentChunks } = limits;

/** The other end of a comparison: every segment differs there, by its first chunk only. */
function otherwiseEqual(): Request {
  const equal = checksum(new Uint8Array(chunkBytes));
  let listener: Listener | undefined;
  const request = {
    id: 1,
    carrier: { consumed: () => undefined },
    listen: (to: Listener) => {
      listener = to;
    },
    progressed: () => undefined,
    say: (frame: ControlFrame) => {
      if (frame.type !== 'compare') throw new Error(frame.type);
      const { start: first = 0, end = 0 } = frame.ranges[0] ?? {};
      const checksums = BigUint64Array.from({ length: end - first }, (_, i) =>
        frame.level === 'segment' || (first + i) % segmentChunks === 0 ? 1n : equal,
      );
      const { level } = frame;
      listener?.onFrame({ type: 'sums', request: 1, level, first, checksums, last: false }, 0);
    },
  };
  return request as unknown as Request;
}

test('segments that are partly equal are as many as may be open; the others are sent whole', async (t) => {
  const segments = transferLimits.openSegments + 10;
  const size = segments * segmentChunks * chunkBytes;
  const target = {
    size,
    rewindable: true,
    read: async (buffer: Uint8Array) => buffer.fill(0).length,
  } as unknown as ChunkSource;
  const offer = { size, chunkBytes } as Parameters<typeof matchingChunks>[2];
  const matches = await matchingChunks(otherwiseEqual(), target, offer, true);
  t.is(matches.rangeCount, transferLimits.openSegments);
  t.is(matches.size, transferLimits.openSegments * (segmentChunks - 1));
});
