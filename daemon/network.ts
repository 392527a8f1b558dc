/** Whose an address is, as far as it tells. */
import { isIPv6 } from 'node:net';

const groups = 8;
const networkGroups = 4;

/**
 * What one host may have of its own: an IPv4 address, or the /64 of an IPv6 one, in which a host takes
 * as many addresses as it likes. `address` is as a socket tells it, without a zone.
 */
export function networkOf(address: string): string {
  if (!isIPv6(address)) return address;
  const [before = '', after] = address.split('::');
  const parts = before.split(':');
  if (after !== undefined) {
    const last = after.split(':');
    while (parts.length + last.length < groups) parts.push('0');
    parts.push(...last);
  }
  const network = parts.slice(0, networkGroups).map((part) => part || '0');
  return `${network.join(':')}::/64`;
}
