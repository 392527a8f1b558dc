/** One large file, up and down, plain and under TLS. */
import { link } from 'node:fs/promises';
import { measure } from './measure.ts';
import { startNginx, startRsync, startSshd } from './peers.ts';
import { checkSame, ferry, type Place } from './place.ts';
import type { Contest, Contestant, Row } from './rows.ts';

type Direction = 'up' | 'down';

const verb = (direction: Direction): string => (direction === 'up' ? 'upload' : 'download');

/** `target`: where the result lies, below the place. */
function contestant(
  place: Place,
  name: string,
  target: string,
  run: Contestant['run'],
): Contestant {
  return {
    name,
    reset: () => place.remove(target),
    run,
    check: () => checkSame(place.at('large'), place.at(target)),
  };
}

async function ours(place: Place, direction: Direction, plain: boolean): Promise<Contestant> {
  const daemon = await place.daemon({ plain });
  const target = direction === 'up' ? 'ours/copy' : 'ours-copy';
  const command =
    direction === 'up'
      ? ferry('upload', place.at('large'), daemon.url('copy'))
      : ferry('download', daemon.url('large'), place.at(target));
  return contestant(place, plain ? 'ferry' : 'ferry (TLS 1.3)', target, () =>
    measure(command, daemon.pid),
  );
}

/** Both servers serve the file where they can find it, by a hard link. */
async function served(place: Place, ...folders: string[]): Promise<void> {
  const file = await place.largeFile();
  for (const folder of folders) await link(file, place.at(folder, 'large'));
}

const againstRsync = (direction: Direction): Row => ({
  id: `${verb(direction)}-rsync`,
  title: `${verb(direction)} one large file`,
  needs: ['rsync'],
  compared: 'seconds',
  floor: 0.95,
  aim: 0.75,
  async begin(place): Promise<Contest> {
    await served(place, 'ours', 'theirs');
    const rsync = await startRsync(place.at('peer'), place.at('theirs'));
    const module = `rsync://127.0.0.1:${rsync.port}/files`;
    const target = direction === 'up' ? 'theirs/copy' : 'theirs-copy';
    const args =
      direction === 'up'
        ? [place.at('large'), `${module}/copy`]
        : [`${module}/large`, place.at(target)];
    return {
      bytes: place.sizes.largeBytes,
      ours: await ours(place, direction, true),
      peer: contestant(place, 'rsync daemon, -W', target, () =>
        measure({ file: 'rsync', args: ['-W', ...args] }, rsync.pid),
      ),
      close: () => rsync.stop(),
    };
  },
});

/** `nginx` sends by sendfile, and nobody verifies what came. */
const fromNginx = (
  program: string,
  args: (url: string, target: string) => string[],
  expected: Pick<Row, 'floor' | 'aim'>,
): Row => ({
  id: `download-${program}`,
  title: 'download one large file',
  needs: ['nginx', program],
  compared: 'seconds',
  ...expected,
  async begin(place): Promise<Contest> {
    await served(place, 'ours', 'theirs');
    const nginx = await startNginx(place.at('peer'), place.at('theirs'));
    const url = `http://127.0.0.1:${nginx.port}/large`;
    return {
      bytes: place.sizes.largeBytes,
      ours: await ours(place, 'down', true),
      peer: contestant(place, `${program} from nginx`, 'theirs-copy', () =>
        measure({ file: program, args: args(url, place.at('theirs-copy')) }, nginx.pid),
      ),
      close: () => nginx.stop(),
    };
  },
});

const againstScp = (direction: Direction): Row => ({
  id: `${verb(direction)}-scp`,
  title: `${verb(direction)} one large file, encrypted`,
  needs: ['sshd', 'scp', 'ssh-keygen'],
  compared: 'seconds',
  floor: 0.5,
  aim: 0.4,
  async begin(place): Promise<Contest> {
    await served(place, 'ours', 'theirs');
    const sshd = await startSshd(place.at('peer'));
    const remote = (name: string): string => `127.0.0.1:${place.at('theirs', name)}`;
    const target = direction === 'up' ? 'theirs/copy' : 'theirs-copy';
    const args =
      direction === 'up'
        ? [place.at('large'), remote('copy')]
        : [remote('large'), place.at(target)];
    return {
      bytes: place.sizes.largeBytes,
      ours: await ours(place, direction, false),
      peer: contestant(place, 'scp', target, () =>
        measure({ file: 'scp', args: [...sshd.options, ...args] }, sshd.pid),
      ),
      close: () => sshd.stop(),
    };
  },
});

export const largeRows: readonly Row[] = [
  againstRsync('up'),
  againstRsync('down'),
  fromNginx('curl', (url, target) => ['-sS', '-o', target, url], { floor: 1.25, aim: 1 }),
  fromNginx(
    'aria2c',
    (url, target) => [
      '-q',
      '--allow-overwrite=true',
      '--file-allocation=none',
      '-d',
      '/',
      '-o',
      target.slice(1),
      url,
    ],
    {},
  ),
  againstScp('up'),
  againstScp('down'),
];
