/** `npm run soak` takes every position, and as many as THREATS says. */
export const isWhole: boolean = process.env['FERRY_SOAK'] !== undefined;
