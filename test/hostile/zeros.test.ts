/** THREATS, exhaustion: 32 bytes that stand for 64 KiB, as many as fit on the wire. */
import { once } from 'node:events';
import { readdir, stat } from 'node:fs/promises';
import test from 'ava';
import * as bodies from './helpers/bodies.ts';
import { failures, isRefused } from './helpers/cases.ts';
import { Ground } from './helpers/ground.ts';
import { frame } from './helpers/wire.ts';

const features = ['zero-chunks'];
/** From docs/protocol.md. */
const sum = 0x5983_dda9_f157_15a4n;
const zero = (index: number): Buffer =>
  frame('chunk', 1, Buffer.alloc(0), { flags: 2, index, sum });
/** 8 GiB, in 4 MiB of frames. */
const chunks = 131_072;

let ground: Ground;
test.before(async () => {
  ground = await Ground.start({
    nodeArguments: ['--max-old-space-size=64', '--max-semi-space-size=2'],
  });
});
test.after.always(() => ground.end());

test.serial('a flood of zeros costs neither memory nor disk', async (t) => {
  await ground.stands(t, async () => {
    const peer = await ground.peer({ features });
    const size = (chunks + 1) * bodies.chunkBytes;
    peer.write(frame('offer', 1, bodies.offer({ path: 'zeros', size })));
    await peer.next('want', 1);
    for (let from = 0; from < chunks; from += 1_024) {
      const page = Array.from({ length: 1_024 }, (_, i) => zero(from + i));
      if (!peer.socket.write(Buffer.concat(page))) await once(peer.socket, 'drain');
    }
    // Of what is written the daemon tells; the last of it is still to come.
    for (let held = 0n; held < BigInt(chunks * bodies.chunkBytes); ) {
      held = (await peer.next('have', 1)).payload.readBigUInt64LE();
    }
    const staged = await readdir(ground.served('.chunkferry'));
    const data = staged.find((name) => name.endsWith('.data')) as string;
    const { size: bytes, blocks } = await stat(ground.served('.chunkferry', data));
    t.is(bytes, chunks * bodies.chunkBytes);
    t.true(blocks * 512 < 65_536, `${blocks} blocks`);
    await peer.leave('reset');
  });
});

test.serial('zeros that were not agreed upon, or come in a page, end the connection', async (t) => {
  await ground.stands(t, async () => {
    const size = 2 * bodies.chunkBytes;
    const strange = await ground.peer();
    strange.write(frame('offer', 1, bodies.offer({ path: 'strange', size })));
    await strange.next('want', 1);
    strange.write(zero(0));
    await isRefused(t, strange, failures.protocol, 'a chunk of zeros without the feature');

    const paged = await ground.peer({ features });
    const entry = { path: 'small', size: bodies.chunkBytes };
    paged.write(frame('offers', 1, bodies.offers('', [entry], { eager: 1 })), zero(0));
    await isRefused(t, paged, failures.protocol, 'a chunk of zeros in a page');
  });
});
