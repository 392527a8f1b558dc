import type { NetworkInterfaceInfo } from 'node:os';
import test from 'ava';
import { ownAddresses } from '../../daemon/link.ts';

const at = (address: string, internal = false): NetworkInterfaceInfo =>
  ({ address, internal }) as NetworkInterfaceInfo;

test('the addresses for others: no loopback, no link-local, no container’s bridge; IPv4 first', (t) => {
  const found = ownAddresses({
    lo: [at('127.0.0.1', true), at('::1', true)],
    eth0: [at('2001:db8::5'), at('fe80::1'), at('192.168.1.5')],
    wlan0: [at('169.254.3.4'), at('10.0.0.7')],
    docker0: [at('172.17.0.1')],
    'br-12ab': [at('172.18.0.1')],
    vethe1: [at('172.19.0.1')],
  });
  t.deepEqual(found, ['192.168.1.5', '10.0.0.7', '2001:db8::5']);
});
