/**
 * What a disk may hold after a crash: of everything that was done and not synced by then, any part.
 *
 * A model without mercy: real file systems keep some order among changes of names, this one none. What
 * was synced is there; each other change was applied or dropped on its own; a write, moreover, may be
 * torn in the middle, or have left zeros of its length. A rename is never half done, and it is on the
 * disk when the folder that got the name is.
 */
import { mkdirSync, writeFileSync } from 'node:fs';
import type { Change, Inode, Recording, Step } from './recording.ts';

/** What became of a change. */
type Fate = 'applied' | 'dropped' | 'torn' | 'zeros';

/** Paths and what they hold; undefined for a folder. */
export type Tree = ReadonlyMap<string, Buffer | undefined>;

export interface CrashState {
  readonly tree: Tree;
  /** What was told by then. */
  readonly told: ReadonlySet<string>;
  /** For messages: the moment, and the fate of what was not synced. */
  readonly about: string;
}

interface Pending {
  readonly place: number;
  readonly change: Change;
}

const isChange = (step: Step): step is Change => step.type !== 'sync' && step.type !== 'told';

/** Subsets of more changes than this are drawn, not counted out. */
const allSubsetsOf = 8;

/**
 * All states, or as many as `most` for each moment, the latest first, or one of `every` so many; equal
 * ones are given once.
 */
export function* crashStates(
  { steps, beginning }: Recording,
  random: () => number,
  most: number,
  every = 1,
): Generator<CrashState> {
  const seen = new Set<string>();
  for (let moment = steps.length; moment >= 0; moment -= every) {
    const past = steps.slice(0, moment);
    const told = new Set(past.flatMap((step) => (step.type === 'told' ? [step.what] : [])));
    const pending = pendingOf(past);
    for (const fates of fatesOf(pending, random, most)) {
      const tree = treeOf(beginning, past, fates);
      const key = `${[...told].join()}|${keyOf(tree)}`;
      if (seen.has(key)) continue;
      seen.add(key);
      const lost = [...fates].filter(([, fate]) => fate !== 'applied');
      const about = `after ${moment} of ${steps.length} steps; ${lost
        .map(([place, fate]) => `${describe(steps[place])} ${fate}`)
        .join(', ')}`;
      yield { tree, told, about };
    }
  }
}

function describe(step: Step | undefined): string {
  if (step === undefined) return '';
  if (step.type === 'write') return `write of ${step.bytes.length} to #${step.inode}`;
  if (step.type === 'rename') return `rename ${step.name} to ${step.toName}`;
  return 'name' in step ? `${step.type} ${step.name}` : step.type;
}

/** Changes that no sync covers. */
function pendingOf(past: readonly Step[]): Pending[] {
  const syncedUpTo = new Map<Inode, number>();
  for (const step of past) {
    if (step.type !== 'sync') continue;
    syncedUpTo.set(step.inode, Math.max(step.upTo, syncedUpTo.get(step.inode) ?? 0));
  }
  return past.flatMap((change, place) => {
    if (!isChange(change)) return [];
    const inode =
      change.type === 'rename'
        ? change.toFolder
        : 'folder' in change
          ? change.folder
          : change.inode;
    return place < (syncedUpTo.get(inode) ?? 0) ? [] : [{ place, change }];
  });
}

type Fates = ReadonlyMap<number, Fate>;

function* fatesOf(
  pending: readonly Pending[],
  random: () => number,
  most: number,
): Generator<Fates> {
  const fates = (of: (at: number) => Fate): Fates =>
    new Map(pending.map(({ place }, at) => [place, of(at)]));
  if (pending.length <= allSubsetsOf) {
    for (let subset = 0; subset < 2 ** pending.length; subset += 1) {
      yield fates((at) => (((subset >> at) & 1) === 0 ? 'applied' : 'dropped'));
    }
  } else {
    yield fates(() => 'applied');
    yield fates(() => 'dropped');
    for (const at of pending.keys()) yield fates((other) => (other === at ? 'dropped' : 'applied'));
    for (const at of pending.keys()) yield fates((other) => (other === at ? 'applied' : 'dropped'));
    for (let i = 0; i < most; i += 1) yield fates(() => (random() < 0.5 ? 'applied' : 'dropped'));
  }
  for (const [at, { change }] of pending.entries()) {
    if (change.type !== 'write') continue;
    for (const fate of ['torn', 'zeros'] as const) {
      yield fates((other) => (other === at ? fate : 'applied'));
      yield fates((other) => (other === at ? fate : random() < 0.5 ? 'applied' : 'dropped'));
    }
  }
}

/** The folder as it is found: `past` with what became of each change. */
function treeOf(beginning: Recording['beginning'], past: readonly Step[], fates: Fates): Tree {
  const folders = new Map([...beginning.folders].map(([inode, names]) => [inode, new Map(names)]));
  const contents = new Map(beginning.contents);
  const namesOf = (folder: Inode): Map<string, Inode> => {
    const names = folders.get(folder) ?? new Map<string, Inode>();
    folders.set(folder, names);
    return names;
  };
  for (const [place, step] of past.entries()) {
    const fate = fates.get(place) ?? 'applied';
    if (!isChange(step) || fate === 'dropped') continue;
    if (step.type === 'name') namesOf(step.folder).set(step.name, step.inode);
    else if (step.type === 'unname') namesOf(step.folder).delete(step.name);
    else if (step.type === 'rename') {
      const source = namesOf(step.folder);
      if (source.get(step.name) === step.inode) source.delete(step.name);
      namesOf(step.toFolder).set(step.toName, step.inode);
    } else contents.set(step.inode, changed(contents.get(step.inode), step, fate));
  }
  const madeFolders = new Set(
    past.flatMap((step) => (step.type === 'name' && step.isFolder ? [step.inode] : [])),
  );
  const tree = new Map<string, Buffer | undefined>();
  const visit = (folder: Inode, path: string): void => {
    for (const [name, inode] of namesOf(folder)) {
      if (!madeFolders.has(inode) && !beginning.folders.has(inode)) {
        tree.set(path + name, contents.get(inode) ?? Buffer.alloc(0));
      } else {
        tree.set(path + name, undefined);
        visit(inode, `${path}${name}/`);
      }
    }
  };
  visit(0, '');
  return tree;
}

function changed(
  before: Buffer = Buffer.alloc(0),
  step: Change & { type: 'write' | 'truncate' },
  fate: Fate,
): Buffer {
  if (step.type === 'truncate') {
    return Buffer.concat([before, Buffer.alloc(Math.max(0, step.size - before.length))], step.size);
  }
  const { position, bytes } = step;
  const part = fate === 'torn' ? bytes.subarray(0, Math.floor(bytes.length / 2)) : bytes;
  const after = Buffer.alloc(Math.max(before.length, position + part.length));
  before.copy(after);
  if (fate === 'zeros') after.fill(0, position, position + part.length);
  else part.copy(after, position);
  return after;
}

function keyOf(tree: Tree): string {
  return [...tree]
    .map(([path, content]) => `${path}=${content?.toString('base64') ?? '/'}`)
    .sort()
    .join('|');
}

/** Makes the folder `root` hold the tree. */
export function materialize(tree: Tree, root: string): void {
  for (const [path, content] of tree) {
    if (content === undefined) mkdirSync(`${root}/${path}`, { recursive: true });
    else writeFileSync(`${root}/${path}`, content);
  }
}
