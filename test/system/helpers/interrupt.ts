/** A transfer that is killed when exactly so much of it has arrived. */
import { startFerry } from './ferry.ts';
import { FrameProxy, frameTypes } from './frame-proxy.ts';
import { heldBytes, journalRecords, type PartialFiles, partialIn } from './partials.ts';
import type { Scene } from './scene.ts';
import { until } from './wait.ts';

const chunkBytes = 65_536;

export interface Interruption {
  /** The command, with the daemon's address to be filled in. */
  readonly command: (url: (path: string) => string) => readonly string[];
  /** The folder that the target is in. */
  readonly folder: string;
  /** Chunks that may pass. */
  readonly chunks: number;
}

/** Lets the command come so far and kills the client; gives the partial that is left. */
export async function interrupt(
  scene: Scene,
  { command, folder, chunks }: Interruption,
): Promise<PartialFiles> {
  let passed = 0;
  const proxy = await FrameProxy.start(scene.daemon.port, ({ type }) => {
    if (type === frameTypes.chunk) passed += 1;
    return passed > chunks ? 'hold' : 'pass';
  });
  try {
    const [name = '', ...rest] = command((path) => proxy.url(path));
    const ferry = startFerry([name, '--json', ...rest]);
    let partial: PartialFiles | undefined;
    await until('the partial grows', async () => {
      partial = await partialIn(`${folder}/.chunkferry`);
      if (partial === undefined) return false;
      return heldBytes(await journalRecords(partial.journal)) === chunks * chunkBytes;
    });
    ferry.kill('SIGKILL');
    await ferry.result;
    // Its claim is given up by then.
    await scene.daemon.logged('failed');
    return partial as unknown as PartialFiles;
  } finally {
    await proxy.close();
  }
}
