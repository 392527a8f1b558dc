/** `ferry bench` names the part that was made slow on purpose. */
import test, { type ExecutionContext } from 'ava';
import type { BenchSummary } from '../../client/measure/summary.ts';
import type { Bottleneck } from '../../client/measure/verdict.ts';
import { cpuShare, hasCpuGroups } from './helpers/cgroup.ts';
import { type FerrySettings, startFerry } from './helpers/ferry.ts';
import { type Scene, setScene } from './helpers/scene.ts';
import { testWithStrace } from './helpers/trace.ts';

const withGroups = hasCpuGroups ? test.serial : test.serial.skip;

/** A tracer that delays each of these system calls, and stops at no other. */
const delayed = (call: string): string[] => [
  'strace',
  '-D',
  '-f',
  '-qq',
  '--seccomp-bpf',
  '-o',
  '/dev/null',
  '-e',
  `trace=${call}`,
  '-e',
  `inject=${call}:delay_enter=250000`,
];

/** Long enough for many of the slow steps, and for a loaded machine. */
const seconds = '2s';

async function verdictOf(
  t: ExecutionContext,
  scene: Scene,
  args: readonly string[],
  settings: FerrySettings & { onStart?: (pid: number) => void } = {},
): Promise<BenchSummary> {
  const { onStart, ...more } = settings;
  const [mode = '', ...options] = args;
  const words = ['bench', mode, scene.url(), '--json', '--duration', seconds, ...options];
  const ferry = startFerry([...words, '--folder', scene.folder.path], {
    ...more,
    onEvent: ({ type }) => {
      if (type === 'start') onStart?.(ferry.pid);
    },
  });
  const result = await ferry.result;
  t.is(result.code, 0, result.stderr);
  const bench = result.summary?.bench as BenchSummary;
  t.log(bench.verdict, JSON.stringify(bench.directions[0]?.shares));
  return bench;
}

function is(t: ExecutionContext, bench: BenchSummary, expected: Bottleneck): void {
  t.is(bench.directions[0]?.bottleneck, expected, JSON.stringify(bench.directions));
  t.true(bench.verdict.startsWith(`${expected}, `));
}

test.serial('an offered load is what holds a bench back that could do more', async (t) => {
  const scene = await setScene(t);
  const bench = await verdictOf(t, scene, ['net', '--rate', '512k']);
  is(t, bench, 'offered load');
  const down = await verdictOf(t, scene, ['net', '--rate', '512k', '--direction', 'down']);
  is(t, down, 'offered load');
});

testWithStrace('a disk that writes slowly: receiver disk', async (t) => {
  const scene = await setScene(t, { through: delayed('pwritev') });
  is(t, await verdictOf(t, scene, ['disk-write']), 'receiver disk');
});

testWithStrace('a disk that writes slowly at the client: receiver disk', async (t) => {
  const scene = await setScene(t);
  const through = delayed('pwritev');
  is(
    t,
    await verdictOf(t, scene, ['disk-write', '--direction', 'down'], { through }),
    'receiver disk',
  );
});

testWithStrace('a disk that reads slowly: sender disk', async (t) => {
  const scene = await setScene(t, { through: delayed('pread64') });
  const bench = await verdictOf(t, scene, ['disk-read', '--direction', 'down']);
  is(t, bench, 'sender disk');
});

testWithStrace('a disk that reads slowly at the client: sender disk', async (t) => {
  const scene = await setScene(t);
  const through = delayed('pread64');
  is(t, await verdictOf(t, scene, ['disk-read'], { through }), 'sender disk');
});

withGroups('a sender with little CPU: sender CPU', async (t) => {
  const scene = await setScene(t);
  const starve = cpuShare(t, 0.1);
  const bench = await verdictOf(t, scene, ['net', '--omit', '1s'], { onStart: starve });
  is(t, bench, 'sender CPU');
});

withGroups('a receiver with little CPU: receiver CPU', async (t) => {
  const starve = cpuShare(t, 0.1);
  const scene = await setScene(t);
  starve(scene.daemon.pid);
  is(t, await verdictOf(t, scene, ['net', '--omit', '1s']), 'receiver CPU');
});

test.serial('nothing slow: neither a disk nor the load is blamed', async (t) => {
  const scene = await setScene(t);
  const bench = await verdictOf(t, scene, ['net']);
  const found = bench.directions[0]?.bottleneck ?? '';
  t.true(['sender CPU', 'receiver CPU', 'network', 'window', 'unclear'].includes(found), found);
  const { shares } = bench.directions[0] ?? {};
  t.is(shares?.senderDisk, 0);
  t.is(shares?.receiverDisk, 0);
  t.is(shares?.paced, 0);
});
