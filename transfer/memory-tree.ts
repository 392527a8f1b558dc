/** Files and folders in memory, by wire paths. */
import { type Entry, modeMask } from '../protocol/entry.ts';
import { TransferError } from '../protocol/errors.ts';
import { joinPath, parentAndName, shown, splitPath } from '../protocol/paths.ts';
import type { Committed } from './storage.ts';

interface FileNode {
  readonly kind: 'file';
  /** Never changed in place: a source that is open keeps reading the old content. */
  readonly content: Uint8Array;
  mtimeNs: bigint;
  mode: number;
}

interface FolderNode {
  readonly kind: 'directory';
  readonly children: Map<string, Node>;
  mtimeNs: bigint;
  mode: number;
}

type Node = FileNode | FolderNode;

/** Every method throws TransferError: `bad-path`, `not-found`, `wrong-kind`. */
export class MemoryTree {
  readonly #nowNs: () => bigint;
  readonly #root: FolderNode;

  constructor(nowNs: () => bigint) {
    this.#nowNs = nowNs;
    this.#root = this.newFolder();
  }

  newFolder(): FolderNode {
    return { kind: 'directory', children: new Map(), mtimeNs: this.#nowNs(), mode: 0o755 };
  }

  store(path: string, content: Uint8Array, { mtimeNs, mode }: Omit<Committed, 'size'>): void {
    const { parent, name } = parentAndName(path);
    const components = splitPath(path);
    if (components.length === 0) throw new TransferError('bad-path', 'The root is a folder.');
    const folder = this.folder(splitPath(parent), true);
    if (folder.children.get(name)?.kind === 'directory') throw wrongKind(path, 'is a folder');
    folder.children.set(name, { kind: 'file', content, mtimeNs, mode: mode & modeMask });
  }

  /** What is there, or undefined; a file in place of a folder counts as nothing. */
  find(components: readonly string[]): Node | undefined {
    let node: Node | undefined = this.#root;
    for (const name of components) {
      node = node?.kind === 'directory' ? node.children.get(name) : undefined;
    }
    return node;
  }

  /** As `find`, but a file in place of a folder is `wrong-kind`. */
  findOrBlocked(path: string): Node | undefined {
    const components = splitPath(path);
    for (const depth of components.keys()) {
      const above = components.slice(0, depth);
      if (this.find(above)?.kind === 'file') throw wrongKind(above.join('/'), 'is not a folder');
    }
    return this.find(components);
  }

  node(path: string): Node {
    const node = this.find(splitPath(path));
    if (node === undefined) throw notFound(path);
    return node;
  }

  file(path: string): FileNode {
    const node = this.node(path);
    if (node.kind === 'file') return node;
    throw wrongKind(path, 'is not a regular file');
  }

  folder(components: readonly string[], make: boolean): FolderNode {
    let folder = this.#root;
    for (const [depth, name] of components.entries()) {
      const path = components.slice(0, depth + 1).join('/');
      let node = folder.children.get(name);
      if (node === undefined) {
        if (!make) throw notFound(path);
        node = this.newFolder();
        folder.children.set(name, node);
      }
      if (node.kind !== 'directory') throw wrongKind(path, 'is not a folder');
      folder = node;
    }
    return folder;
  }

  place(path: string): { readonly folder: FolderNode; readonly name: string } {
    splitPath(path);
    const { parent, name } = parentAndName(path);
    return { folder: this.folder(splitPath(parent), false), name };
  }
}

export function* walk(folder: FolderNode, base: string, recursive: boolean): Iterable<Entry> {
  for (const [name, node] of folder.children) {
    const path = joinPath(base, name);
    yield entryOf(path, node);
    if (recursive && node.kind === 'directory') yield* walk(node, path, recursive);
  }
}

export function entryOf(path: string, node: Node): Entry {
  const { kind, mtimeNs, mode } = node;
  const size = node.kind === 'file' ? node.content.byteLength : 0;
  return { path, kind, size, mtimeNs, mode, contentType: '' };
}

const notFound = (path: string): TransferError =>
  new TransferError('not-found', `${shown(path)} does not exist.`);

export const exists = (path: string): TransferError =>
  new TransferError('exists', `${shown(path)} exists already.`);

export const wrongKind = (path: string, text: string): TransferError =>
  new TransferError('wrong-kind', `${shown(path)} ${text}.`);
