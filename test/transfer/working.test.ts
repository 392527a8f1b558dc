import { mock } from 'node:test';
import test from 'ava';
import type { ControlFrame } from '../../protocol/frames.ts';
import { transferLimits } from '../../transfer/limits.ts';
import type { Request } from '../../transfer/request.ts';
import { whileWorking } from '../../transfer/working.ts';

test.serial(
  'long work is told again and again, to all who wait, and no longer than it takes',
  async (t) => {
    mock.timers.enable({ apis: ['setInterval'] });
    try {
      const said: ControlFrame[] = [];
      let progressed = 0;
      const request = {
        id: 7,
        progressed: () => (progressed += 1),
        say: (frame: ControlFrame) => void said.push(frame),
      } as unknown as Request;
      let finish: (result: string) => void = () => undefined;
      const work = new Promise<string>((resolve) => {
        finish = resolve;
      });
      const result = whileWorking(() => [request, request], 'syncing', work);
      t.is(said.length, 0);
      mock.timers.tick(transferLimits.heartbeatMs);
      t.is(said.length, 2);
      mock.timers.tick(2 * transferLimits.heartbeatMs);
      t.is(said.length, 6);
      t.is(progressed, 6);
      const [first] = said;
      t.true(first?.type === 'working' && first.phase === 'syncing' && first.request === 7);
      finish('done');
      t.is(await result, 'done');
      mock.timers.tick(5 * transferLimits.heartbeatMs);
      t.is(said.length, 6);
    } finally {
      mock.timers.reset();
    }
  },
);

test.serial('what fails while it is told fails in the end, and is told no longer', async (t) => {
  mock.timers.enable({ apis: ['setInterval'] });
  try {
    const said: ControlFrame[] = [];
    const request = {
      id: 1,
      progressed: () => 0,
      say: (frame: ControlFrame) => void said.push(frame),
    };
    const work = Promise.reject(new Error('broken'));
    await t.throwsAsync(
      whileWorking(() => [request as unknown as Request], 'syncing', work),
      { message: 'broken' },
    );
    mock.timers.tick(5 * transferLimits.heartbeatMs);
    t.is(said.length, 0);
  } finally {
    mock.timers.reset();
  }
});
