/**
 * Lets the disk take its time: while syncs in the thread pool are held, each waits until a test lets it
 * go; every folder is on a disk of no known kind. As `recording.ts` it stands in front of `node:fs`,
 * must be loaded before anything of the storage, and sees one thread.
 */
import fs from 'node:fs';
import { syncBuiltinESMExports } from 'node:module';

type Done = (error: Error | null) => void;

const original = fs.fsync;
let held: (() => void)[] | undefined;

function fsync(fd: number, done: Done): void {
  if (held === undefined) original(fd, done);
  else held.push(() => original(fd, done));
}
Object.defineProperties(fsync, Object.getOwnPropertyDescriptors(original));
fs.fsync = fsync as typeof fs.fsync;
fs.statfsSync = (() => ({ type: 0 })) as unknown as typeof fs.statfsSync;
syncBuiltinESMExports();

/** From now on syncs wait. */
export function holdSyncs(): void {
  held = [];
}

/** How many wait. */
export const heldSyncs = (): number => held?.length ?? 0;

/** Lets the one go that has waited longest. */
export function letOneGo(): void {
  held?.shift()?.();
}

/** Lets all go, and holds none any more. */
export function letAllGo(): void {
  const waiting = held ?? [];
  held = undefined;
  for (const go of waiting) go();
}
