import test from 'ava';
import fc from 'fast-check';
import { FerryError } from '../../protocol/errors.ts';
import { newToken } from '../../transfer/authentication.ts';
import { type Link, linkText, parseLink, remoteName } from '../../transfer/link.ts';

const bytes32 = fc.uint8Array({ minLength: 32, maxLength: 32 });
const host = fc.oneof(
  fc.ipV4(),
  fc.ipV6().filter((address) => !address.includes('.')),
  fc.constantFrom('nas', 'nas.local', 'a-b.example.org'),
);
const links: fc.Arbitrary<Link> = fc
  .record({
    secure: fc.boolean(),
    hosts: fc.array(host, { minLength: 1, maxLength: 8 }),
    port: fc.integer({ min: 1, max: 65_535 }),
    token: bytes32,
    pin: bytes32,
    name: fc.constantFrom('nas', 'my-nas', 'vm2'),
  })
  .map(({ secure, pin, ...rest }) =>
    secure ? { scheme: 'ferry', pin, ...rest } : { scheme: 'ferry+tcp', pin: undefined, ...rest },
  );

test('a link is read as it is written, and is one word that shells leave alone', (t) => {
  fc.assert(
    fc.property(links, (link) => {
      const text = linkText(link);
      t.deepEqual(parseLink(` ${text}\n`), link);
      return /^[\w.,:+/#[\]-]+$/.test(text);
    }),
  );
});

test('what is no whole link is refused, and nothing of it is repeated', (t) => {
  fc.assert(
    fc.property(links, fc.nat(), (link, at) => {
      const text = linkText(link);
      const cut = text.slice(0, at % text.lastIndexOf('.'));
      const error = t.throws(() => parseLink(cut), { instanceOf: FerryError });
      return error.failure === 'usage' && !/ferry_/.test(error.message);
    }),
  );
  const good = linkText({
    scheme: 'ferry',
    hosts: ['nas'],
    port: 7873,
    token: newToken(),
    pin: new Uint8Array(32),
    name: 'nas',
  });
  for (const bad of [
    good.replace('ferry:', 'ferry+tcp:'),
    good.replace(':7873', ':0'),
    good.replace(':7873', ':70000'),
    good.replace('//nas', '//n as'),
    good.replace('//nas', '//-nas'),
    good.replace('//nas', `//${Array.from({ length: 33 }, () => 'nas').join(',')}`),
    `${good}.x`,
  ]) {
    t.throws(() => parseLink(bad), { instanceOf: FerryError }, bad);
  }
});

test('a host name becomes the name of a remote', (t) => {
  t.is(remoteName('NAS.local'), 'nas');
  t.is(remoteName("Ann's MacBook"), 'ann-s-macbook');
  t.is(remoteName('x'), 'ferryd');
  t.is(remoteName('…'), 'ferryd');
  t.true(remoteName('a'.repeat(300)).length <= 63);
});
