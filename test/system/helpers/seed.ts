/** Random choices that can be made again: the seed is printed, FERRY_TEST_SEED sets it. */

const given = process.env['FERRY_TEST_SEED'];

/** The seed of this run. */
export const seed: number =
  given === undefined ? Math.floor(Math.random() * 2 ** 31) : Number(given);

/** Numbers from 0 up to 1, evenly spread, the same for the same seed and name (mulberry32). */
export function randomOf(name: string): () => number {
  let state = seed;
  for (const letter of name) state = Math.imul(state ^ letter.charCodeAt(0), 0x9e37_79b1);
  return () => {
    state = (state + 0x6d2b_79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}
