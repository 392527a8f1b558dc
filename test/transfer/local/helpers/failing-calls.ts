/**
 * Makes one call to the file system fail, the n-th of what is at work, with the error that it meets in
 * life: no space, no descriptor left, a broken disk; or lets a write end halfway.
 *
 * As `recording.ts` it stands in front of `node:fs`, must be loaded before anything of the storage, and
 * sees one thread.
 */
import fs from 'node:fs';
import { syncBuiltinESMExports } from 'node:module';
import { useLibc } from '../../../../transfer/local/libc.ts';

// What the C library fails at, Node is asked again: only its failures are failures.
useLibc(undefined);

type Call = (...args: unknown[]) => unknown;
const calls = fs as unknown as Record<string, Call>;

/** What a call fails with; `short` is no failure: a write ends halfway. */
const failures = {
  openSync: ['EMFILE', 'ENOSPC'],
  opendirSync: ['EMFILE', 'EIO'],
  mkdirSync: ['ENOSPC'],
  linkSync: ['ENOSPC'],
  renameSync: ['ENOSPC', 'EIO'],
  unlinkSync: ['EIO'],
  rmdirSync: ['EIO'],
  writeSync: ['ENOSPC', 'EIO', 'short'],
  readSync: ['EIO'],
  ftruncateSync: ['ENOSPC', 'EIO'],
  fstatSync: ['EIO'],
  fchmodSync: ['EIO'],
  futimesSync: ['EIO'],
  fsyncSync: ['EIO', 'ENOSPC'],
  statfsSync: ['ENOSYS'],
  lstatSync: ['EIO'],
  writev: ['ENOSPC', 'EIO', 'short'],
  read: ['EIO'],
  fsync: ['EIO', 'ENOSPC'],
  fdatasync: ['EIO', 'ENOSPC'],
  ftruncate: ['ENOSPC'],
} as const satisfies Readonly<Record<string, readonly string[]>>;

type CallName = keyof typeof failures;

export interface Fault {
  /** Which of the calls, from 0. */
  readonly at: number;
  readonly name: CallName;
  readonly how: string;
}

interface Watch {
  count: number;
  readonly seen: CallName[];
  readonly fault: Fault | undefined;
}

let watch: Watch | undefined;

/** Runs `work` with the fault; gives the calls that it made. */
async function watching(
  work: () => Promise<void>,
  fault: Fault | undefined,
): Promise<readonly CallName[]> {
  const own: Watch = { count: 0, seen: [], fault };
  watch = own;
  try {
    await work();
  } finally {
    watch = undefined;
  }
  return own.seen;
}

/** Every fault that `work` can meet. */
export async function faultsOf(work: () => Promise<void>): Promise<Fault[]> {
  const seen = await watching(work, undefined);
  return seen.flatMap((name, at) => failures[name].map((how): Fault => ({ at, name, how })));
}

/** Runs `work`, in which this one call goes wrong. */
export async function withFault(fault: Fault, work: () => Promise<void>): Promise<void> {
  await watching(work, fault);
}

function failed(code: string, name: string): Error {
  const syscall = name.replace(/Sync$/, '');
  return Object.assign(new Error(`${code}: injected, ${syscall}`), { code, syscall });
}

/** How this call shall go wrong; undefined for well. */
function fateOf(name: CallName): string | undefined {
  if (watch === undefined) return undefined;
  const { fault, seen } = watch;
  seen.push(name);
  const at = watch.count;
  watch.count += 1;
  // The calls before it may fall out differently from run to run: the kind of call must fit, too.
  return fault !== undefined && at >= fault.at && fault.name === name && !spent(watch)
    ? fault.how
    : undefined;
}

const spentWatches = new WeakSet<Watch>();

/** A fault happens once. */
function spent(own: Watch): boolean {
  if (spentWatches.has(own)) return true;
  spentWatches.add(own);
  return false;
}

for (const name of Object.keys(failures) as CallName[]) {
  const original = calls[name] as Call;
  const isAsync = !name.endsWith('Sync');
  const wrapped: Call = (...args) => {
    const how = fateOf(name);
    if (how === undefined) return original.apply(fs, args);
    if (how === 'short') return original.apply(fs, shortened(name, args));
    if (!isAsync) throw failed(how, name);
    const done = args.at(-1) as Call;
    setImmediate(() => done(failed(how, name)));
    return undefined;
  };
  Object.defineProperties(wrapped, Object.getOwnPropertyDescriptors(original));
  calls[name] = wrapped;
}
syncBuiltinESMExports();

/** The same write of about half as many bytes. */
function shortened(name: CallName, args: unknown[]): unknown[] {
  if (name === 'writeSync') {
    const [descriptor, bytes, offset = 0] = args as [number, Uint8Array, number?];
    const rest = bytes.byteLength - offset;
    return [descriptor, bytes, offset, Math.ceil(rest / 2), args[4]];
  }
  const [descriptor, slices, ...others] = args as [number, Uint8Array[]];
  const [first] = slices as [Uint8Array];
  return [descriptor, [first.subarray(0, Math.ceil(first.byteLength / 2))], ...others];
}
