/**
 * How a connection begins: preambles, hellos, and the proofs that both sides have the same token.
 *
 * The daemon proves first, right behind its hello; the client checks that and proves together with
 * its first requests, so all of it takes one round trip. For a token that it doesn't know the daemon
 * "proves" with a key that nobody has: whoever asks can't tell such an id from one that it knows.
 */
import { randomBytes } from 'node:crypto';
import { FerryError, ProtocolError } from '../protocol/errors.ts';
import type { Hello } from '../protocol/frames/connection.ts';
import { encodeFrame, type Frame } from '../protocol/frames.ts';
import { headerBytes } from '../protocol/header.ts';
import { encodePreamble, versions } from '../protocol/preamble.ts';
import { type Binding, type Credential, isSameProof, proofOf } from './authentication.ts';
import { PreambleReader } from './greeting.ts';

/** The channel that proofs are bound to. */
export interface Channel {
  readonly binding: Binding;
  /** RFC 9266, 32 bytes; empty for the binding `none`. */
  readonly exporter: Uint8Array;
}

/** How a client proves itself, and knows its daemon. */
export interface Prover extends Channel {
  readonly credential: Credential;
}

/** How a daemon knows its clients. All calls are synchronous. */
export interface Verifier extends Channel {
  /** The key of the token with this id, if there is one. */
  keyOf(id: Uint8Array): Uint8Array | undefined;
  /** The client has proved this token. Throws FerryError when it is not let in all the same. */
  admit(id: Uint8Array): void;
  /** The client has not proved any: gives how many milliseconds later it is told so. */
  refuse(): number;
}

/** A key that nobody has, for the proofs of unknown tokens. */
const nobodysKey = randomBytes(32);
const nobody = new Uint8Array(8);

/** Thrown by a daemon whose client has not proved a token: told after a while, whatever was wrong. */
export class Unproved extends ProtocolError {
  readonly delayMs: number;

  constructor(delayMs: number) {
    super('authentication', 'The token is wrong, or not known here.');
    this.delayMs = delayMs;
  }
}

export abstract class Handshake {
  readonly hello: Hello;
  readonly preamble: PreambleReader = new PreambleReader(versions);
  /** What we said and heard: preamble and payload of hello. */
  protected readonly said: Uint8Array[] = [];
  protected heard: Uint8Array = new Uint8Array();
  protected readonly write: (bytes: Uint8Array) => void;
  peer: Hello | undefined;
  /** Whether nothing is left to say or hear before the first request. */
  done = false;

  constructor(hello: Hello, write: (bytes: Uint8Array) => void) {
    this.hello = hello;
    this.write = write;
  }

  /** The connection is there; a client begins. */
  abstract begin(): void;
  /** The peer's preamble was read. Throws ProtocolError. */
  abstract preambleRead(): void;
  /** A frame before `done`, with its payload. Throws FerryError. */
  abstract hear(frame: Frame, payload: Uint8Array): void;

  protected sayPreamble(): void {
    const preamble = encodePreamble(versions);
    this.said.push(preamble);
    this.write(preamble);
  }

  protected sayHello(hello: Hello): void {
    const frame = encodeFrame({ type: 'hello', request: 0, ...hello });
    this.said.push(frame.subarray(headerBytes));
    this.write(frame);
  }

  protected hearHello(frame: Frame, payload: Uint8Array): Hello {
    if (frame.type === 'error') throw new ProtocolError(frame.failure, frame.message);
    if (frame.type !== 'hello') {
      throw new ProtocolError('protocol', 'The first frame is not a hello.');
    }
    this.peer = frame;
    this.heard = Buffer.concat([this.preamble.bytes, payload]);
    return frame;
  }
}

export class ClientHandshake extends Handshake {
  readonly #prover: Prover | undefined;

  constructor(hello: Hello, prover: Prover | undefined, write: (bytes: Uint8Array) => void) {
    super(hello, write);
    this.#prover = prover;
  }

  begin(): void {
    const { credential, binding } = this.#prover ?? {};
    this.sayPreamble();
    this.sayHello({ ...this.hello, tokenId: credential?.id, binding });
  }

  preambleRead(): void {
    this.preamble.agree();
  }

  hear(frame: Frame, payload: Uint8Array): void {
    if (this.peer !== undefined) {
      this.#hearProof(frame);
      return;
    }
    const { binding } = this.hearHello(frame, payload);
    if (this.#prover?.binding === binding) {
      this.done = this.#prover === undefined;
      return;
    }
    throw new FerryError('authentication', mismatch(this.#prover?.binding, binding));
  }

  #hearProof(frame: Frame): void {
    if (frame.type === 'error') throw new ProtocolError(frame.failure, frame.message);
    if (frame.type !== 'proof' || this.#prover === undefined) {
      throw new ProtocolError('protocol', `A ${frame.type} frame is not allowed before the proof.`);
    }
    const { credential, binding, exporter } = this.#prover;
    const transcript = {
      binding,
      exporter,
      client: Buffer.concat(this.said),
      daemon: this.heard,
    };
    if (!isSameProof(frame.mac, proofOf(credential.key, 'daemon', transcript))) {
      throw new FerryError(
        'authentication',
        'The daemon does not know this token, or somebody stands between you and it: nothing was told. Was the token revoked, or is it for another daemon?',
      );
    }
    const mac = proofOf(credential.key, 'client', transcript);
    this.write(encodeFrame({ type: 'proof', request: 0, mac }));
    this.done = true;
  }
}

function mismatch(ours: string | undefined, theirs: string | undefined): string {
  if (ours === undefined) {
    return 'The daemon asks for a token: pair with it (ferry pair), or name a file with its token (--token-file).';
  }
  if (theirs === undefined) return 'The daemon does not prove that it knows the token.';
  return `The daemon binds its proof to ${theirs === 'none' ? 'nothing' : 'its own TLS channel'}, this side ${ours === 'none' ? 'to nothing' : 'to the TLS channel'}: if a proxy ends the TLS, say so with --binding none.`;
}

export class DaemonHandshake extends Handshake {
  readonly #verifier: Verifier | undefined;

  constructor(hello: Hello, verifier: Verifier | undefined, write: (bytes: Uint8Array) => void) {
    super(hello, write);
    this.#verifier = verifier;
  }

  begin(): void {
    // The client speaks first: whoever just connects learns nothing.
  }

  preambleRead(): void {
    this.sayPreamble();
    this.preamble.agree();
    this.sayHello({ ...this.hello, binding: this.#verifier?.binding });
  }

  hear(frame: Frame, payload: Uint8Array): void {
    if (this.peer !== undefined) {
      this.#hearProof(frame, this.peer);
      return;
    }
    const { tokenId = nobody } = this.hearHello(frame, payload);
    if (this.#verifier === undefined) {
      this.done = true;
      return;
    }
    const key = this.#verifier.keyOf(tokenId) ?? nobodysKey;
    this.write(encodeFrame({ type: 'proof', request: 0, mac: this.#proof('daemon', key) }));
  }

  #hearProof(frame: Frame, { tokenId, binding }: Hello): void {
    const verifier = this.#verifier as Verifier;
    const key = tokenId && verifier.keyOf(tokenId);
    // Computed in any case, so that the time tells nothing.
    const right = this.#proof('client', key ?? nobodysKey);
    const isRight = frame.type === 'proof' && isSameProof(frame.mac, right);
    if (!isRight || key === undefined || tokenId === undefined || binding !== verifier.binding) {
      throw new Unproved(verifier.refuse());
    }
    verifier.admit(tokenId);
    this.done = true;
  }

  #proof(role: 'client' | 'daemon', key: Uint8Array): Uint8Array {
    const { binding, exporter } = this.#verifier as Verifier;
    const daemon = Buffer.concat(this.said);
    return proofOf(key, role, { binding, exporter, client: this.heard, daemon });
  }
}
