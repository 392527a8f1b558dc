/** Any frame of any type, as fast-check makes them. The keys are checked to be all frame types. */
import fc, { type Arbitrary } from 'fast-check';
import { checksum } from '../../../protocol/checksum.ts';
import { type Entry, entryKinds, modeMask } from '../../../protocol/entry.ts';
import { type FailureName, failures } from '../../../protocol/errors.ts';
import { benchParts, benchStores } from '../../../protocol/frames/bench.ts';
import { answerNames } from '../../../protocol/frames/pages.ts';
import { levels } from '../../../protocol/frames/requests.ts';
import { outcomes, overwrites, phases } from '../../../protocol/frames/transfer.ts';
import type { ControlFrame, Frame, FrameOf, FrameType } from '../../../protocol/frames.ts';
import { limits } from '../../../protocol/limits.ts';
import type { Range } from '../../../protocol/ranges.ts';

const optional = <T>(arbitrary: Arbitrary<T>): Arbitrary<T | undefined> =>
  fc.option(arbitrary, { nil: undefined });
const u32 = fc.integer({ min: 0, max: 2 ** 32 - 1 });
const u53 = fc.oneof(fc.maxSafeNat(), fc.constantFrom(0, 1, 2 ** 32, Number.MAX_SAFE_INTEGER));
const u64 = fc.bigInt({ min: 0n, max: 2n ** 64n - 1n });
const i64 = fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n });
const bytes = (length: number): Arbitrary<Uint8Array> =>
  fc.uint8Array({ minLength: length, maxLength: length });
const id = bytes(16);
/** At most 3 bytes of UTF-8 a unit, so that the limits in bytes hold. */
const text = (maxUnits: number): Arbitrary<string> =>
  fc.string({ unit: 'binary', maxLength: maxUnits });
const path = fc.oneof(text(40), text(Math.floor(limits.pathBytes / 3)));
const message = text(Math.floor(limits.messageBytes / 4));
const mode = fc.integer({ min: 0, max: modeMask });
const request = fc.integer({ min: 1, max: 2 ** 32 - 1 });
const travelling = (Object.keys(failures) as FailureName[]).filter(
  (name) => failures[name].code < 100,
);
const failure = fc.constantFrom(...travelling);

const rangesArbitrary: Arbitrary<Range[]> = fc
  .uniqueArray(u53, { maxLength: 40 })
  .map((values) => values.toSorted((a, b) => a - b))
  .map((values) =>
    Array.from({ length: Math.floor(values.length / 2) }, (_, i) => ({
      start: values[2 * i] ?? 0,
      end: values[2 * i + 1] ?? 0,
    })),
  );

const policy = fc.record({
  overwrite: fc.constantFrom(...overwrites),
  checksum: fc.boolean(),
  delta: fc.boolean(),
  fresh: fc.boolean(),
  modifyWindowNs: u53,
});

const entry: Arbitrary<Entry> = fc.record({
  path: text(60),
  kind: fc.constantFrom(...entryKinds),
  size: u53,
  mtimeNs: i64,
  mode,
  contentType: text(30),
});
const entries = fc.array(entry, { maxLength: 20 });

const told = fc.record({
  chunkBytesMin: u53,
  chunkBytesMax: u53,
  inFlightBytes: u53,
  requests: u53,
  pages: u53,
});

type Bodies = { [T in FrameType]: Arbitrary<Required<Omit<FrameOf<T>, 'type' | 'request'>>> };

const empty = fc.constant({});
const token = fc.record({ token: u64 });
const pathAlone = fc.record({ path });

const bodies: Bodies = {
  hello: fc.record({
    session: id,
    nonce: bytes(32),
    features: fc.array(text(8), { maxLength: limits.features }),
    limits: told,
    software: text(16),
    tokenId: optional(bytes(8)),
    binding: optional(fc.constantFrom('exporter', 'none', '')),
  }),
  proof: fc.record({ mac: bytes(32) }),
  ping: token,
  pong: token,
  goodbye: empty,
  credit: fc.record({ consumed: u53 }),
  error: fc.record({ failure, message }),
  cancel: empty,
  cancelled: empty,
  list: fc.record({ path, recursive: fc.boolean(), contentTypes: fc.boolean() }),
  stat: pathAlone,
  mkdir: fc.record({ operation: id, path, parents: fc.boolean() }),
  remove: fc.record({ operation: id, path, recursive: fc.boolean() }),
  rename: fc.record({ operation: id, from: path, to: path }),
  checksums: fc.record({ path, level: fc.constantFrom(...levels), first: u53, count: u53 }),
  entries: fc.record({ last: fc.boolean(), entries }),
  entry: fc.record({ entry }),
  done: empty,
  download: fc.record({ path, sha256: fc.boolean() }),
  offer: fc.record({
    path,
    size: optional(u53),
    mtimeNs: i64,
    mode,
    identity: fc.uint8Array({ maxLength: limits.identityBytes }),
    chunkBytes: fc.integer({ min: limits.chunkBytesMin, max: limits.chunkBytesMax }),
    rewindable: fc.boolean(),
    sha256: fc.boolean(),
    operation: optional(id),
    policy: optional(policy),
    connections: optional(fc.nat(255)),
  }),
  want: fc.record({
    round: u32,
    transfer: id,
    epoch: u32,
    last: fc.boolean(),
    ranges: rangesArbitrary,
  }),
  compare: fc.record({ level: fc.constantFrom(...levels), ranges: rangesArbitrary }),
  sums: fc.record({
    level: fc.constantFrom(...levels),
    first: u53,
    last: fc.boolean(),
    checksums: fc.bigUint64Array({ maxLength: 60 }),
  }),
  end: fc.record({ round: u32, size: u53, digest: optional(u64), sha256: optional(bytes(32)) }),
  have: fc.record({ received: u53, durable: u53 }),
  working: fc.record({ phase: fc.constantFrom(...phases), done: u53, total: u53 }),
  complete: fc.record({
    outcome: fc.constantFrom(...outcomes),
    digest: optional(u64),
    sha256: optional(bytes(32)),
  }),
  join: fc.record({ transfer: id, epoch: u32 }),
  chunk: fc
    .tuple(u53, fc.uint8Array({ maxLength: 300 }), fc.boolean())
    .map(([index, payload, flipped]) => {
      const zero = payload.length === 0;
      const sum = checksum(payload);
      const intact = zero || !flipped;
      return { index, payload, checksum: flipped ? sum ^ 1n : sum, intact, zero };
    }),
  fetch: fc.record({ base: path, paths: fc.array(text(20), { maxLength: limits.pageFiles }) }),
  offers: fc.record({ operation: id, base: path, policy, eager: fc.boolean(), entries }),
  answers: fc.record({
    answers: fc.array(fc.constantFrom(...answerNames), { maxLength: limits.pageFiles }),
  }),
  results: fc.record({
    failures: fc.array(fc.record({ index: fc.nat(65_535), failure, message: text(50) }), {
      maxLength: limits.pageFiles,
    }),
  }),
  verify: fc.record({ base: path, paths: fc.array(text(20), { maxLength: limits.pageFiles }) }),
  digests: fc.record({ digests: fc.array(optional(u64), { maxLength: limits.pageFiles }) }),
  bench: fc.record({
    part: fc.constantFrom(...benchParts),
    store: fc.constantFrom(...benchStores),
    path,
    chunkBytes: fc.integer({ min: limits.chunkBytesMin, max: limits.chunkBytesMax }),
    size: optional(u53),
    durationMs: optional(u32),
    writeBytes: optional(fc.integer({ min: 1, max: 2 ** 32 - 1 })),
    bytesPerSecond: optional(fc.integer({ min: 1, max: Number.MAX_SAFE_INTEGER })),
    reportMs: optional(fc.integer({ min: 1, max: 2 ** 32 - 1 })),
    checksums: fc.boolean(),
    storeBytes: optional(fc.integer({ min: 1, max: Number.MAX_SAFE_INTEGER })),
  }),
  benchReport: fc.record({
    elapsedUs: u53,
    bytes: u53,
    chunksRepeated: u53,
    diskUs: u53,
    windowUs: u53,
    socketUs: u53,
    pacedUs: u53,
    cpuUs: u53,
    busyUs: u53,
    threadUs: u53,
    memoryBytes: u53,
    dataBytes: u53,
  }),
};

const connectionTypes: ReadonlySet<FrameType> = new Set([
  'hello',
  'proof',
  'ping',
  'pong',
  'goodbye',
  'credit',
]);

function frameArbitrary(type: FrameType): Arbitrary<Frame> {
  const body: Arbitrary<object> = bodies[type];
  const id = connectionTypes.has(type)
    ? fc.constant(0)
    : type === 'error'
      ? fc.oneof(fc.constant(0), request)
      : request;
  return fc.tuple(id, body).map(([request, fields]) => ({ type, request, ...fields }) as Frame);
}

export const frameTypes: readonly FrameType[] = Object.keys(bodies) as FrameType[];

/** Any frame. */
export const anyFrame: Arbitrary<Frame> = fc.oneof(...frameTypes.map(frameArbitrary));

/** Any frame but `chunk`. */
export const anyControlFrame: Arbitrary<ControlFrame> = fc.oneof(
  ...frameTypes
    .filter((type) => type !== 'chunk')
    .map((type) => frameArbitrary(type) as Arbitrary<ControlFrame>),
);
