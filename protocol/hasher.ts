/** The library that computes checksums, which takes a moment to be there. */
import xxhash, { type XXHashAPI } from 'xxhash-wasm';

/** Not there before `hasherReady`. */
export let hasher: XXHashAPI;

/** Modules wait for it through checksum.ts; a script, which cannot wait as it loads, has to ask. */
export const hasherReady: Promise<void> = xxhash().then((made) => {
  hasher = made;
});
