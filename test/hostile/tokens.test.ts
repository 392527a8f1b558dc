/** THREATS, authentication: a token that may only read, or only below a prefix, tries everything else. */
import { mkdir, writeFile } from 'node:fs/promises';
import test from 'ava';
import { runFerryd } from '../system/helpers/daemon.ts';
import { type TempFolder, tempFolder } from '../system/helpers/files.ts';
import * as bodies from './helpers/bodies.ts';
import { failures } from './helpers/cases.ts';
import { Ground } from './helpers/ground.ts';
import { tokenBytes } from './helpers/token.ts';
import type { FrameName } from './helpers/wire.ts';

let state: TempFolder;
let ground: Ground;
test.before(async () => {
  state = await tempFolder();
  ground = await Ground.start({ state: state.path });
  await mkdir(ground.served('inside'));
  await writeFile(ground.served('inside', 'file'), 'inside');
  await writeFile(ground.served('file'), 'outside');
});
test.after.always(async () => {
  await ground.end();
  await state.remove();
});

async function tokenWith(name: string, ...allowed: string[]): Promise<Buffer> {
  const add = ['token', 'add', name, '--state', state.path];
  const { code, stdout } = await runFerryd([...add, ...allowed]);
  if (code !== 0) throw new Error(`ferryd token add ended with ${code}.`);
  return tokenBytes(stdout.trim());
}

/** A request of each kind for `path`, with what it takes. */
const requests = (
  path: string,
): readonly (readonly ['read' | 'write' | 'delete', FrameName, Buffer])[] => [
  ['read', 'list', bodies.listing(path)],
  ['read', 'stat', bodies.stat(path)],
  ['read', 'checksums', bodies.checksums(`${path}/file`)],
  ['read', 'verify', bodies.verify(path, ['file'])],
  ['read', 'download', bodies.download(`${path}/file`)],
  ['write', 'mkdir', bodies.mkdir(`${path}/made`)],
  ['write', 'offer', bodies.offer({ path: `${path}/new`, size: 5 })],
  ['write', 'offers', bodies.offers(path, [{ path: 'small', size: 1 }])],
  ['delete', 'remove', bodies.remove(`${path}/file`)],
  ['delete', 'rename', bodies.rename(`${path}/file`, `${path}/moved`)],
];

test.serial('a token does what it allows, and no step more', async (t) => {
  const reader = await tokenWith('reader', '--scope', 'read');
  const within = ['--scope', 'read,write,delete', '--prefix', 'inside'];
  const insider = await tokenWith('insider', ...within);
  await ground.stands(t, async () => {
    const peer = await ground.peer({ token: reader });
    for (const [needs, name, body] of requests('inside')) {
      const request = peer.open(name, body);
      if (needs === 'read') {
        await peer.next(['entries', 'entry', 'sums', 'digests', 'offer'], request);
        if (name === 'download') peer.say('cancel', request);
        continue;
      }
      const { code, message } = bodies.readError(await peer.next('error', request));
      t.is(code, failures.permission, `${name}: ${message}`);
    }
    const stepped = await ground.peer({ token: insider });
    t.is((await stepped.next('entry', stepped.open('stat', bodies.stat('inside')))).request, 1);
    for (const path of ['outside', 'inside2', 'insid', 'Inside']) {
      for (const [, name, body] of requests(path)) {
        const request = stepped.open(name, body);
        const { code } = bodies.readError(await stepped.next('error', request));
        t.is(code, failures.permission, `${name} of ${path}`);
      }
    }
    const moves = [
      bodies.rename('inside/file', 'moved'),
      bodies.rename('file', 'inside/moved'),
      bodies.rename('inside', 'elsewhere'),
    ];
    for (const body of moves) {
      const request = stepped.open('rename', body);
      t.is(bodies.readError(await stepped.next('error', request)).code, failures.permission);
    }
    t.is(
      bodies.readError(await stepped.next('error', stepped.open('remove', bodies.remove('inside'))))
        .code,
      failures.permission,
    );
  });
});
