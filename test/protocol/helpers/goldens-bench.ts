import type { BenchReport } from '../../../protocol/frames/bench.ts';
import { type Golden, golden, largest } from './golden.ts';
import type { Layout } from './layout.ts';

/** The fields that every bench has; `count` is that of all its fields. */
export function benchHead(payload: Layout, count: number, part: number, store: number): Layout {
  return payload
    .u16('fields', count)
    .field(1, 'part', true, (value) => value.u8('part', part))
    .field(2, 'store', true, (value) => value.u8('store', store));
}

export function benchPath(payload: Layout, path: string, chunkBytes: number): Layout {
  return payload
    .field(3, 'path', false, (value) => value.text('path', path))
    .field(4, 'chunkBytes', false, (value) => value.u32('chunkBytes', chunkBytes));
}

export function benchChecksums(payload: Layout, checksums: number): Layout {
  return payload.field(10, 'checksums', true, (value) => value.u8('checksums', checksums));
}

const report: BenchReport = {
  elapsedUs: 1_000_000,
  bytes: 419_430_400,
  chunksRepeated: 1,
  diskUs: 950_000,
  windowUs: 2_000,
  socketUs: 30_000,
  pacedUs: 0,
  cpuUs: 61_000_000,
  busyUs: 52_000_000,
  threadUs: 3_600_000_000,
  memoryBytes: 17_179_869_184,
  dataBytes: 1_073_741_824,
};

export const benchGoldens: Golden[] = [
  golden(
    'bench-receive',
    'bench: the client will send to the memory of the daemon, for as long as it likes',
    0x40,
    {
      type: 'bench',
      request: 1,
      part: 'receive',
      store: 'memory',
      path: '',
      chunkBytes: 65_536,
      size: undefined,
      durationMs: undefined,
      writeBytes: undefined,
      bytesPerSecond: undefined,
      reportMs: undefined,
      checksums: true,
      storeBytes: undefined,
    },
    (payload) => benchChecksums(benchPath(benchHead(payload, 5, 0, 0), '', 65_536), 1),
  ),
  golden(
    'bench-send',
    'bench: the daemon shall send from its disk, with everything set',
    0x40,
    {
      type: 'bench',
      request: 2,
      part: 'send',
      store: 'disk',
      path: 'share',
      chunkBytes: 4_194_304,
      size: largest,
      durationMs: 10_000,
      writeBytes: 1_048_576,
      bytesPerSecond: 1_000_000,
      reportMs: 500,
      checksums: false,
      storeBytes: 1_073_741_824,
    },
    (payload) =>
      benchChecksums(
        benchPath(benchHead(payload, 11, 1, 1), 'share', 4_194_304)
          .field(5, 'size', false, (value) => value.u64('size', largest))
          .field(6, 'durationMs', false, (value) => value.u32('durationMs', 10_000))
          .field(7, 'writeBytes', false, (value) => value.u32('writeBytes', 1_048_576))
          .field(8, 'bytesPerSecond', false, (value) => value.u64('bytesPerSecond', 1_000_000))
          .field(9, 'reportMs', false, (value) => value.u32('reportMs', 500)),
        0,
      ).field(11, 'storeBytes', false, (value) => value.u64('storeBytes', 1_073_741_824)),
  ),
  golden(
    'bench-hash',
    'bench: the daemon shall hash for a second',
    0x40,
    {
      type: 'bench',
      request: 3,
      part: 'hash',
      store: 'memory',
      path: '',
      chunkBytes: 65_536,
      size: undefined,
      durationMs: 1_000,
      writeBytes: undefined,
      bytesPerSecond: undefined,
      reportMs: undefined,
      checksums: true,
      storeBytes: undefined,
    },
    (payload) =>
      benchChecksums(
        benchPath(benchHead(payload, 6, 2, 0), '', 65_536).field(6, 'durationMs', false, (value) =>
          value.u32('durationMs', 1_000),
        ),
        1,
      ),
  ),
  golden(
    'bench-report',
    'benchReport: a disk that was busy nearly all of the time',
    0x41,
    { type: 'benchReport', request: 1, ...report },
    (payload) => {
      payload.u16('fields', 12);
      for (const [i, [name, number]] of Object.entries(report).entries()) {
        payload.field(i + 1, name, false, (value) => value.u64(name, number));
      }
    },
  ),
];
