/** Limits of one process, beside those of the protocol: memory, queues and time. */
const KiB = 1024;
const MiB = 1024 * KiB;
const second = 1000;

export const transferLimits = {
  /** Read and send buffers of all connections together; the least of each is had beyond it. */
  transferBufferBytes: 16 * MiB,
  /** What a connection reads into from the start; it always has this much. */
  firstBlockBytes: 96 * KiB,
  /** What it grows by while data flows and the pool has room. */
  blockBytes: 1312 * KiB,
  /** Blocks of one connection: one being filled, one being written, one in reserve. */
  blocks: 3,
  /** The same while the pool has no room: one being filled, one being written. */
  leastBlocks: 2,
  /** A TLS record holds no more (RFC 8446, section 5.1). */
  recordBytes: 16 * KiB,
  /** What is read of TLS at a time where a client receives, while half of the pool is free. */
  sealedBytes: 512 * KiB,
  /** So much that arrived is worth a write at once; less waits a little for more. */
  writeBytes: 1024 * KiB,
  writeMs: 10,
  /** Content read and sent at a time, while the pool has room and the reader reads. */
  sendBatchBytes: 1 * MiB,
  /** Such batches under way in one transfer: one being read, one being sent. */
  sendBatches: 2,
  /** Content read and sent at a time otherwise, and at first. */
  firstBatchBytes: 128 * KiB,
  /** Content of small files that is copied together and sent at a time. */
  sendRunBytes: 512 * KiB,
  sendRunChunks: 64,
  /** A batch that its reader took within this time is followed by a large one. */
  quickMs: 100,
  /** What has waited for its reader this long is dropped, and read again when it goes on. */
  stallMs: 1 * second,
  /** Bytes queued on a socket before chunks wait for it to drain. */
  sendQueueBytes: 1 * MiB,
  /** The same for pages of listings and checksums. */
  pageQueueBytes: 128 * KiB,
  /** Memory of answers queued for a peer that doesn't read; more ends the connection. */
  replyQueueBytes: 2 * MiB,
  /** Of all connections together: beyond it each may have the least of it queued. */
  repliesBytes: 16 * MiB,
  repliesLeastBytes: 256 * KiB,
  /** What a queued answer takes beside its bytes: one is small, a million of them are not. */
  queuedFrameBytes: 1 * KiB,
  /** How much is consumed before `credit` says so. */
  creditBytes: 2 * MiB,
  /** Chunks of a read that are heard together, at most: of small ones it may hold forty thousand. */
  arrivedChunks: 64,
  /** Ranges that a peer may make us remember for one request. */
  rangesHeld: 65_536,
  /** Damaged chunks of one transfer that are remembered until they came intact. */
  damagedChunks: 1024,
  /** Segments of one transfer that have begun and are not whole: with many connections, some for each. */
  openSegments: 1024,
  /** The same of all transfers together; beyond it each may have the least of them. */
  openSegmentsTotal: 4096,
  openSegmentsLeast: 16,
  /** A connection looks at the clock this often. */
  tickMs: 1 * second,
  /** A side that has nothing to say sends a ping this often. */
  heartbeatMs: 5 * second,
  /** A side that heard nothing for this long gives the connection up. */
  silenceMs: 20 * second,
  /** What a peer may say before it has proved its token: preamble, hello and proof. */
  greetingBytes: 8 * KiB,
  /** All that must be through by then. */
  greetingMs: 10 * second,
  /** A closed connection's last frames may take this long to leave. */
  lingerMs: 1 * second,
  /** A request without progress for this long is given up. */
  progressMs: 60 * second,
  /** A peer whose request is kept alive only by what it says of itself is given up after this long. */
  workingMs: 24 * 3_600 * second,
  /** Times that a receiver may ask for the same chunk or checksum of one request, on the average. */
  asksPerChunk: 8,
  /** A frame that has begun comes at least so fast, on the average of half that time. */
  frameBytesPerSecond: 1 * KiB,
  /** Between two tellings of what a receiver holds. */
  checkpointBytes: 8 * MiB,
  /** Between two checkpoints that sync to disk, where the sender can't send again. */
  durableCheckpointBytes: 8 * MiB,
} as const;
