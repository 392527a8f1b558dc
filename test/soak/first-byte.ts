/** Promise 3 at 1 TiB: how long until the first new byte leaves, when all but the end is there. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdir, truncate, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { checksum, fold } from '../../protocol/checksum.ts';
import { limits } from '../../protocol/limits.ts';
import { Ledger } from '../../protocol/segments.ts';
import { encodeSnapshot } from '../../transfer/local/journal-snapshot.ts';
import { dataName, journalName, partialKey } from '../../transfer/local/staging.ts';
import { startDaemon } from '../system/helpers/daemon.ts';
import { startFerry } from '../system/helpers/ferry.ts';
import { tempFolder } from '../system/helpers/files.ts';
import { FrameProxy, frameTypes } from '../system/helpers/frame-proxy.ts';

const { segmentChunks, fileChunkBytes: chunkBytes } = limits;
const segmentBytes = segmentChunks * chunkBytes;
const sizeBytes = 2 ** 40;
const missingSegments = 4;
/** More than a fresh start takes. */
const atMostSeconds = 1;

/** Leaves a partial of zeros for `target`, as an interrupted transfer of a file without data would. */
async function leavePartial(folder: string, target: string): Promise<void> {
  const staging = path.join(folder, '.chunkferry');
  await mkdir(staging, { recursive: true });
  const chunk = checksum(new Uint8Array(chunkBytes));
  const segment = fold(new BigUint64Array(segmentChunks).fill(chunk));
  const ledger = new Ledger();
  const held = sizeBytes / segmentBytes - missingSegments;
  for (let i = 0; i < held; i += 1) ledger.addSegment(i, segment, segmentChunks);
  const header = { type: 'header', chunkBytes, path: target, identity: new Uint8Array() } as const;
  const journal = encodeSnapshot(header, ledger, held * segmentBytes);
  await writeFile(path.join(staging, journalName(partialKey(target))), journal);
  await writeFile(path.join(staging, dataName(partialKey(target))), '');
  await truncate(path.join(staging, dataName(partialKey(target))), held * segmentBytes);
}

/** Seconds from the start of the program to the first chunk on the wire, which is held there. */
async function firstByteSeconds(
  port: number,
  args: (url: string) => readonly string[],
): Promise<number> {
  const found = new AbortController();
  const proxy = await FrameProxy.start(port, ({ type }) => {
    if (type === frameTypes.chunk) found.abort();
    return found.signal.aborted ? 'hold' : 'pass';
  });
  try {
    const startedMs = performance.now();
    const ferry = startFerry(args(proxy.url('file')));
    await once(found.signal, 'abort');
    const seconds = (performance.now() - startedMs) / 1000;
    ferry.kill('SIGKILL');
    await ferry.result;
    return seconds;
  } finally {
    await proxy.close();
  }
}

/** Throws when it takes too long; gives a line that tells how long it took. */
export async function firstByte(where: string): Promise<string> {
  const folder = await tempFolder(where);
  try {
    const took: string[] = [];
    for (const direction of ['up', 'down']) {
      const [served, here] = [folder.at(`${direction}-served`), folder.at(`${direction}-here`)];
      const [source, target] = direction === 'up' ? [here, served] : [served, here];
      await Promise.all([mkdir(served), mkdir(here)]);
      await writeFile(path.join(source, 'file'), '');
      await truncate(path.join(source, 'file'), sizeBytes);
      const daemon = await startDaemon({ folder: served });
      const local = path.join(here, 'file');
      const args = (url: string): string[] =>
        direction === 'up' ? ['upload', local, url] : ['download', url, local];
      const fresh = await firstByteSeconds(daemon.port, args);
      await daemon.stop();
      await leavePartial(target, 'file');
      const again = await startDaemon({ folder: served });
      const resumed = await firstByteSeconds(again.port, args);
      await again.stop();
      assert.ok(resumed < fresh + atMostSeconds, `${direction}: ${resumed} s, fresh ${fresh} s`);
      took.push(`${direction} ${resumed.toFixed(2)} s (fresh ${fresh.toFixed(2)} s)`);
    }
    return `first new byte of 1 TiB: ${took.join(', ')}`;
  } finally {
    await folder.remove();
  }
}
