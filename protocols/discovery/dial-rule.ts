import { isIP } from 'node:net';
import { multiaddr, type Multiaddr } from '@multiformats/multiaddr';
import { type AddressPolicy, type NamedBy, refusalOf } from '../wire/address-policy.ts';

/** Whether a multiaddr may be kept and dialled, and what a name in one may lead to. */
export interface DialRule {
  /** `peerId` where it is known to whom the address is said to belong. */
  mayDial(address: Multiaddr, peerId: string | undefined): boolean;
  /** Why a connection to `ip`, which this name has led to, may not be made; undefined when it may. */
  nameRefusal(name: string, ip: string): string | undefined;
  /** Adds addresses to those the operator wrote down. */
  name(addresses: readonly string[]): void;
}

/** Addresses of the operator's that are kept; settings and peer URLs together have far fewer. */
const MOST_NAMED = 2048;

/**
 * The rule for everything that leads to a libp2p dial: bootstrap, registration, identify, peer exchange, DHT, mDNS. A name can
 * lead anywhere, our own network included: names are taken of the operator, of registered peers, or where private addresses are
 * allowed anyway, and the addresses they resolve to are checked once more inside the connection. `operators`: multiaddrs with or without `/p2p/…`.
 */
export function createDialRule(
  policy: AddressPolicy,
  isRegistered: (peerId: string) => boolean,
  operators: readonly string[],
): DialRule {
  const named = new Set<string>();
  const names = new Set<string>();

  function note(text: string): void {
    const address = parsed(text);
    if (address === undefined || named.size >= MOST_NAMED) return;
    named.add(bareAddress(address.toString()));
    const [first] = address.getComponents();
    if (first?.name.startsWith('dns') === true && first.value !== undefined)
      names.add(first.value.toLowerCase());
  }

  for (const text of operators) note(text);
  return {
    mayDial: (address, peerId) =>
      named.has(bareAddress(address.toString())) ||
      addressAllowed(address, policy, peerId !== undefined && isRegistered(peerId) ? 'known' : 'stranger'),
    // Only names of the operator or of a registered peer get this far, unless all is allowed.
    nameRefusal: (name, ip) =>
      refusalOf(ip, 'libp2p', policy, names.has(name.toLowerCase()) ? 'operator' : 'known'),
    name: (addresses) => addresses.forEach(note),
  };
}

/**
 * Whether an address received from others may be dialled: TCP, and every host in it (including a relay's) allowed by the policy.
 * Unix sockets, which the transport would dial, are not.
 */
export function addressAllowed(address: Multiaddr, policy: AddressPolicy, by: NamedBy): boolean {
  const parts = address.getComponents();
  const hosts = parts.filter(({ name }) => name.startsWith('ip') || name.startsWith('dns'));
  const [first] = parts;
  if (first === undefined || first !== hosts[0]) return false;
  const ports = parts.filter(({ name }) => name === 'tcp');
  if (ports.length === 0 || ports.some(({ value }) => Number(value) === 0)) return false;
  return hosts.every(({ name, value = '' }) => {
    if (name.startsWith('dns')) return by !== 'stranger' || policy.allowPrivate;
    return isIP(value) !== 0 && refusalOf(value, 'libp2p', policy, by) === undefined;
  });
}

/** A multiaddr without the id of the peer it leads to. */
export function bareAddress(address: string): string {
  return address.replace(/\/p2p\/[^/]+$/, '');
}

function parsed(text: string): Multiaddr | undefined {
  try {
    return multiaddr(text);
  } catch {
    return undefined; // what is no multiaddr is dialled by nobody
  }
}
