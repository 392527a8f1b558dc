import test from 'ava';
import fc from 'fast-check';
import {
  isRemote,
  isSameDaemon,
  parseRemote,
  parseRemotePath,
  remoteText,
  requireLocal,
  requireRemote,
} from '../../client/remote.ts';
import { FerryError } from '../../protocol/errors.ts';

const good: readonly (readonly [string, string, number, string, boolean])[] = [
  ['ferry+tcp://nas', 'nas', 7873, '', true],
  ['ferry+tcp://nas/', 'nas', 7873, '', true],
  ['ferry+tcp://nas/a', 'nas', 7873, 'a', false],
  ['ferry+tcp://nas/a/', 'nas', 7873, 'a', true],
  ['ferry+tcp://nas//a//', 'nas', 7873, 'a', true],
  ['ferry+tcp://nas:1/a', 'nas', 1, 'a', false],
  ['ferry+tcp://nas:65535/a', 'nas', 65535, 'a', false],
  ['ferry+tcp://192.0.2.1:80/a', '192.0.2.1', 80, 'a', false],
  ['ferry+tcp://[::1]/a', '::1', 7873, 'a', false],
  ['ferry+tcp://[2001:db8::7]:9/a b', '2001:db8::7', 9, 'a b', false],
  ['ferry+tcp://[fe80::1%eth0]/a', 'fe80::1%eth0', 7873, 'a', false],
  ['ferry+tcp://nas/100%20?x=1#y', 'nas', 7873, '100%20?x=1#y', false],
  ['ferry+tcp://nas/new\nline', 'nas', 7873, 'new\nline', false],
  ['ferry+tcp://nas/a:b@c', 'nas', 7873, 'a:b@c', false],
];
for (const [text, host, port, path, isFolder] of good) {
  test(`${JSON.stringify(text)} is a remote`, (t) => {
    t.true(isRemote(text));
    t.deepEqual(parseRemote(text), { scheme: 'ferry+tcp', host, port, path, isFolder });
  });
}

test('ferry:// is the scheme with TLS', (t) => {
  t.is(parseRemote('ferry://nas/a').scheme, 'ferry');
});

const bad: readonly (readonly [string, RegExp])[] = [
  ['ferry+tcp://', /names no host/],
  ['ferry+tcp:///a', /names no host/],
  ['ferry+tcp://:7873/a', /names no host/],
  ['ferry+tcp://nas:/a', /port from 1 to 65535/],
  ['ferry+tcp://nas:0/a', /port from 1 to 65535/],
  ['ferry+tcp://nas:65536/a', /port from 1 to 65535/],
  ['ferry+tcp://nas:7873x/a', /port from 1 to 65535/],
  ['ferry+tcp://me@nas/a', /names a user/],
  ['ferry+tcp://::1/a', /brackets around its IPv6 address, as in \[::1\]/],
  ['ferry+tcp://[nas]/a', /no IPv6 address in its brackets/],
  ['ferry+tcp://[]/a', /no IPv6 address/],
  ['ferry+tcp://na s/a', /character that no host name has/],
  ['ferry+tcp://nas?x/a', /character that no host name has/],
  ['ferry+tcp://nas\u001b[2J/a', /character that no host name has/],
  ['ferry+tcp://nas/a/../b', /component "\.\."/],
  ['ferry+tcp://nas/a//b', /empty component/],
  ['ferry+tcp://nas/.chunkferry/x', /staging/],
  ['ferry+tcp://nas/a\0', /NUL/],
  [`ferry+tcp://nas/${'x'.repeat(256)}`, /longer than 255/],
];
for (const [text, why] of bad) {
  test(`${JSON.stringify(text.slice(0, 40))} is refused with its reason`, (t) => {
    const error = t.throws(() => parseRemote(text), { instanceOf: FerryError });
    t.is(error?.failure, 'usage');
    t.is(error?.exitCode, 2);
    t.regex(error?.message ?? '', why);
    t.notRegex(error?.message ?? '', /[\0\u001b]/);
  });
}

for (const text of [
  '-',
  './-',
  './a:b',
  'a:b',
  '/a',
  'a b',
  'ferry:/a',
  './ferry+tcp://x',
  'C:\\x',
]) {
  test(`${text} is local`, (t) => {
    t.false(isRemote(text));
    t.is(requireLocal(text), text);
  });
}

test('a slip is not taken for a local file', (t) => {
  for (const text of ['http://nas/a', 'FERRY+TCP://nas/a', 'ferrytcp://nas/a', '']) {
    t.throws(() => requireLocal(text), { instanceOf: FerryError });
  }
  t.throws(() => requireLocal('ferry+tcp://nas/a'), { message: /is a remote where a local path/ });
});

test('what is written as for scp or rsync is told how to write it', (t) => {
  const meant = /did you mean "ferry:\/\/nas\/a\/b"\?/;
  for (const text of ['nas:/a/b', 'nas:a/b', 'nas::a/b', 'me@nas:/a/b']) {
    t.throws(() => requireRemote(text), { message: meant });
  }
  t.throws(() => requireRemote('http://nas/a'), { message: /did you mean "ferry:\/\/nas\/a"\?/ });
  t.throws(() => requireRemote('C:\\a'), { message: /is not a remote: write it as/ });
  t.throws(() => requireRemote('a/b'), { message: /is not a remote: write it as/ });
});

const component = fc
  .string({ minLength: 1, maxLength: 20, unit: 'grapheme' })
  .filter((text) => !/[/\0]/.test(text) && !['.', '..', '.chunkferry'].includes(text));

test('every path of valid components is taken literally, and written as it is read', (t) => {
  const host = fc.constantFrom('nas', '192.0.2.1', '::1', 'a-b.example');
  const port = fc.integer({ min: 1, max: 65_535 });
  const path = fc.array(component, { maxLength: 5 }).map((parts) => parts.join('/'));
  fc.assert(
    fc.property(host, port, path, fc.boolean(), (host, port, path, slash) => {
      const isFolder = slash || path === '';
      const remote = { scheme: 'ferry+tcp', host, port, path, isFolder } as const;
      t.deepEqual(parseRemote(remoteText(remote)), remote);
    }),
  );
});

test('garbage is a remote or a usage error', (t) => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary' }), (text) => {
      try {
        parseRemote(`ferry+tcp://${text}`);
      } catch (error) {
        t.is((error as FerryError).failure, 'usage');
      }
    }),
  );
  t.pass();
});

test('a path alone is read by the same rules', (t) => {
  t.deepEqual(parseRemotePath('/a/b/'), { path: 'a/b', isFolder: true });
  t.deepEqual(parseRemotePath('/'), { path: '', isFolder: true });
});

test('daemons are the same by scheme, host and port', (t) => {
  const one = parseRemote('ferry+tcp://nas/a');
  t.true(isSameDaemon(one, parseRemote('ferry+tcp://nas:7873/b')));
  for (const other of ['ferry+tcp://nas:1/a', 'ferry+tcp://mas/a', 'ferry://nas/a']) {
    t.false(isSameDaemon(one, parseRemote(other)));
  }
});
