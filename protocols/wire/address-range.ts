import { kindOf } from './special-addresses.ts';

/** The network that an address counts as one crowd with. */
export interface AddressRange {
  readonly name: string;
  /** Not for loopback and private addresses: a whole network may be behind one proxy there. */
  readonly limited: boolean;
}

/** /24 of IPv4, /48 of IPv6 (what one subscriber may get); a loopback or private address by itself. */
export function rangeOf(address: string): AddressRange {
  const mapped = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i.exec(address)?.[1];
  const plain = mapped ?? address;
  const limited = kindOf(plain) === 'public';
  if (!limited) return { name: plain, limited };
  if (!plain.includes(':')) return { name: `${plain.split('.').slice(0, 3).join('.')}.0/24`, limited };
  return { name: `${groups(plain).slice(0, 3).join(':')}::/48`, limited };
}

/** The eight groups of an IPv6 address, of which the first three count here. */
function groups(address: string): string[] {
  const [head = '', tail] = address.toLowerCase().split('::');
  const left = head === '' ? [] : head.split(':');
  const right = tail === undefined || tail === '' ? [] : tail.split(':');
  const zeros = tail === undefined ? 0 : Math.max(0, 8 - left.length - right.length);
  const all = [...left, ...Array.from({ length: zeros }, () => '0'), ...right];
  return all.map((group) => group.replace(/^0+(?=.)/, ''));
}
