import { BlockList, isIP } from 'node:net';

/** `never`: no setting makes a peer of it. */
export type AddressKind = 'public' | 'private' | 'loopback' | 'never';

/**
 * The special-purpose addresses of IANA's two registries and those that the address architectures reserve besides them. Addresses in
 * none of them are public, in IPv6 only within 2000::/3, the one block of global unicast in use.
 */
export const SPECIAL_ADDRESSES: readonly (readonly [
  range: string,
  kind: Exclude<AddressKind, 'public'>,
  what: string,
])[] = [
  ['0.0.0.0/8', 'never', 'this network, and the unspecified address: RFC 791, RFC 1122'],
  ['10.0.0.0/8', 'private', 'private use: RFC 1918'],
  ['100.64.0.0/10', 'private', 'shared address space behind a provider’s NAT: RFC 6598'],
  ['127.0.0.0/8', 'loopback', 'loopback: RFC 1122'],
  ['169.254.0.0/16', 'never', 'link-local, where clouds keep their metadata services: RFC 3927'],
  ['172.16.0.0/12', 'private', 'private use: RFC 1918'],
  ['192.0.0.0/24', 'never', 'protocol assignments: RFC 6890'],
  ['192.0.2.0/24', 'never', 'documentation: RFC 5737'],
  ['192.31.196.0/24', 'never', 'AS112: RFC 7535'],
  ['192.52.193.0/24', 'never', 'multicast tunnels: RFC 7450'],
  ['192.88.99.0/24', 'never', '6to4 relays: RFC 7526'],
  ['192.168.0.0/16', 'private', 'private use: RFC 1918'],
  ['192.175.48.0/24', 'never', 'AS112: RFC 7534'],
  ['198.18.0.0/15', 'never', 'benchmarks: RFC 2544'],
  ['198.51.100.0/24', 'never', 'documentation: RFC 5737'],
  ['203.0.113.0/24', 'never', 'documentation: RFC 5737'],
  ['224.0.0.0/4', 'never', 'multicast: RFC 5771'],
  ['240.0.0.0/4', 'never', 'reserved, and limited broadcast: RFC 1112, RFC 8190'],
  ['::/128', 'never', 'the unspecified address: RFC 4291'],
  ['::1/128', 'loopback', 'loopback: RFC 4291'],
  ['::/96', 'never', 'IPv4-compatible: RFC 4291'],
  ['::ffff:0:0/96', 'never', 'IPv4-mapped, which no peer is told by: RFC 4291'],
  ['::ffff:0:0:0/96', 'never', 'IPv4-translated: RFC 2765'],
  ['64:ff9b::/96', 'never', 'NAT64: RFC 6052'],
  ['64:ff9b:1::/48', 'never', 'local NAT64: RFC 8215'],
  ['100::/64', 'never', 'discard: RFC 6666'],
  ['100:0:0:1::/64', 'never', 'dummy prefix: RFC 9780'],
  [
    '2001::/23',
    'never',
    'protocol assignments, with Teredo, benchmarks and ORCHID: RFC 2928, RFC 4380, RFC 5180, RFC 7343',
  ],
  ['2001:db8::/32', 'never', 'documentation: RFC 3849'],
  ['2002::/16', 'never', '6to4, which can hide an IPv4 address: RFC 3056'],
  ['2620:4f:8000::/48', 'never', 'AS112: RFC 7534'],
  ['3ffe::/16', 'never', 'the 6bone, given back: RFC 3701'],
  ['3fff::/20', 'never', 'documentation: RFC 9637'],
  ['5f00::/16', 'never', 'segment routing: RFC 9602'],
  ['fc00::/7', 'private', 'unique local: RFC 4193'],
  ['fe80::/10', 'never', 'link-local: RFC 4291'],
  ['fec0::/10', 'never', 'site-local: RFC 3879'],
  ['ff00::/8', 'never', 'multicast: RFC 4291'],
];

type Family = 'ipv4' | 'ipv6';
const GLOBAL_UNICAST = '2000::/3';

/** One list for each family and kind: an IPv4 rule must not answer for a mapped address. */
function listed(family: Family, ranges: readonly string[]): BlockList {
  const list = new BlockList();
  for (const range of ranges) {
    const [network = '', bits] = range.split('/');
    if (familyOf(network) === family) list.addSubnet(network, Number(bits), family);
  }
  return list;
}

const familyOf = (address: string): Family => (address.includes(':') ? 'ipv6' : 'ipv4');

function rangesOf(kind: AddressKind): string[] {
  return SPECIAL_ADDRESSES.filter((each) => each[1] === kind).map(([range]) => range);
}

function tables(family: Family): readonly (readonly [AddressKind, BlockList])[] {
  // Loopback first: ::1 lies among the IPv4-compatible ones.
  return (['loopback', 'private', 'never'] as const).map((kind) => [kind, listed(family, rangesOf(kind))]);
}

const TABLES = { ipv4: tables('ipv4'), ipv6: tables('ipv6') };
const GLOBAL = listed('ipv6', [GLOBAL_UNICAST]);

/**
 * The class of an IP address in text form; `never` for anything else, and for one with a zone, which only link-local addresses have.
 */
export function kindOf(address: string): AddressKind {
  if (isIP(address) === 0 || address.includes('%')) return 'never';
  const family = familyOf(address);
  const found = TABLES[family].find(([, list]) => list.check(address, family));
  if (found !== undefined) return found[0];
  return family === 'ipv4' || GLOBAL.check(address, family) ? 'public' : 'never';
}
