/** Proofs of a token, from docs/protocol.md alone. */
import { createHash, createHmac, hkdfSync } from 'node:crypto';
import { cat, u32 } from './wire.ts';

export interface Transcript {
  readonly binding: string;
  readonly exporter: Uint8Array;
  /** Preamble and payload of hello of each side. */
  readonly client: Uint8Array;
  readonly daemon: Uint8Array;
}

export const tokenBytes = (text: string): Buffer =>
  Buffer.from(text.slice('ferry_'.length), 'base64url');
export const tokenId = (token: Uint8Array): Buffer =>
  createHash('sha256').update(token).digest().subarray(0, 8);

export function proof(
  token: Uint8Array,
  role: 'client' | 'daemon',
  { binding, exporter, client, daemon }: Transcript,
): Buffer {
  const key = Buffer.from(hkdfSync('sha256', token, 'chunkferry/1', 'token proof', 32));
  const parts = ['chunkferry/1 proof', role, binding].map((part) => Buffer.from(part));
  const hmac = createHmac('sha256', key);
  for (const part of [...parts, exporter, client, daemon]) {
    hmac.update(cat(u32(part.length), part));
  }
  return hmac.digest();
}
