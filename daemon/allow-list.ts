/**
 * Which addresses may connect at all: `192.168.1.0/24`, `2001:db8::/32`, or single ones. Without a rule
 * everyone may; a rule that is not understood is an error, never one that is left out.
 */
import { BlockList, isIPv4, isIPv6, SocketAddress } from 'node:net';
import { InvalidArgumentError } from 'commander';

interface Plain {
  readonly family: 'ipv4' | 'ipv6';
  readonly address: string;
  /** An IPv4 address that was written as an IPv6 one (RFC 4291, 2.5.5.2). */
  readonly isMapped: boolean;
}

interface Rule extends Plain {
  readonly prefix: number;
}

const bits = { ipv4: 32, ipv6: 128 } as const;
const mappedBits = 96;

/** The one form of an address that has several; undefined for what is none. */
function plainOf(text: string): Plain | undefined {
  if (isIPv4(text)) return { family: 'ipv4', address: text, isMapped: false };
  // A zone (fe80::1%eth0) names an interface of this machine, and no address.
  if (!isIPv6(text) || text.includes('%')) return undefined;
  const { address } = new SocketAddress({ address: text, family: 'ipv6' });
  const ipv4 = address.replace(/^::ffff:/, '');
  return isIPv4(ipv4)
    ? { family: 'ipv4', address: ipv4, isMapped: true }
    : { family: 'ipv6', address, isMapped: false };
}

/** An address, or a range in CIDR notation. Throws InvalidArgumentError. */
function parseRule(text: string): Rule {
  const [, address = '', length] = /^([^/]*)(?:\/(0|[1-9]\d{0,2}))?$/.exec(text) ?? [];
  const plain = plainOf(address);
  if (plain !== undefined) {
    const most = bits[plain.family];
    const prefix = length === undefined ? most : Number(length) - (plain.isMapped ? mappedBits : 0);
    if (prefix >= 0 && prefix <= most) return { ...plain, prefix };
  }
  throw new InvalidArgumentError(
    'Write an address, or a range in CIDR notation: 192.168.1.0/24, 2001:db8::/32.',
  );
}

/** `text`, which must be a rule. Throws InvalidArgumentError. */
export function checkRule(text: string): string {
  parseRule(text);
  return text;
}

export class AllowList {
  // Of each family its own: ::/0 is about IPv6, and must not let in all of IPv4.
  readonly #rules = { ipv4: new BlockList(), ipv6: new BlockList() };
  readonly #isEmpty: boolean;

  /** Throws InvalidArgumentError for a malformed rule. */
  constructor(rules: readonly string[]) {
    this.#isEmpty = rules.length === 0;
    for (const { family, address, prefix } of rules.map(parseRule)) {
      this.#rules[family].addSubnet(address, prefix, family);
    }
  }

  /** Whether `address`, as a socket tells it, may connect. What is no address may not. */
  allows(address: string): boolean {
    if (this.#isEmpty) return true;
    const plain = plainOf(address.replace(/%.*$/, ''));
    return plain !== undefined && this.#rules[plain.family].check(plain.address, plain.family);
  }
}
