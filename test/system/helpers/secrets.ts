/** Tokens in what programs say: wherever one stands that was not asked for, a test fails. */
import type { Readable } from 'node:stream';

/** A token as text. */
const token: RegExp = /ferry_[A-Za-z0-9_-]{43}/;
/** What may be the beginning of one whose rest is yet to come. */
const tokenLength = 'ferry_'.length + 43;

/** Reads what others read, too; the function tells whether a token was in it. */
export function watchForTokens(stream: Readable | null): () => boolean {
  let isFound = false;
  let rest = '';
  stream?.on('data', (bytes: Buffer | string) => {
    const text = rest + (typeof bytes === 'string' ? bytes : bytes.toString('latin1'));
    isFound ||= token.test(text);
    rest = text.slice(-tokenLength);
  });
  return () => isFound;
}
