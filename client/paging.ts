/** Packs entries into pages: as many as fit by count, by the bytes of names and of contents. */
import { type Entry, entryBytes } from '../protocol/entry.ts';
import { limits } from '../protocol/limits.ts';
import { isSmall } from '../transfer/page.ts';

/** Room that a page keeps for its own fields: ids, policy, base path. */
const pageOverheadBytes = limits.pathBytes + 256;

export class Paging {
  #entries: Entry[] = [];
  #nameBytes = pageOverheadBytes;
  #contentBytes = 0;

  /** Adds an entry; gives the page that was full before it, if there was one. */
  add(entry: Entry): Entry[] | undefined {
    const nameBytes = entryBytes(entry);
    const contentBytes = isSmall(entry) ? entry.size : 0;
    const fits =
      this.#entries.length < limits.pageFiles &&
      this.#nameBytes + nameBytes <= limits.controlBytes &&
      this.#contentBytes + contentBytes <= limits.pageContentBytes;
    const full = fits ? undefined : this.take();
    this.#entries.push(entry);
    this.#nameBytes += nameBytes;
    this.#contentBytes += contentBytes;
    return full;
  }

  /** What is there, if anything; begins a new page. */
  take(): Entry[] | undefined {
    const entries = this.#entries;
    this.#entries = [];
    this.#nameBytes = pageOverheadBytes;
    this.#contentBytes = 0;
    return entries.length > 0 ? entries : undefined;
  }
}
