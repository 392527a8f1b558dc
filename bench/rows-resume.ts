/** What is left of an upload that broke at 90 %, against the whole of it. */
import { setTimeout as sleep } from 'node:timers/promises';
import { startFerry } from '../test/system/helpers/ferry.ts';
import { Proxy } from '../test/system/helpers/proxy.ts';
import { measure } from './measure.ts';
import { checkSame, ferry } from './place.ts';
import type { Contest, Contestant, Row } from './rows.ts';

const brokenAt = 0.9;

export const resumeRow: Row = {
  id: 'resume',
  title: 'resume one large file that broke at 90 %',
  needs: [],
  compared: 'seconds',
  floor: 0.65,
  aim: 0.45,
  async begin(place): Promise<Contest> {
    const file = await place.largeFile();
    const daemon = await place.daemon({ plain: true });
    const proxy = await Proxy.start(daemon.port);
    const upload = (name: string, reset: Contestant['reset']): Contestant => ({
      name,
      reset,
      run: () => measure(ferry('upload', file, daemon.url('copy')), daemon.pid),
      check: () => checkSame(file, place.at('ours', 'copy')),
    });
    const breakOff = async (): Promise<void> => {
      await place.remove('ours/copy');
      const before = proxy.contentBytes('up');
      const victim = startFerry(['upload', '--quiet', file, proxy.url('copy')]);
      const enough = before + brokenAt * place.sizes.largeBytes;
      while (proxy.contentBytes('up') < enough) await sleep(1);
      victim.kill('SIGKILL');
      await victim.result;
    };
    return {
      bytes: place.sizes.largeBytes,
      ours: upload('ferry, resumed', breakOff),
      peer: upload('ferry, from the start', () => place.remove('ours/copy')),
      close: () => proxy.close(),
    };
  },
};
