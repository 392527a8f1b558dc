/**
 * Every limit of the protocol, by name, in one place.
 *
 * A length or count read from the wire is compared with one of these before anything is allocated
 * for it. Units come last in each name. Those marked (hello) are told to the peer, which then keeps
 * to the smaller of the two values; the others are fixed by version 1 of the protocol.
 */
const KiB = 1024;
const MiB = 1024 * KiB;

export const limits = {
  /** Bytes of the preamble's extension that a reader skips; more is refused. */
  preambleExtensionBytes: 1 * KiB,
  /** Largest payload of a control frame, which is every frame but `chunk`. */
  controlBytes: 64 * KiB,
  /** The chunk size of files; other sizes are for measuring. */
  fileChunkBytes: 64 * KiB,
  /** (hello) Smallest and largest chunk size that an offer may name. */
  chunkBytesMin: 1 * KiB,
  chunkBytesMax: 4 * MiB,
  /** Chunks folded into one segment checksum: 8 MiB of a file. */
  segmentChunks: 128,
  /** (hello) Bulk payload a sender may have on its way, beyond what `credit` confirmed. */
  inFlightBytes: 16 * MiB,
  /** (hello) Requests open at once on one connection. */
  requests: 64,
  /** Features a hello may name, and the length of one name. */
  features: 64,
  featureBytes: 32,
  /** Files of one page. */
  pageFiles: 256,
  /** Content that one page of small files carries, all its chunks together. */
  pageContentBytes: 2 * MiB,
  /** (hello) Pages of small files open at once on one connection. */
  pages: 8,
  /** Entries of one page of a listing. */
  listingEntries: 1024,
  /** Ranges in one `want` or `compare`; a longer list is sent as several frames. */
  ranges: 2048,
  /** Checksums in one `sums`. */
  checksums: 4096,
  /** A path, one component of it, and the number of components. */
  pathBytes: 4096,
  componentBytes: 255,
  pathDepth: 64,
  /** Opaque bytes that name one version of a source. */
  identityBytes: 64,
  /** Text of an error as it travels. */
  messageBytes: 1 * KiB,
  /** Fields of one type-length-value list. */
  fields: 32,
  /** Largest file: 2^53 - 1 bytes, the integers that a double holds. */
  fileBytes: Number.MAX_SAFE_INTEGER,
  /** Times one chunk is asked for again before the transfer fails. */
  chunkRepeats: 3,
} as const;

/** One segment of a file in bytes: what an interruption may cost to send again. */
export const segmentBytes: number = limits.segmentChunks * limits.fileChunkBytes;
