/** Frames that move many small files without a round trip each. */
import { decodeEntry, type Entry, encodeEntry } from '../entry.ts';
import { codeToError, errorToCode, type FailureName, ProtocolError } from '../errors.ts';
import { limits } from '../limits.ts';
import { type Codec, idBytes, readPath, writePath } from './codec.ts';
import { writeMessage } from './connection.ts';
import type { Operation } from './requests.ts';
import { type Policy, readPolicy, writePolicy } from './transfer.ts';

/** Asks for small files by their paths below `base`; the daemon answers with `offers`. */
export interface Fetch {
  readonly base: string;
  readonly paths: readonly string[];
}

export const fetch: Codec<Fetch> = {
  code: 0x30,
  scope: 'request',
  encode(writer, body) {
    writePath(writer, body.base).u16(body.paths.length);
    for (const path of body.paths) writePath(writer, path);
  },
  decode(reader) {
    const base = readPath(reader);
    const count = reader.count(limits.pageFiles);
    return { base, paths: Array.from({ length: count }, () => readPath(reader)) };
  },
};

/**
 * A page of files and folders. A chunk's index is its file's place in `entries`; a file of more than
 * 64 KiB is only asked about here, and moves by an `offer` of its own.
 */
export interface Offers extends Operation {
  readonly base: string;
  readonly policy: Policy;
  /** Chunks follow at once, without waiting for `answers`. */
  readonly eager: boolean;
  readonly entries: readonly Entry[];
}

export const offers: Codec<Offers> = {
  code: 0x31,
  scope: 'request',
  encode(writer, body) {
    writePolicy(writePath(writer.bytes(body.operation), body.base), body.policy);
    writer.flag(body.eager).u16(body.entries.length);
    for (const entry of body.entries) encodeEntry(writer, entry);
  },
  decode(reader) {
    const operation = reader.bytes(idBytes);
    const base = readPath(reader);
    const policy = readPolicy(reader);
    const eager = reader.flag();
    const count = reader.count(limits.pageFiles);
    const entries = Array.from({ length: count }, () => decodeEntry(reader));
    return { operation, base, policy, eager, entries };
  },
};

/** Asks for the digests of small files by their paths below `base`; the daemon answers with `digests`. */
export interface Verify {
  readonly base: string;
  readonly paths: readonly string[];
}

export const verify: Codec<Verify> = { ...fetch, code: 0x34 };

/**
 * One digest (XXH64, unsigned 64 bits) for each path of a `verify`, in order; undefined for what is no
 * file of at most 64 KiB, cannot be read, or found no room in the page.
 */
export const digests: Codec<{ readonly digests: readonly (bigint | undefined)[] }> = {
  code: 0x35,
  scope: 'request',
  encode(writer, body) {
    writer.u16(body.digests.length);
    for (const digest of body.digests) {
      writer.flag(digest !== undefined);
      if (digest !== undefined) writer.u64(digest);
    }
  },
  decode(reader) {
    const count = reader.count(limits.pageFiles);
    const read = (): bigint | undefined => (reader.flag() ? reader.u64() : undefined);
    return { digests: Array.from({ length: count }, read) };
  },
};

export const answerNames = ['want', 'unchanged', 'skipped', 'refused'] as const;
/** `refused`: `results` will say why. */
export type Answer = (typeof answerNames)[number];

/** One answer for each entry of the page, in order. */
export const answers: Codec<{ readonly answers: readonly Answer[] }> = {
  code: 0x32,
  scope: 'request',
  encode(writer, body) {
    writer.u16(body.answers.length);
    for (const answer of body.answers) writer.u8(answerNames.indexOf(answer));
  },
  decode(reader) {
    const count = reader.count(limits.pageFiles);
    const read = (): Answer => {
      const answer = answerNames[reader.u8()];
      if (answer === undefined) throw new ProtocolError('protocol', 'An answer is unknown.');
      return answer;
    };
    return { answers: Array.from({ length: count }, read) };
  },
};

/** An entry of the page that failed; all others are as `answers` said, and durable. */
export interface PageFailure {
  /** Place in the page. */
  readonly index: number;
  readonly failure: FailureName;
  readonly message: string;
}

/** Ends a page. Once half a frame is full of text, later messages are left empty. */
export const results: Codec<{ readonly failures: readonly PageFailure[] }> = {
  code: 0x33,
  scope: 'request',
  encode(writer, body) {
    writer.u16(body.failures.length);
    for (const { index, failure, message } of body.failures) {
      const room = writer.length < limits.controlBytes / 2;
      writeMessage(writer.u16(index).u16(errorToCode(failure)), room ? message : '');
    }
  },
  decode(reader) {
    const count = reader.count(limits.pageFiles);
    return {
      failures: Array.from({ length: count }, () => ({
        index: reader.u16(),
        failure: codeToError(reader.u16()),
        message: reader.text(limits.messageBytes),
      })),
    };
  },
};
