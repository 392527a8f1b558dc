/**
 * The preamble: the first bytes each side sends, in a form that no version changes.
 *
 *   0  8 bytes  magic: 89 46 45 52 52 59 0D 0A ("\x89FERRY\r\n")
 *   8  u16      lowest version the sender speaks
 *  10  u16      highest version the sender speaks
 *  12  u32      length of an extension that follows; 0 today, skipped by those who don't know it
 *
 * The first magic byte is no ASCII and starts no TLS record; the line end shows a link that
 * rewrites text (the trick is PNG's: https://www.w3.org/TR/png/#5PNG-file-signature).
 */
import { ProtocolError } from './errors.ts';
import { limits } from './limits.ts';

export const preambleBytes = 16;
const magic: readonly number[] = [0x89, 0x46, 0x45, 0x52, 0x52, 0x59, 0x0d, 0x0a];

export interface Preamble {
  readonly lowest: number;
  readonly highest: number;
  readonly extensionBytes: number;
}

/** The versions that this code speaks. */
export const versions: Preamble = { lowest: 1, highest: 1, extensionBytes: 0 };

export function encodePreamble({ lowest, highest, extensionBytes }: Preamble): Uint8Array {
  const bytes = new Uint8Array(preambleBytes);
  const view = new DataView(bytes.buffer);
  bytes.set(magic);
  view.setUint16(8, lowest, true);
  view.setUint16(10, highest, true);
  view.setUint32(12, extensionBytes, true);
  return bytes;
}

/** True while `bytes`, however few, may still become a preamble. */
export function maybePreamble(bytes: Uint8Array): boolean {
  return magic.every((byte, index) => index >= bytes.length || bytes[index] === byte);
}

/** Reads 16 bytes. Throws ProtocolError when they are no preamble or its extension is too long. */
export function decodePreamble(bytes: Uint8Array): Preamble {
  if (bytes.length < preambleBytes || !maybePreamble(bytes)) {
    throw new ProtocolError('protocol', 'The other side does not speak chunkferry.');
  }
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const preamble = {
    lowest: view.getUint16(8, true),
    highest: view.getUint16(10, true),
    extensionBytes: view.getUint32(12, true),
  };
  if (preamble.lowest > preamble.highest) {
    throw new ProtocolError('protocol', 'The versions of a preamble are in the wrong order.');
  }
  if (preamble.extensionBytes > limits.preambleExtensionBytes) {
    throw new ProtocolError('protocol', 'The extension of a preamble is too long.');
  }
  return preamble;
}

/**
 * The version that both sides use: the highest that both speak. Throws ProtocolError (`version`)
 * when there is none.
 */
export function agreeVersion(ours: Preamble, theirs: Preamble): number {
  const version = Math.min(ours.highest, theirs.highest);
  if (version < Math.max(ours.lowest, theirs.lowest)) {
    throw new ProtocolError(
      'version',
      `This side speaks versions ${ours.lowest} to ${ours.highest} of the protocol, the other side ` +
        `${theirs.lowest} to ${theirs.highest}: update the older of the two programs.`,
    );
  }
  return version;
}
