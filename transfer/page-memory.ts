/**
 * Memory for the contents of pages of small files. It is shared between threads, so that a page is
 * read and stored where it lies, and used again and again: what is dropped instead would take room
 * until the next large garbage collection.
 */
import { TransferError } from '../protocol/errors.ts';
import { limits } from '../protocol/limits.ts';
import { shown } from '../protocol/paths.ts';

/** Contents of a page, end to end: `limits.pageContentBytes`. */
export type PageMemory = Uint8Array<SharedArrayBuffer>;

/** As many lie idle as one connection may use at once. */
const idleMost = 4;

const idle: PageMemory[] = [];

export function newPageMemory(): PageMemory {
  return new Uint8Array(new SharedArrayBuffer(limits.pageContentBytes));
}

/** Less gets memory of its own: many small pages at once would each take that of a large one. */
const ownBytes = limits.fileChunkBytes;

/** What a page with `bytes` of content takes. */
export function pageMemoryBytes(bytes: number): number {
  return bytes <= ownBytes ? bytes : limits.pageContentBytes;
}

/** For `bytes` of content. To be given back; what is in it is left over from others. */
export function takePageMemory(bytes: number): PageMemory {
  const needed = pageMemoryBytes(bytes);
  const known = needed === limits.pageContentBytes ? idle.pop() : undefined;
  return known ?? new Uint8Array(new SharedArrayBuffer(needed));
}

/** No thread reads or writes it any more. */
export function givePageMemory(memory: PageMemory): void {
  if (memory.length === limits.pageContentBytes && idle.length < idleMost) idle.push(memory);
}

/** Lends memory until `use` settles. */
export async function withPageMemory<T>(use: (memory: PageMemory) => Promise<T>): Promise<T> {
  const memory = takePageMemory(limits.pageContentBytes);
  try {
    return await use(memory);
  } finally {
    givePageMemory(memory);
  }
}

/** Why a file that has grown since it was listed is left out of its page. */
export function noRoomInPage(path: string): TransferError {
  return new TransferError('source-changed', `${shown(path)} does not fit into its page any more.`);
}
