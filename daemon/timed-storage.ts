/** A storage that tells how long it takes to bring content to disk under its name. */
import type { Storage } from '../transfer/storage.ts';
import { wrap } from '../transfer/wrap.ts';

export function timed(storage: Storage, tell: (seconds: number) => void): Storage {
  const timing = async <T>(work: Promise<T>): Promise<T> => {
    const startedAtMs = performance.now();
    const result = await work;
    tell((performance.now() - startedAtMs) / 1000);
    return result;
  };
  return wrap(storage, {
    async openSink(...args) {
      const sink = await storage.openSink(...args);
      return wrap(sink, { commit: (file) => timing(sink.commit(file)) });
    },
    putSmall: (...args) => timing(storage.putSmall(...args)),
  });
}
