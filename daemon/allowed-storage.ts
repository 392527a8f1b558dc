/** A storage as one token may fill it: within its quota, at its rate, with its part of staging. */
import type { TransferError } from '../protocol/errors.ts';
import type { ChunkSink, SmallFile, Storage } from '../transfer/storage.ts';
import { wrap } from '../transfer/wrap.ts';
import type { Allowance } from './allowances.ts';
import type { PartialAccounts } from './partial-accounts.ts';

/** For the upload of one file whose wire path is `path`: the partial is in the token's account. */
export function accountedSinks(storage: Storage, allowance: Allowance, path: string): Storage {
  const { partials, token } = allowance;
  return wrap<Storage>(storage, {
    async openSink(inner, offer, fresh) {
      partials.check(token, path);
      const sink = await storage.openSink(inner, offer, fresh);
      const heldBytes = sink.ledger.held.size * offer.chunkBytes;
      try {
        const lackingBytes = Math.max(0, (offer.size ?? 0) - heldBytes);
        partials.open(token, path, heldBytes, lackingBytes);
        return accounted(sink, offer.chunkBytes, partials, path);
      } catch (error) {
        if (heldBytes === 0) {
          await sink.discard();
          partials.remove(path);
        }
        await sink.close();
        throw error;
      }
    },
  });
}

function accounted(
  sink: ChunkSink,
  chunkBytes: number,
  partials: PartialAccounts,
  path: string,
): ChunkSink {
  return wrap<ChunkSink>(sink, {
    async write(first, slices, sums) {
      partials.add(
        path,
        slices.reduce((sum, { length }) => sum + length, 0),
      );
      await sink.write(first, slices, sums);
    },
    forget(segment) {
      const before = sink.ledger.held.size;
      sink.forget(segment);
      partials.add(path, (sink.ledger.held.size - before) * chunkBytes);
    },
    async commit(file) {
      await sink.commit(file);
      partials.remove(path);
    },
    async discard() {
      await sink.discard();
      partials.remove(path);
    },
  });
}

/** For pages of small files. */
export function allowedPages(storage: Storage, allowance: Allowance): Storage {
  return wrap<Storage>(storage, {
    async putSmall(base, files) {
      const bytes = files.reduce((sum, { content }) => sum + content.length, 0);
      if (bytes > allowance.leftBytes) return await putSome(storage, allowance, base, files);
      await allowance.pass(bytes);
      return await storage.putSmall(base, files);
    },
  });
}

/** Stores what the quota has room for, file by file. */
async function putSome(
  storage: Storage,
  allowance: Allowance,
  base: string,
  files: readonly SmallFile[],
): Promise<(TransferError | undefined)[]> {
  const stored: (TransferError | undefined)[] = [];
  for (const file of files) {
    const refusal = allowance.refusal(file.content.length);
    if (refusal === undefined) await allowance.pass(file.content.length);
    stored.push(refusal ?? (await storage.putSmall(base, [file]))[0]);
  }
  return stored;
}
