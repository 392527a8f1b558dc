/** Small files compared a page at a time: both ends digest what they have. */
import { checksum, digestOf, fold } from '../protocol/checksum.ts';

export const pageDigestsFeature = 'page-digests';

/** The digest of a file of at most `limits.fileChunkBytes`, as docs/protocol.md defines it for every file. */
export function smallDigest(content: Uint8Array): bigint {
  const isEmpty = content.length === 0;
  const segments = isEmpty ? [] : [fold(BigUint64Array.of(checksum(content)))];
  return digestOf(segments, content.length);
}
