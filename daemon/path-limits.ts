/** A storage that takes no longer or deeper paths than a daemon is set to. */
import { TransferError } from '../protocol/errors.ts';
import { limits as fixed } from '../protocol/limits.ts';
import { joinPath, shown } from '../protocol/paths.ts';
import type { Storage } from '../transfer/storage.ts';
import { wrap } from '../transfer/wrap.ts';
import type { DaemonLimits } from './limits.ts';

type PathLimits = Pick<DaemonLimits, 'pathBytes' | 'pathDepth'>;

/** The limits are looked at anew each time: they may change while the daemon runs. */
export function limitPaths(storage: Storage, limits: PathLimits): Storage {
  const fault = (path: string): TransferError | undefined => pathFault(path, limits);
  const checked = (path: string): string => {
    const error = fault(path);
    if (error !== undefined) throw error;
    return path;
  };
  return wrap<Storage>(storage, {
    stat: async (path) => await storage.stat(checked(path)),
    async *list(path, options) {
      yield* storage.list(checked(path), options);
    },
    mkdir: async (path, parents) => await storage.mkdir(checked(path), parents),
    remove: async (path, recursive) => await storage.remove(checked(path), recursive),
    rename: async (from, to) => await storage.rename(checked(from), checked(to)),
    openSource: async (path) => await storage.openSource(checked(path)),
    openSink: async (path, offer, fresh) => await storage.openSink(checked(path), offer, fresh),
    touch: async (path, file) => await storage.touch(checked(path), file),
    async examine(base, entries, policy) {
      if (areFixed(limits)) return await storage.examine(base, entries, policy);
      const answers = await storage.examine(base, entries, policy);
      return answers.map((answer, i) =>
        fault(joinPath(base, entries[i]?.path ?? '')) === undefined ? answer : 'refused',
      );
    },
    async readSmall(base, paths, memory) {
      const files = await storage.readSmall(base, paths, memory);
      if (areFixed(limits)) return files;
      return files.map((file, i) => fault(joinPath(base, paths[i] ?? '')) ?? file);
    },
  });
}

/** Whether they are the protocol's own, which every path on the wire is held to. */
function areFixed({ pathBytes, pathDepth }: PathLimits): boolean {
  return pathBytes >= fixed.pathBytes && pathDepth >= fixed.pathDepth;
}

function pathFault(path: string, { pathBytes, pathDepth }: PathLimits): TransferError | undefined {
  const [bytes, depth] = [Buffer.byteLength(path), path.split('/').length];
  // What breaks the protocol's own rules is no path at all: the storage says so.
  if (bytes > fixed.pathBytes || depth > fixed.pathDepth) return undefined;
  if (bytes > pathBytes) {
    return new TransferError(
      'limit',
      `${shown(path)} is too long: the limit is ${pathBytes} bytes (pathBytes).`,
    );
  }
  if (depth > pathDepth) {
    return new TransferError(
      'limit',
      `${shown(path)} is too deep: the limit is ${pathDepth} names (pathDepth).`,
    );
  }
  return undefined;
}
