/** How a connection begins: the preamble, and what both hellos come to. */
import { randomBytes } from 'node:crypto';
import { ProtocolError } from '../protocol/errors.ts';
import {
  type Hello,
  nonceBytes,
  type ToldLimits,
  toldLimits,
} from '../protocol/frames/connection.ts';
import { limits } from '../protocol/limits.ts';
import {
  agreeVersion,
  decodePreamble,
  encodePreamble,
  maybePreamble,
  type Preamble,
  preambleBytes,
} from '../protocol/preamble.ts';
import { pageDigestsFeature } from './page-digest.ts';
import { version } from './version.ts';
import { zeroChunksFeature } from './zeros.ts';

/** Reads the peer's preamble from bytes that arrive in any pieces. */
export class PreambleReader {
  readonly #ours: Preamble;
  #theirs: Preamble | undefined;
  readonly #extension: Uint8Array[] = [];
  #extensionBytes = 0;

  constructor(ours: Preamble) {
    this.#ours = ours;
  }

  /** Whether it was read whole, its extension included. */
  get done(): boolean {
    return this.#theirs !== undefined && this.#extensionBytes === this.#theirs.extensionBytes;
  }

  /** Takes what it needs from the start of `bytes`, gives how many that was. */
  read(bytes: Uint8Array): number {
    if (this.#theirs === undefined) {
      if (!maybePreamble(bytes)) {
        throw new ProtocolError('protocol', 'The other side does not speak chunkferry.');
      }
      if (bytes.length < preambleBytes) return 0;
      this.#theirs = decodePreamble(bytes);
      return preambleBytes + this.read(bytes.subarray(preambleBytes));
    }
    const missing = this.#theirs.extensionBytes - this.#extensionBytes;
    const part = bytes.slice(0, missing);
    this.#extension.push(part);
    this.#extensionBytes += part.length;
    return part.length;
  }

  /** As it was read, its extension included. */
  get bytes(): Uint8Array {
    if (this.#theirs === undefined) return new Uint8Array();
    return Buffer.concat([encodePreamble(this.#theirs), ...this.#extension]);
  }

  /** Throws ProtocolError (`version`) when the two sides have no version in common. */
  agree(): void {
    if (this.#theirs !== undefined) agreeVersion(this.#ours, this.#theirs);
  }
}

/** What both sides keep to. Throws ProtocolError for limits that leave no room for a transfer. */
export function agreeLimits(ours: ToldLimits, theirs: ToldLimits): ToldLimits {
  const agreed: Record<string, number> = {};
  for (const name of toldLimits) {
    const pick = name === 'chunkBytesMin' ? Math.max : Math.min;
    agreed[name] = pick(ours[name], theirs[name]);
  }
  const result = agreed as ToldLimits;
  if (
    result.chunkBytesMin > limits.fileChunkBytes ||
    result.chunkBytesMax < limits.fileChunkBytes ||
    result.requests < 1 ||
    result.pages < 1
  ) {
    throw new ProtocolError('protocol', 'The limits of the two sides leave no room for files.');
  }
  return result;
}

/** Optional features. */
const features: readonly string[] = ['bench', zeroChunksFeature, pageDigestsFeature];

/** Our side's hello, for the run of the program that `session` names. */
export function newHello(session: Uint8Array, told: Partial<ToldLimits> = {}): Hello {
  const ours = Object.fromEntries(toldLimits.map((name) => [name, told[name] ?? limits[name]]));
  return {
    session,
    nonce: randomBytes(nonceBytes),
    features,
    limits: ours as ToldLimits,
    software: `chunkferry/${version}`,
  };
}
