/** THREATS: ten million entries, in a listing that the client reads, and in a folder that the daemon lists. */
import { existsSync, linkSync } from 'node:fs';
import { mkdir, writeFile } from 'node:fs/promises';
import { Writable } from 'node:stream';
import test from 'ava';
import * as bodies from './helpers/bodies.ts';
import { Ground } from './helpers/ground.ts';
import { type Answer, isFolder, Visitor } from './helpers/rogue.ts';
import { isWhole } from './helpers/whole.ts';
import { frame, headerBytes } from './helpers/wire.ts';

const MiB = 1024 * 1024;
const pageEntries = 1_000;
const listed = isWhole ? 10_000_000 : 100_000;
/** In memory each takes 250 bytes of the kernel's: a million are a quarter of a GiB. */
const onDisk = isWhole ? 1_000_000 : 20_000;
/** A listing of 100,000 is sorted in memory and takes up to 120 MiB, beyond which O4 leaves 64. */
const clientBytesMost = (120 + (isWhole ? 64 : 32)) * MiB;

let visitor: Visitor;
let ground: Ground;
test.before(async () => {
  visitor = await Visitor.arrive();
  ground = await Ground.start();
});
test.after.always(() => visitor.folder.remove());
test.after.always(() => ground.end());

/** A listing of so many entries, as fast as the client lets it; those of each thousand have the same names. */
function endless(count: number, kind: number, inFlightBytes: number): Answer {
  const entries = Array.from({ length: pageEntries }, (_, i) => ({ path: `entry-${i}`, kind }));
  const pages = [0, 1].map((last) => bodies.entriesPage(entries, last));
  return async (guest, { request }) => {
    const [page, last] = pages.map((payload) => frame('entries', request, payload));
    let [sent, consumed] = [0, 0];
    for (let at = 0; at < count && !guest.isOver; at += pageEntries) {
      const bytes = (at + pageEntries < count ? page : last) as Buffer;
      sent += bytes.length - headerBytes;
      while (sent - consumed > inFlightBytes) {
        consumed = Number((await guest.next('credit')).payload.readBigUInt64LE());
      }
      if (guest.socket.write(bytes)) continue;
      await new Promise<void>((resolve) => {
        const go = (): void => {
          guest.socket.off('drain', go).off('close', go);
          resolve();
        };
        guest.socket.on('drain', go).on('close', go);
      });
    }
  };
}

/** Counts lines, and keeps none. */
class Lines extends Writable {
  count = 0;

  override _write(bytes: Buffer, _: BufferEncoding, done: () => void): void {
    for (let at = bytes.indexOf(10); at >= 0; at = bytes.indexOf(10, at + 1)) this.count += 1;
    done();
  }
}

/** What a client lets come ahead of what it took: who only asks little, who downloads much. */
for (const [what, inFlightBytes, words] of [
  ['a listing', 2 * MiB, (url: string) => ['ls', url]],
  ['a tree to list', 2 * MiB, (url: string) => ['ls', '-R', url]],
  ['a tree to download', 16 * MiB, (url: string) => ['download', url, visitor.target()]],
] as const) {
  test.serial(`${what} of very many entries: the client's memory stays`, async (t) => {
    t.timeout(isWhole ? 1_800_000 : 120_000);
    const answers = { stat: isFolder, list: endless(listed, bodies.kinds.other, inFlightBytes) };
    const output = new Lines();
    const args = (url: (path?: string) => string): string[] => words(url('folder/'));
    const { code, peakBytes } = await visitor.visits(t, answers, args, false, { output });
    t.log(`${listed} entries, peak ${Math.round(peakBytes / MiB)} MiB`);
    t.is(code, 0);
    if (what !== 'a tree to download') t.is(output.count, listed);
    t.true(peakBytes < clientBytesMost);
  });
}

/** Names of one file: quick to make. */
async function makeMany(): Promise<void> {
  await mkdir(ground.served('many'));
  const first = ground.served('many', '0');
  await writeFile(first, '');
  for (let i = 1; i < onDisk; i += 1) {
    linkSync(first, ground.served('many', `${i}`));
    if (i % 1_000 === 0) await new Promise((resolve) => setImmediate(resolve));
  }
}

test.serial(
  'a folder of very many names, listed in pages and removed: the daemon’s memory stays',
  async (t) => {
    t.timeout(isWhole ? 1_800_000 : 120_000);
    await ground.stands(t, async () => {
      await makeMany();
      // One who stops reading costs no more than one who goes on.
      const stopped = await ground.peer();
      stopped.open('list', bodies.listing('', 1));
      stopped.socket.pause();
      const peer = await ground.peer();
      const request = peer.open('list', bodies.listing('many'));
      let [count, consumed] = [0, 0];
      for (let isLast = false; !isLast; ) {
        const { payload } = await peer.next('entries', request);
        const { last, paths } = bodies.readEntries({ payload });
        t.true(paths.length <= 1024 && payload.length <= 65_536);
        count += paths.length;
        consumed += payload.length;
        peer.say('credit', 0, bodies.credit(consumed));
        isLast = last === 1;
      }
      t.is(count, onDisk);
      stopped.socket.resume();
      // By the daemon, since Node's own removal would hold this process up until its peers are given up.
      const removal = peer.open('remove', bodies.remove('many', 1));
      await peer.next('done', removal);
      t.false(existsSync(ground.served('many')));
    });
  },
);
