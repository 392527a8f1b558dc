/**
 * What can go wrong, in one table: code on the wire, reach, exit code of the client.
 *
 * Errors are classed by blast radius: a `ProtocolError` ends the connection, a `TransferError` ends
 * one request and leaves the connection to the others.
 */

interface Failure {
  /** Code on the wire, u16. Codes from 100 up never travel: they are the client's own findings. */
  readonly code: number;
  /** What the client exits with when this is the one thing that went wrong. */
  readonly exit: number;
  /** Whether the same command may succeed on a new connection, without anyone changing anything. */
  readonly retryable: boolean;
}

export const failures = {
  // The connection ends.
  protocol: { code: 1, exit: 7, retryable: false },
  version: { code: 2, exit: 7, retryable: false },
  authentication: { code: 3, exit: 4, retryable: false },
  corrupt: { code: 4, exit: 5, retryable: true },
  timeout: { code: 5, exit: 30, retryable: true },
  stopping: { code: 6, exit: 5, retryable: true },
  connections: { code: 7, exit: 8, retryable: true },
  // One request ends.
  'not-found': { code: 20, exit: 3, retryable: false },
  permission: { code: 21, exit: 4, retryable: false },
  'wrong-kind': { code: 22, exit: 2, retryable: false },
  exists: { code: 23, exit: 2, retryable: false },
  'not-empty': { code: 24, exit: 2, retryable: false },
  'bad-path': { code: 25, exit: 2, retryable: false },
  'no-space': { code: 26, exit: 8, retryable: false },
  limit: { code: 27, exit: 8, retryable: false },
  busy: { code: 28, exit: 11, retryable: false },
  fenced: { code: 29, exit: 11, retryable: false },
  integrity: { code: 30, exit: 6, retryable: false },
  'source-changed': { code: 31, exit: 24, retryable: false },
  io: { code: 32, exit: 1, retryable: false },
  unsupported: { code: 33, exit: 7, retryable: false },
  'unknown-transfer': { code: 34, exit: 5, retryable: true },
  cancelled: { code: 35, exit: 1, retryable: false },
  internal: { code: 36, exit: 1, retryable: false },
  'not-durable': { code: 37, exit: 5, retryable: false },
  // Found by the client alone.
  usage: { code: 100, exit: 2, retryable: false },
  'connection-lost': { code: 101, exit: 5, retryable: true },
  'outcome-unknown': { code: 102, exit: 5, retryable: false },
  'never-connected': { code: 103, exit: 35, retryable: true },
  'lock-held': { code: 104, exit: 11, retryable: false },
  'some-failed': { code: 105, exit: 23, retryable: false },
  different: { code: 106, exit: 6, retryable: false },
  interrupted: { code: 107, exit: 130, retryable: false },
  terminated: { code: 108, exit: 143, retryable: false },
  'too-slow': { code: 109, exit: 28, retryable: false },
} as const satisfies Record<string, Failure>;

export type FailureName = keyof typeof failures;

const nameByCode = new Map<number, FailureName>(
  (Object.keys(failures) as FailureName[]).map((name) => [failures[name].code, name]),
);

/** First code that never travels. */
const ownCodes = 100;

/** The code that tells `name` to the peer; a client's own finding travels as `internal`. */
export function errorToCode(name: FailureName): number {
  const { code } = failures[name];
  return code < ownCodes ? code : failures.internal.code;
}

/** The name of a code read from the wire; a code this version doesn't know is `internal`. */
export function codeToError(code: number): FailureName {
  const name = nameByCode.get(code);
  return name === undefined || code >= ownCodes ? 'internal' : name;
}

/** Any failure with a name from the table. `message` is one sentence for the user. */
export class FerryError extends Error {
  readonly failure: FailureName;

  constructor(failure: FailureName, message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = new.target.name;
    this.failure = failure;
  }

  get exitCode(): number {
    return failures[this.failure].exit;
  }

  get retryable(): boolean {
    return failures[this.failure].retryable;
  }
}

/** The peer broke the rules, or its bytes arrived damaged (`corrupt`): the connection ends. */
export class ProtocolError extends FerryError {}

/** One request failed; others on the same connection go on. */
export class TransferError extends FerryError {}
