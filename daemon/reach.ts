/**
 * Which paths a token reaches: those at and below its roots, compared by whole components. Pure, and
 * blind to what exists, so that its answers tell nothing about that.
 */
import { joinPath, splitPath } from '../protocol/paths.ts';
import type { Grant } from './grant.ts';

export class Reach {
  /** The tops of what is reached, none below another; [''] is everything. */
  readonly roots: readonly string[];

  /** `isSingle`: one folder is served as `/`, and no share has a name. */
  constructor({ shares, prefix }: Pick<Grant, 'shares' | 'prefix'>, isSingle: boolean) {
    this.roots = rootsOf(shares, prefix, isSingle);
  }

  get isEverything(): boolean {
    return this.roots.includes('');
  }

  /** Whether `path` is a root or below one. Throws TransferError (`bad-path`). */
  includes(path: string): boolean {
    return this.roots.some((root) => below(root, path) !== undefined);
  }

  /**
   * Whether `path` is below a root: changing a root itself would change the folder above it. There is
   * none above the root of everything, which its storage defends.
   */
  isInside(path: string): boolean {
    return this.roots.some((root) => {
      const way = below(root, path);
      return way !== undefined && (way.length > 0 || root === '');
    });
  }

  /** Whether `path` is above a root. */
  leadsTo(path: string): boolean {
    return this.rootsBelow(path).length > 0;
  }

  /** The roots below `path`, each with the components that lead to it from there. */
  rootsBelow(path: string): { readonly root: string; readonly way: readonly string[] }[] {
    return this.roots.flatMap((root) => {
      const way = below(path, root);
      return way === undefined || way.length === 0 ? [] : [{ root, way }];
    });
  }
}

function rootsOf(
  shares: readonly string[] | undefined,
  prefix: string,
  isSingle: boolean,
): readonly string[] {
  if (shares === undefined) return [prefix];
  if (isSingle) return []; // The one folder has no name that could be on the list.
  const allowed = [...new Set(shares)].filter((share) => share !== '');
  if (prefix === '') return allowed;
  return allowed.includes(splitPath(prefix)[0] as string) ? [prefix] : [];
}

/** The components of `path` below `top`; undefined when it lies elsewhere. */
function below(top: string, path: string): string[] | undefined {
  const [above, components] = [splitPath(top), splitPath(path)];
  return above.every((name, i) => name === components[i])
    ? components.slice(above.length)
    : undefined;
}

/** The names on the way from `path` on: the first, the first two, and so on. */
export const waypoints = (way: readonly string[]): string[] =>
  way.map((_, i) => way.slice(0, i + 1).reduce(joinPath, ''));
