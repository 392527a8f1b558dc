/** How a pinned certificate is written. */
const pinBytes = 32;

/** SHA-256 of a certificate: hex, with or without colons, or base64url, perhaps behind `sha256:`. */
export function parsePin(text: string): Uint8Array | undefined {
  const bare = text.replace(/^sha256:/i, '');
  const hex = bare.replaceAll(':', '');
  const bytes = /^[0-9a-f]{64}$/i.test(hex)
    ? Buffer.from(hex, 'hex')
    : Buffer.from(bare, 'base64url');
  return bytes.length === pinBytes ? bytes : undefined;
}
