import { BlockList, isIP } from 'node:net';
import { AgrinetError } from '../../protocols/errors.ts';

/** Which addresses a node may ask. */
export interface AddressPolicy {
  /** ALLOW_PRIVATE_PEERS: private ranges and loopback, and plain http to anywhere. */
  readonly allowPrivate: boolean;
  /** HOST is loopback: peers on this machine, over plain http too. */
  readonly allowLoopback?: boolean;
}

type Kind = 'public' | 'private' | 'loopback' | 'never';
type Subnet = readonly [network: string, bits: number];

function list(family: 'ipv4' | 'ipv6', subnets: readonly Subnet[]): BlockList {
  const out = new BlockList();
  for (const [network, bits] of subnets) out.addSubnet(network, bits, family);
  return out;
}

const LOOPBACK_4 = list('ipv4', [['127.0.0.0', 8]]);
const PRIVATE_4 = list('ipv4', [
  ['10.0.0.0', 8],
  ['100.64.0.0', 10],
  ['172.16.0.0', 12],
  ['192.168.0.0', 16],
]);
/** IANA's special-purpose registry: no setting makes a peer of these; link-local holds the clouds' metadata services. */
const NEVER_4 = list('ipv4', [
  ['0.0.0.0', 8],
  ['169.254.0.0', 16],
  ['192.0.0.0', 24],
  ['192.0.2.0', 24],
  ['192.88.99.0', 24],
  ['198.18.0.0', 15],
  ['198.51.100.0', 24],
  ['203.0.113.0', 24],
  ['224.0.0.0', 4],
  ['240.0.0.0', 4],
]);
const LOOPBACK_6 = list('ipv6', [['::1', 128]]);
const PRIVATE_6 = list('ipv6', [['fc00::', 7]]);
/** The only global unicast block. Mapped, translated (64:ff9b::/96), link-local and multicast addresses lie outside it. */
const GLOBAL_6 = list('ipv6', [['2000::', 3]]);
/** Inside it: protocol assignments with Teredo, documentation, 6to4, which can hide an IPv4 address. */
const NEVER_6 = list('ipv6', [
  ['2001::', 23],
  ['2001:db8::', 32],
  ['2002::', 16],
  ['3fff::', 20],
]);

function kindOf(address: string): Kind {
  switch (isIP(address)) {
    case 4:
      if (LOOPBACK_4.check(address, 'ipv4')) return 'loopback';
      if (PRIVATE_4.check(address, 'ipv4')) return 'private';
      return NEVER_4.check(address, 'ipv4') ? 'never' : 'public';
    case 6:
      // A zone belongs to link-local addresses only.
      if (address.includes('%')) return 'never';
      if (LOOPBACK_6.check(address, 'ipv6')) return 'loopback';
      if (PRIVATE_6.check(address, 'ipv6')) return 'private';
      return GLOBAL_6.check(address, 'ipv6') && !NEVER_6.check(address, 'ipv6') ? 'public' : 'never';
    default:
      return 'never';
  }
}

/** Why an address may not be asked over this protocol, or undefined when it may. */
export function refusalOf(address: string, protocol: string, policy: AddressPolicy): string | undefined {
  switch (kindOf(address)) {
    case 'never':
      return 'leads to no address of a peer';
    case 'private':
      return policy.allowPrivate
        ? undefined
        : 'is or leads to a private address; set ALLOW_PRIVATE_PEERS=on to allow it';
    case 'loopback':
      return policy.allowPrivate || policy.allowLoopback === true
        ? undefined
        : 'is or leads to this machine; set ALLOW_PRIVATE_PEERS=on to allow it';
    case 'public':
      return protocol === 'https:' || policy.allowPrivate
        ? undefined
        : 'is to be asked over https; ALLOW_PRIVATE_PEERS=on allows plain http';
  }
}

/** The host of a URL without the brackets of IPv6. */
export function bareHost(url: URL): string {
  return url.hostname.replace(/^\[(.*)\]$/, '$1');
}

/**
 * Reads the URL of a peer; decimal, octal and hexadecimal hosts are normalised first. A name is judged later, by what
 * it resolves to inside the connection. Throws `address-refused`.
 */
export function peerUrl(text: string, policy: AddressPolicy): URL {
  const refused = (why: string): AgrinetError => new AgrinetError('address-refused', `url: ${why}`);
  const url = text.length > 2048 ? null : URL.parse(text);
  if (url === null) throw refused('not a URL such as https://node.example.org');
  if (url.protocol !== 'http:' && url.protocol !== 'https:')
    throw refused('it starts with https:// (or http://)');
  if (url.username !== '' || url.password !== '') throw refused('it holds a user name or password');
  const host = bareHost(url);
  if (host === '') throw refused('it has no host');
  const why = isIP(host) === 0 ? undefined : refusalOf(host, url.protocol, policy);
  if (why !== undefined) throw refused(`${host} ${why}`);
  return url;
}

/** The origin of a peer's URL that an operator or a peer wrote. Throws `address-refused`. */
export function peerOrigin(text: string, policy: AddressPolicy): string {
  return peerUrl(text, policy).origin;
}
