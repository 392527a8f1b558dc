import test from 'ava';
import { onlyPortableNames, portableFault } from '../../daemon/portable-names.ts';
import { TransferError } from '../../protocol/errors.ts';
import { MemoryStorage } from '../../transfer/memory-storage.ts';
import { smallFile } from '../transfer/helpers/files.ts';

const refused: Readonly<Record<string, RegExp>> = {
  CON: /device/,
  'com1.log': /device/,
  'aux.c': /device/,
  'nul.tar.gz': /device/,
  'NUL .txt': /device/,
  Conin$: /device/,
  'lpt9.': /dot or a space/,
  'COM¹': /device/,
  'dot.': /dot or a space/,
  'space ': /dot or a space/,
  ' ': /dot or a space/,
  '...': /dot or a space/,
  'C:\\file': /contains :/,
  'back\\slash': /contains \\/,
  'new\nline': /invisible/,
  '\u001b[2J': /invisible/,
  '\u007f': /invisible/,
  '\u202egnp.exe': /invisible/,
  'zero\u200bwidth': /invisible/,
  ...Object.fromEntries('<>:"|?*\\'.split('').map((one) => [`a${one}b`, /contains/])),
};
const taken = [
  '',
  '.hidden',
  ' leading',
  'CONSOLE',
  'com10',
  'com',
  'auxiliary.c',
  'a.CON',
  'nul-and-void',
  'a b.c',
  "it's (50%) [a] {b} #&;~$!@^+=,",
  'é'.normalize('NFD'),
  'é'.normalize('NFC'),
  '\u{1f4a9}',
];

test('what Windows or macOS cannot hold is told by its reason, all else passes', (t) => {
  for (const [name, reason] of Object.entries(refused)) t.regex(portableFault(name) ?? '', reason);
  for (const name of taken) t.is(portableFault(name), undefined, name);
});

test('nothing gets such a name; what has one can be read, and leave it', async (t) => {
  const inner = new MemoryStorage();
  const storage = onlyPortableNames(inner);
  const offer = {
    size: 1,
    mtimeNs: 0n,
    mode: 0o644,
    identity: new Uint8Array(),
    chunkBytes: 65_536,
    rewindable: true,
  };
  await inner.mkdir('CON/below', true);
  await inner.putSmall('', [smallFile('aux.c', 'x')]);
  for (const path of ['nul', 'good/nul', 'CON/good']) {
    for (const work of [
      storage.mkdir(path, true),
      storage.rename('aux.c', path),
      storage.openSink(path, offer, false),
    ]) {
      const error = await t.throwsAsync(work, { instanceOf: TransferError });
      t.is(error?.failure, 'bad-path');
      t.regex(error?.message ?? '', /\(portable-names\)/);
    }
  }
  t.is((await storage.stat('CON/below')).kind, 'directory');
  t.is((await storage.openSource('aux.c')).size, 1);
  t.false((await storage.readSmall('', ['aux.c']))[0] instanceof TransferError);
  await storage.rename('aux.c', 'auxiliary.c');
  await storage.remove('CON', true);
});

test('of a page the portable files are stored, and errors keep their places', async (t) => {
  const inner = new MemoryStorage();
  const storage = onlyPortableNames(inner);
  const files = ['a', 'b?', 'c', 'com1'].map((path) => smallFile(path, path));
  const results = await storage.putSmall('base', files);
  t.deepEqual(
    results.map((result) => result?.failure),
    [undefined, 'bad-path', undefined, 'bad-path'],
  );
  t.is((await inner.stat('base/c')).size, 1);
  const none = await storage.putSmall('base.', files.slice(0, 1));
  t.is(none[0]?.failure, 'bad-path');
  await t.throwsAsync(inner.stat('base.'));
});

test('what is no path at all is refused as that', async (t) => {
  const storage = onlyPortableNames(new MemoryStorage());
  await t.throwsAsync(storage.mkdir('a/..', false), { message: /component "\.\."/ });
});
