/** What a process has open, by what it is; only Linux tells. */
import { readdir, readlink, stat } from 'node:fs/promises';

/** How many of each: `socket`, `pipe`, `anon_inode`, `folder`, a file by its path. */
export type OpenFiles = ReadonlyMap<string, number>;

/** Nothing for a process that is gone, or where the system doesn't tell. */
export async function openFiles(pid: number): Promise<OpenFiles> {
  const own = `/proc/${pid}/fd`;
  const counts = new Map<string, number>();
  for (const fd of await readdir(own).catch((): string[] => [])) {
    const target = await readlink(`${own}/${fd}`).catch(() => undefined);
    if (target === undefined) continue; // Closed meanwhile.
    const isFolder = (await stat(`${own}/${fd}`).catch(() => undefined))?.isDirectory() === true;
    const kind = /^(socket|pipe|anon_inode):/.exec(target)?.[1] ?? target;
    const what = isFolder ? 'folder' : kind;
    counts.set(what, (counts.get(what) ?? 0) + 1);
  }
  return counts;
}

/** A share opens its root and its staging folder when they are first needed, and keeps them. */
const foldersKept = 2;

/** What there is more of than before. */
export function grown(before: OpenFiles, after: OpenFiles): string[] {
  return [...after].flatMap(([what, count]) => {
    const had = (before.get(what) ?? 0) + (what === 'folder' ? foldersKept : 0);
    return count > had ? [`${count - had} × ${what}`] : [];
  });
}
