/**
 * What a daemon lets its clients use up, by name: one table, from which the configuration, the help
 * and the docs come.
 *
 * Units come last in each name. What version 1 of the protocol fixes stands in protocol/limits.ts;
 * a daemon may ask for less than that, never for more.
 */
import { FerryError } from '../protocol/errors.ts';
import { limits as fixed } from '../protocol/limits.ts';
import { transferLimits } from '../transfer/limits.ts';

type LimitUnit = 'count' | 'bytes' | 'milliseconds';

interface Limit {
  readonly default: number;
  /** Smallest and largest value that may be set. */
  readonly least: number;
  readonly most: number;
  readonly unit: LimitUnit;
  /** What it bounds, as one line for people. */
  readonly help: string;
}

const KiB = 1024;
const MiB = 1024 * KiB;
const GiB = 1024 * MiB;
const TiB = 1024 * GiB;
const second = 1000;
const hour = 3_600 * second;

const count = (initial: number, help: string, least = 1, most = 1_000_000): Limit => ({
  default: initial,
  least,
  most,
  unit: 'count',
  help,
});

const bytes = (initial: number, help: string, least: number, most: number): Limit => ({
  default: initial,
  least,
  most,
  unit: 'bytes',
  help,
});

const milliseconds = (initial: number, help: string, least: number, most: number): Limit => ({
  default: initial,
  least,
  most,
  unit: 'milliseconds',
  help,
});

export const limitTable = {
  connections: count(256, 'connections at once, behind the proof of a token'),
  connectionsPerAddress: count(128, 'of them, from one address'),
  connectionsPerToken: count(128, 'of them, of one token'),
  pendingConnections: count(
    64,
    'connections that have not proved a token; when it is full, the address that has most loses its oldest',
  ),
  greetingBytes: bytes(
    transferLimits.greetingBytes,
    'what a client may say before it has proved its token',
    2 * KiB,
    fixed.controlBytes,
  ),
  greetingMs: milliseconds(
    transferLimits.greetingMs,
    'time for TLS, greeting and proof together',
    100,
    hour,
  ),
  penaltyMs: milliseconds(
    8 * second,
    'longest delay of the answer to an address that fails to prove a token',
    0,
    60 * second,
  ),
  transfers: count(1024, 'files, pages of small files and listings under way at once'),
  transfersPerToken: count(256, 'of them, of one token'),
  stagingFilesPerToken: count(1024, 'partial files of one token, under way and interrupted'),
  stagingBytesPerToken: bytes(16 * TiB, 'content of these partial files', 1, fixed.fileBytes),
  benches: count(256, 'measurements under way at once'),
  benchMs: milliseconds(300 * second, 'time that one measurement takes', second, 24 * hour),
  benchBytes: bytes(
    8 * GiB,
    "content of all measurements on the shares' disks",
    0,
    fixed.fileBytes,
  ),
  freeBytes: bytes(
    256 * MiB,
    "space that uploads leave free on a share's disk, of a small disk a tenth",
    0,
    fixed.fileBytes,
  ),
  progressMs: milliseconds(
    transferLimits.progressMs,
    'a request, or a frame that has begun, moves on within this time',
    100,
    hour,
  ),
  workingMs: milliseconds(
    transferLimits.workingMs,
    'a request whose client moves nothing, and only says that it works, goes on for this time',
    1 * second,
    30 * 24 * hour,
  ),
  replyQueueBytes: bytes(
    transferLimits.replyQueueBytes,
    'memory of answers that wait for a client that does not read them',
    256 * KiB,
    64 * MiB,
  ),
  transferBufferBytes: bytes(
    transferLimits.transferBufferBytes,
    'read and send buffers of all connections; a little for each is there without room, too',
    0,
    4 * GiB,
  ),
  pageBytes: bytes(
    32 * MiB,
    'pages of listings and small files, and chunks of more than 64 KiB, on their way, either way; of a token three quarters, of a connection one',
    1 * MiB,
    4 * GiB,
  ),
  listingEntries: count(
    fixed.listingEntries,
    'entries of one page of a listing',
    1,
    fixed.listingEntries,
  ),
  pathBytes: bytes(fixed.pathBytes, 'length of a path', 1, fixed.pathBytes),
  pathDepth: count(fixed.pathDepth, 'components of a path', 1, fixed.pathDepth),
} as const satisfies Record<string, Limit>;

export type LimitName = keyof typeof limitTable;
export type DaemonLimits = Readonly<Record<LimitName, number>>;

export const limitNames = Object.keys(limitTable) as LimitName[];

export const defaultLimits: DaemonLimits = Object.fromEntries(
  limitNames.map((name) => [name, limitTable[name].default]),
) as Record<LimitName, number>;

export const isLimitName = (name: string): name is LimitName => Object.hasOwn(limitTable, name);

/** What is wrong with `value` as a setting of the limit, as a sentence; undefined where nothing is. */
export function limitFault(name: LimitName, value: unknown): string | undefined {
  const { least, most, unit } = limitTable[name];
  if (Number.isSafeInteger(value) && (value as number) >= least && (value as number) <= most) {
    return undefined;
  }
  const of = unit === 'count' ? '' : ` of ${unit}`;
  return `${name} must be a whole number${of} from ${least} to ${most}.`;
}

/** All limits, where `set` says nothing with their defaults. Throws FerryError (`usage`). */
export function daemonLimits(set: Partial<DaemonLimits> = {}): DaemonLimits {
  for (const name of limitNames) {
    const value = set[name];
    const fault = value === undefined ? undefined : limitFault(name, value);
    if (fault !== undefined) throw new FerryError('usage', fault);
  }
  return { ...defaultLimits, ...set };
}
