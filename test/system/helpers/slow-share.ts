/**
 * Loaded into a daemon before anything else (`--import`): the storage thread of the share in SLOW_SHARE
 * waits 500 ms at each open and each sync, as on a dying disk, and the network thread measures how long
 * its event loop is held up; SIGUSR2 writes the 99th percentile so far to LOOP_DELAY_FILE, in
 * milliseconds, and begins anew.
 */
import fs from 'node:fs';
import { syncBuiltinESMExports } from 'node:module';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { isMainThread, workerData } from 'node:worker_threads';
import { useLibc } from '../../../transfer/local/libc.ts';

const waitMs = 500;

type Call = (...args: unknown[]) => unknown;

function slowDown(): void {
  useLibc(undefined);
  const calls = fs as unknown as Record<string, Call>;
  const never = new Int32Array(new SharedArrayBuffer(4));
  for (const name of ['openSync', 'fsyncSync', 'fdatasyncSync']) {
    const original = calls[name] as Call;
    calls[name] = (...args) => {
      Atomics.wait(never, 0, 0, waitMs);
      return original(...args);
    };
  }
  syncBuiltinESMExports();
}

function measure(): void {
  const delay = monitorEventLoopDelay({ resolution: 5 });
  delay.enable();
  process.on('SIGUSR2', () => {
    fs.writeFileSync(process.env['LOOP_DELAY_FILE'] ?? '', String(delay.percentile(99) / 1e6));
    delay.reset();
  });
}

if (isMainThread) measure();
else if ((workerData as { root?: string } | null)?.root === process.env['SLOW_SHARE']) slowDown();
