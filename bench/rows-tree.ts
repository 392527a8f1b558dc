/** Many small files: new, unchanged, and durable on a disk. */
import { tmpdir } from 'node:os';
import { differences } from '../test/system/helpers/files.ts';
import { measure } from './measure.ts';
import { startRclone, startRsync } from './peers.ts';
import { ferry, type Place } from './place.ts';
import type { Contest, Contestant, Row } from './rows.ts';

async function checkTree(place: Place, target: string): Promise<void> {
  // rsync keeps nanoseconds, Node what a double holds: names, contents and modes are what counts.
  const found = await differences(place.at('tree'), place.at(target), { times: false });
  if (found.length > 0) throw new Error(`${target} is not what was sent: ${found[0]}`);
}

interface Work {
  readonly place: Place;
  /** Whether the target is there already, and unchanged. */
  readonly again: boolean;
}

function treeContestant(
  { place, again }: Work,
  name: string,
  target: string,
  run: Contestant['run'],
): Contestant {
  let runs = 0;
  return {
    name,
    async reset() {
      if (again && runs === 0) await run();
      if (!again && runs > 0) await place.putAside(target);
      runs += 1;
    },
    run,
    check: () => checkTree(place, target),
  };
}

async function ours(work: Work, folder: string): Promise<Contestant> {
  const daemon = await work.place.daemon({ plain: true });
  return treeContestant(work, 'ferry', 'ours/tree', () =>
    measure(ferry('upload', folder, daemon.url()), daemon.pid),
  );
}

interface TreeWork {
  readonly again?: boolean;
  /** On the disk instead of memory, and synced at the end. */
  readonly durable?: boolean;
}

async function againstRsync(
  place: Place,
  { again = false, durable = false }: TreeWork,
): Promise<Contest> {
  const { folder, bytes } = await place.tree();
  const rsync = await startRsync(place.at('peer'), place.at('theirs'));
  const copy = ['-a', folder, `rsync://127.0.0.1:${rsync.port}/files/`];
  // rsync's word is not that all is on disk: sync makes it so.
  const synced = ['-c', 'rsync "$@" && sync -f "$0"', place.at('theirs'), ...copy];
  const command = durable ? { file: 'sh', args: synced } : { file: 'rsync', args: copy };
  const name = durable ? 'rsync -a, then sync -f' : 'rsync daemon, -a';
  const work = { place, again };
  return {
    bytes,
    ours: await ours(work, folder),
    peer: treeContestant(work, name, 'theirs/tree', () => measure(command, rsync.pid)),
    close: () => rsync.stop(),
  };
}

async function againstRclone(place: Place): Promise<Contest> {
  const { folder, bytes } = await place.tree();
  const rclone = await startRclone(place.at('theirs'));
  const url = `http://127.0.0.1:${rclone.port}`;
  const args = ['copy', folder, ':webdav:tree', '--webdav-url', url, '--config', '/dev/null'];
  const work = { place, again: false };
  return {
    bytes,
    ours: await ours(work, folder),
    peer: treeContestant(work, 'rclone to its own WebDAV', 'theirs/tree', () =>
      measure({ file: 'rclone', args }, rclone.pid),
    ),
    close: () => rclone.stop(),
  };
}

export const treeRows: readonly Row[] = [
  {
    id: 'tree-new',
    title: 'upload many small files',
    needs: ['rsync'],
    compared: 'seconds',
    floor: 1.25,
    aim: 1,
    begin: (place) => againstRsync(place, {}),
  },
  {
    id: 'tree-again',
    title: 'the same again, nothing changed',
    needs: ['rsync'],
    compared: 'seconds',
    floor: 1.25,
    aim: 1,
    begin: (place) => againstRsync(place, { again: true }),
  },
  {
    id: 'tree-durable',
    title: 'many small files on a disk, durable',
    needs: ['rsync', 'sync'],
    where: tmpdir(),
    compared: 'seconds',
    floor: 1.5,
    aim: 1,
    begin: (place) => againstRsync(place, { durable: true }),
  },
  {
    id: 'tree-rclone',
    title: 'upload many small files',
    needs: ['rclone'],
    compared: 'seconds',
    begin: againstRclone,
  },
];
