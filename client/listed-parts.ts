/** Which entries of a daemon's listing take part: the same that an upload would choose. */
import type { Entry } from '../protocol/entry.ts';
import type { TransferOptions } from './transfer-options.ts';

export class ListedParts {
  readonly #options: Pick<TransferOptions, 'selection' | 'filesFrom'>;
  readonly #excludedFolders = new Set<string>();

  constructor(options: Pick<TransferOptions, 'selection' | 'filesFrom'>) {
    this.#options = options;
  }

  /** How many folders are remembered. */
  get held(): number {
    return this.#excludedFolders.size;
  }

  /**
   * Whether an entry takes part. To be asked in the listing's order, folders before what they hold:
   * what an excluded folder holds is excluded with it.
   */
  includes({ path, kind }: Pick<Entry, 'path' | 'kind'>): boolean {
    const isDirectory = kind === 'directory';
    const parent = path.slice(0, Math.max(0, path.lastIndexOf('/')));
    const included =
      !this.#excludedFolders.has(parent) &&
      this.#options.selection.includes(path, isDirectory) &&
      this.#isListed(path, isDirectory);
    if (!included && isDirectory) this.#excludedFolders.add(path);
    return included;
  }

  #isListed(path: string, isDirectory: boolean): boolean {
    const { filesFrom } = this.#options;
    if (filesFrom === undefined) return true;
    return filesFrom.some(
      (name) => isAtOrBelow(path, name) || (isDirectory && isAtOrBelow(name, path)),
    );
  }
}

function isAtOrBelow(path: string, folder: string): boolean {
  return path === folder || path.startsWith(`${folder}/`);
}
