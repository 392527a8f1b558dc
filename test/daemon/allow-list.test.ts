/** Which addresses rules let in. */
import test from 'ava';
import { InvalidArgumentError } from 'commander';
import fc from 'fast-check';
import { AllowList } from '../../daemon/allow-list.ts';

const allows = (rules: string[], address: string): boolean => new AllowList(rules).allows(address);

test('without a rule everyone may connect', (t) => {
  for (const address of ['1.2.3.4', '::1', 'unknown']) t.true(allows([], address), address);
});

test('IPv4 ranges, as plain arithmetic has it, however the address arrives', (t) => {
  const bits = (octets: readonly number[]): string =>
    octets.map((octet) => octet.toString(2).padStart(8, '0')).join('');
  const octets = fc.array(fc.nat(255), { minLength: 4, maxLength: 4 });
  // Near the network, or nearly nothing would match.
  const cases = octets.chain((network) =>
    fc.record({
      network: fc.constant(network),
      prefix: fc.nat(32),
      address: fc.tuple(...network.map((octet) => fc.oneof(fc.constant(octet), fc.nat(255)))),
    }),
  );
  let inside = 0;
  fc.assert(
    fc.property(cases, ({ network, prefix, address }) => {
      const expected = bits(network).slice(0, prefix) === bits(address).slice(0, prefix);
      if (expected) inside += 1;
      const rules = [
        `${network.join('.')}/${prefix}`,
        `::ffff:${network.join('.')}/${prefix + 96}`,
      ];
      const [a = 0, b = 0, c = 0, d = 0] = address;
      const hex = `::ffff:${(a * 256 + b).toString(16)}:${(c * 256 + d).toString(16)}`;
      for (const rule of rules) {
        for (const written of [address.join('.'), `::ffff:${address.join('.')}`, hex]) {
          t.is(allows([rule], written), expected, `${rule} ${written}`);
        }
      }
    }),
    { numRuns: 500 },
  );
  t.true(inside > 20, `${inside} inside`);
});

test('IPv6 ranges, as plain arithmetic has it', (t) => {
  const bits = (groups: readonly number[]): string =>
    groups.map((group) => group.toString(2).padStart(16, '0')).join('');
  const group = fc.integer({ min: 1, max: 0xffff });
  const groups = fc.array(group, { minLength: 8, maxLength: 8 });
  const cases = groups.chain((network) =>
    fc.record({
      network: fc.constant(network),
      prefix: fc.nat(128),
      address: fc.tuple(...network.map((part) => fc.oneof(fc.constant(part), group))),
    }),
  );
  const text = (parts: readonly number[]): string =>
    parts.map((part) => part.toString(16)).join(':');
  fc.assert(
    fc.property(cases, ({ network, prefix, address }) => {
      const expected = bits(network).slice(0, prefix) === bits(address).slice(0, prefix);
      t.is(allows([`${text(network)}/${prefix}`], text(address)), expected);
    }),
    { numRuns: 500 },
  );
});

test('each family has its own rules, and any of them lets in', (t) => {
  const rules = ['192.168.1.7', 'fe80::/10', '2001:DB8::1'];
  for (const address of ['192.168.1.7', '::ffff:192.168.1.7', 'fe80::5%eth0', '2001:db8:0::1']) {
    t.true(allows(rules, address), address);
  }
  for (const address of ['192.168.1.8', '2001:db8::2', '::1', '127.0.0.1', 'unknown', '']) {
    t.false(allows(rules, address), address);
  }
  t.false(allows(['::/0'], '10.0.0.1'), 'all of IPv6 is not all of IPv4');
  t.false(allows(['::/0'], '::ffff:10.0.0.1'));
  t.false(allows(['0.0.0.0/0'], '2001:db8::1'));
  t.false(allows(['::10.0.0.1'], '10.0.0.1'), 'an old form, which no socket tells');
});

test('a malformed rule is an error, among good ones too', (t) => {
  const malformed = [
    '',
    'localhost',
    '10.0.0.0/33',
    '10.0.0.0/-1',
    '10.0.0.0/08',
    '10.0.0.0/',
    '10.0.0.0/8/8',
    '10.0.0/8',
    '010.0.0.1',
    '10.0.0.256',
    '::/129',
    '::1::',
    'fe80::1%eth0',
    'fe80::%eth0/64',
    '::ffff:10.0.0.0/95',
    ' 10.0.0.0/8',
    '10.0.0.0/8 ',
    '10.0.0.0/255.0.0.0',
    '*',
  ];
  for (const rule of malformed) {
    t.throws(() => new AllowList(['::1', rule]), { instanceOf: InvalidArgumentError }, rule);
  }
});
