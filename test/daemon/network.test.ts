import { BlockList, SocketAddress } from 'node:net';
import test from 'ava';
import fc from 'fast-check';
import { networkOf } from '../../daemon/network.ts';

test('an IPv4 address, and what is none, is a network of its own', (t) => {
  t.is(networkOf('192.0.2.1'), '192.0.2.1');
  t.is(networkOf('unknown'), 'unknown');
});

test('IPv6 addresses have a network together when they share 64 bits', (t) => {
  // Few values, so that zeros are many and groups agree.
  const group = fc.constantFrom('0', '0', '1', 'ab12');
  const address = fc
    .array(group, { minLength: 8, maxLength: 8 })
    .map((parts) => new SocketAddress({ address: parts.join(':'), family: 'ipv6' }).address);
  fc.assert(
    fc.property(address, address, (a, b) => {
      const list = new BlockList();
      list.addSubnet(a, 64, 'ipv6');
      t.is(networkOf(a) === networkOf(b), list.check(b, 'ipv6'), `${a} ${b}`);
    }),
    { numRuns: 2_000 },
  );
  for (const text of ['::', '::1', '1::', '1::2:3:4:5:6:7', '1:2:3:4:5:6:7::', '::2:3:4:5:6:7:8']) {
    const list = new BlockList();
    list.addSubnet(text, 64, 'ipv6');
    t.true(list.check(networkOf(text).replace('/64', ''), 'ipv6'), text);
  }
});
