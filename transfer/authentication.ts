/**
 * Proof of a token, without telling it: docs/protocol.md, Authentication.
 *
 * A token is 256 random bits. From it come an id, which names it in `hello`, and a key, with which
 * each side proves that it has the token: an HMAC over everything that both sides said, their roles,
 * and the TLS channel that carries it. Nothing that crosses the wire helps to guess the token.
 */
import { createHash, createHmac, hkdfSync, randomBytes, timingSafeEqual } from 'node:crypto';
import { FerryError } from '../protocol/errors.ts';

const tokenBytes = 32;
const tokenIdBytes = 8;
const keyBytes = 32;
const tokenPrefix = 'ferry_';

/** What a side has to know of a token to prove it, or to check a proof. As secret as the token. */
export interface Credential {
  /** First 8 bytes of the token's SHA-256: names it on the wire. */
  readonly id: Uint8Array;
  /** HKDF-SHA256 (RFC 5869) of the token, 32 bytes. */
  readonly key: Uint8Array;
}

/** What proofs are bound to: the TLS channel, or nothing where both sides were told so. */
export const bindings = ['exporter', 'none'] as const;
export type Binding = (typeof bindings)[number];

export const newToken = (): Uint8Array => randomBytes(tokenBytes);

/** How a token is written: a prefix that secret scanners find, and 43 characters of base64url. */
export function tokenText(token: Uint8Array): string {
  return tokenPrefix + Buffer.from(token).toString('base64url');
}

/** Throws FerryError (`usage`), which does not repeat the text. */
export function parseToken(text: string): Uint8Array {
  const bytes = Buffer.from(text.trim().slice(tokenPrefix.length), 'base64url');
  if (bytes.length !== tokenBytes || tokenText(bytes) !== text.trim()) {
    throw new FerryError('usage', `That is no token: one begins with ${tokenPrefix}.`);
  }
  return bytes;
}

export function credentialOf(token: Uint8Array): Credential {
  const id = createHash('sha256').update(token).digest().subarray(0, tokenIdBytes);
  const key = hkdfSync('sha256', token, 'chunkferry/1', 'token proof', keyBytes);
  return { id, key: new Uint8Array(key) };
}

/** All that a proof covers. */
export interface Transcript {
  readonly binding: Binding;
  /** The channel's exporter (RFC 9266), 32 bytes; empty for the binding `none`. */
  readonly exporter: Uint8Array;
  /** Preamble with its extension, then the payload of `hello`, as each side said them. */
  readonly client: Uint8Array;
  readonly daemon: Uint8Array;
}

/** HMAC-SHA-256 by which `role` proves that it has the key; 32 bytes. */
export function proofOf(
  key: Uint8Array,
  role: 'client' | 'daemon',
  { binding, exporter, client, daemon }: Transcript,
): Uint8Array {
  const hmac = createHmac('sha256', key);
  for (const text of ['chunkferry/1 proof', role, binding]) part(Buffer.from(text));
  for (const bytes of [exporter, client, daemon]) part(bytes);
  return hmac.digest();

  /** Each part behind its length, so that no two transcripts give the same bytes. */
  function part(bytes: Uint8Array): void {
    const length = Buffer.alloc(4);
    length.writeUInt32LE(bytes.length);
    hmac.update(length).update(bytes);
  }
}

/** In a time that tells nothing of where they differ. */
export function isSameProof(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && timingSafeEqual(a, b);
}
