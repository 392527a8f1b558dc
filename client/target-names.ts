/** Where the sources of one transfer go: no two of them may end up as the same file or folder. */
import { FerryError } from '../protocol/errors.ts';
import { shown } from '../protocol/paths.ts';

export class TargetNames {
  readonly #sources = new Map<string, string>();

  /** Keeps that `source` goes to `name`. Throws FerryError (`usage`) when another one does. */
  take(name: string, source: string): void {
    const other = this.#sources.get(name);
    if (other !== undefined && other !== source) {
      throw new FerryError(
        'usage',
        `${shown(other)} and ${shown(source)} would both become ${shown(name)}: transfer them one by one, to different folders.`,
      );
    }
    this.#sources.set(name, source);
  }
}
