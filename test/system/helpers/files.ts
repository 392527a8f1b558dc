/** Files for tests of the real programs: a temporary folder, seeded content, comparisons. */
import { createCipheriv, createHash } from 'node:crypto';
import { type FileHandle, lstat, mkdtemp, open, readdir, readlink, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';

const KiB = 1024;
export const MiB: number = 1024 * KiB;

export interface TempFolder {
  readonly path: string;
  /** A path inside. */
  at(...names: string[]): string;
  remove(): Promise<void>;
}

/** A new folder; `where` chooses the disk it is on. */
export async function tempFolder(where: string = tmpdir()): Promise<TempFolder> {
  const folder = await mkdtemp(path.join(where, 'chunkferry-'));
  return {
    path: folder,
    at: (...names) => path.join(folder, ...names),
    remove: () => rm(folder, { recursive: true, force: true, maxRetries: 3 }),
  };
}

// ---- seeded content ------------------------------------------------------------------------------

const pieceBytes = MiB;

/**
 * `sizeBytes` bytes that depend on nothing but `seed`, in pieces. A cipher's key stream looks random
 * and comes at the speed of the disk or better.
 */
function* seededPieces(seed: string | number, sizeBytes: number): Generator<Uint8Array> {
  const key = createHash('sha256').update(String(seed)).digest().subarray(0, 16);
  const cipher = createCipheriv('aes-128-ctr', key, Buffer.alloc(16));
  const zeros = Buffer.alloc(Math.min(pieceBytes, sizeBytes));
  for (let left = sizeBytes; left > 0; left -= pieceBytes) {
    yield cipher.update(zeros.subarray(0, Math.min(left, pieceBytes)));
  }
}

/** The bytes that `writeRandomFile` writes for this seed. */
export function randomBytes(seed: string | number, sizeBytes: number): Buffer {
  return Buffer.concat([...seededPieces(seed, sizeBytes)]);
}

/** Writes a file of seeded content, of any size, with little memory. */
export async function writeRandomFile(
  file: string,
  sizeBytes: number,
  seed: string | number = 1,
): Promise<void> {
  const handle = await open(file, 'w');
  try {
    for (const piece of seededPieces(seed, sizeBytes)) await writeWhole(handle, piece);
  } finally {
    await handle.close();
  }
}

async function writeWhole(handle: FileHandle, bytes: Uint8Array): Promise<void> {
  for (let done = 0; done < bytes.length; ) {
    done += (await handle.write(bytes, done)).bytesWritten;
  }
}

/** Turns one bit over in the byte at `positionBytes`. */
export async function flipBit(file: string, positionBytes: number): Promise<void> {
  const handle = await open(file, 'r+');
  try {
    const byte = Buffer.alloc(1);
    const { bytesRead } = await handle.read(byte, 0, 1, positionBytes);
    if (bytesRead === 0) throw new Error(`${file} ends before byte ${positionBytes}.`);
    byte.writeUInt8(byte.readUInt8() ^ 1);
    await handle.write(byte, 0, 1, positionBytes);
  } finally {
    await handle.close();
  }
}

// ---- comparisons ---------------------------------------------------------------------------------

/** Where two files differ first, or undefined when they are equal byte for byte. */
export async function firstDifference(a: string, b: string): Promise<number | undefined> {
  const [left, right] = await Promise.all([open(a), open(b)]);
  try {
    const [leftPiece, rightPiece] = [Buffer.alloc(pieceBytes), Buffer.alloc(pieceBytes)];
    for (let position = 0; ; position += pieceBytes) {
      const [leftBytes, rightBytes] = await Promise.all([
        readWhole(left, leftPiece, position),
        readWhole(right, rightPiece, position),
      ]);
      const [ours, theirs] = [leftPiece.subarray(0, leftBytes), rightPiece.subarray(0, rightBytes)];
      if (!ours.equals(theirs)) return position + firstUnequal(ours, theirs);
      if (leftBytes < pieceBytes) return undefined;
    }
  } finally {
    await Promise.all([left.close(), right.close()]);
  }
}

async function readWhole(handle: FileHandle, buffer: Buffer, position: number): Promise<number> {
  let done = 0;
  while (done < buffer.length) {
    const { bytesRead } = await handle.read(buffer, done, buffer.length - done, position + done);
    if (bytesRead === 0) break;
    done += bytesRead;
  }
  return done;
}

function firstUnequal(a: Buffer, b: Buffer): number {
  const common = Math.min(a.length, b.length);
  for (let i = 0; i < common; i += 1) if (a[i] !== b[i]) return i;
  return common;
}

export interface CompareOptions {
  /** Compare permission bits; as by default. */
  readonly modes?: boolean;
  /** Compare modification times; as by default. */
  readonly times?: boolean;
}

/** Node restores times no finer than this. */
const timeToleranceNs = 10_000n;
const modeMask = 0o7777n;
/** Where partials are kept: never part of what was transferred. */
const stagingName = '.chunkferry';

/**
 * How two files, or two folders with all they hold, differ in names, kinds, content, mode and mtime:
 * one sentence a difference, none when they are equal.
 */
export async function differences(
  a: string,
  b: string,
  options: CompareOptions = {},
): Promise<string[]> {
  return await differ(a, b, '.', options);
}

async function differ(
  a: string,
  b: string,
  name: string,
  options: CompareOptions,
): Promise<string[]> {
  const [left, right] = await Promise.all([
    lstat(a, { bigint: true }).catch(ignoreMissing),
    lstat(b, { bigint: true }).catch(ignoreMissing),
  ]);
  if (left === undefined || right === undefined) {
    if (left === right) throw new Error(`Neither ${a} nor ${b} exists.`);
    return [`${name} is missing ${left === undefined ? 'on the left' : 'on the right'}`];
  }
  const found: string[] = [];
  const { modes = true, times = true } = options;
  if (modes && (left.mode & modeMask) !== (right.mode & modeMask)) {
    const [leftMode, rightMode] = [left, right].map(({ mode }) => (mode & modeMask).toString(8));
    found.push(`${name} has mode ${leftMode} and ${rightMode}`);
  }
  const apartNs = left.mtimeNs - right.mtimeNs;
  if (times && (apartNs > timeToleranceNs || -apartNs > timeToleranceNs)) {
    found.push(`${name} has mtimes ${apartNs} ns apart`);
  }
  if (left.isFile() && right.isFile()) {
    const at = await firstDifference(a, b);
    if (at !== undefined) found.push(`${name} differs from byte ${at} on`);
  } else if (left.isSymbolicLink() && right.isSymbolicLink()) {
    if ((await readlink(a)) !== (await readlink(b))) found.push(`${name} links elsewhere`);
  } else if (left.isDirectory() && right.isDirectory()) {
    const names = new Set([...(await readdir(a)), ...(await readdir(b))]);
    names.delete(stagingName);
    for (const child of [...names].sort()) {
      found.push(
        ...(await differ(path.join(a, child), path.join(b, child), `${name}/${child}`, options)),
      );
    }
  } else {
    found.push(`${name} is of another kind`);
  }
  return found;
}

function ignoreMissing(error: NodeJS.ErrnoException): undefined {
  if (error.code !== 'ENOENT') throw error;
}
