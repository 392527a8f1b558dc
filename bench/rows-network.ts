/** Memory to memory: what the connection alone carries. */
import { measure, type Sample } from './measure.ts';
import { startIperf } from './peers.ts';
import { ferry } from './place.ts';
import type { Contest, Contestant, Row } from './rows.ts';

const seconds = 4;

interface IperfReport {
  readonly end: { readonly sum_received: { readonly bytes: number; readonly seconds: number } };
}

/** The throughput that a program reported itself: starting it is no part of it. */
function reporting(
  name: string,
  run: () => Promise<Sample>,
  throughput: (output: string) => number,
): Contestant {
  return {
    name,
    reset: () => Promise.resolve(),
    run: async () => {
      const sample = await run();
      return { ...sample, bytesPerSecond: throughput(sample.output) };
    },
    check: () => Promise.resolve(), // Nothing is stored; our own end has checked every chunk.
  };
}

export const networkRow: Row = {
  id: 'network-iperf3',
  title: 'memory to memory, 64 KiB chunks, checksums on',
  needs: ['iperf3'],
  compared: 'bytesPerSecond',
  floor: 1,
  aim: 1.3,
  async begin(place): Promise<Contest> {
    const daemon = await place.daemon({ plain: true });
    const iperf = await startIperf();
    const theirs = [
      '-c',
      '127.0.0.1',
      '-p',
      `${iperf.port}`,
      '-l',
      '64K',
      '-t',
      `${seconds}`,
      '-J',
    ];
    const ours = ferry('bench', 'net', daemon.url(), '--duration', `${seconds}s`, '--json');
    return {
      bytes: 0,
      ours: reporting(
        'ferry bench net',
        () => measure(ours, daemon.pid),
        (output) => {
          const last = JSON.parse(output.trim().split('\n').at(-1) ?? '') as {
            bytesPerSecond: number;
          };
          return last.bytesPerSecond;
        },
      ),
      peer: reporting(
        'iperf3 -l 64K',
        () => measure({ file: 'iperf3', args: theirs }, iperf.pid),
        (output) => {
          const { bytes, seconds: took } = (JSON.parse(output) as IperfReport).end.sum_received;
          return bytes / took;
        },
      ),
      close: () => iperf.stop(),
    };
  },
};
