import { isIPv6 } from 'node:net';
import type { Context } from 'hono';
import { getConnInfo } from '@hono/node-server/conninfo';

/**
 * The address that counts as one caller: an IPv4 address, or the /64 of an IPv6 one, of which a single caller has all. A mapped IPv4
 * address is the IPv4 address.
 */
export function addressGroup(address: string): string {
  const bare = (address.split('%', 1)[0] ?? '').toLowerCase();
  if (bare.startsWith('::ffff:') && bare.includes('.')) return bare.slice(7);
  if (!isIPv6(bare) || bare === '::1') return bare;
  const [head = '', tail] = bare.split('::');
  const groups = head === '' ? [] : head.split(':');
  if (tail !== undefined) {
    const rest = tail === '' ? 0 : tail.split(':').length;
    while (groups.length < 4 && groups.length + rest < 8) groups.push('0');
    if (tail !== '') groups.push(...tail.split(':'));
  }
  return `${groups
    .slice(0, 4)
    .map((group) => group.replace(/^0+(?=.)/, ''))
    .join(':')}::/64`;
}

export function isLoopback(address: string): boolean {
  const group = addressGroup(address);
  return group === '::1' || group.startsWith('127.');
}

/**
 * The caller's address group, or undefined for a request without a socket. Behind a proxy on loopback (TRUST_PROXY) it is the last
 * of X-Forwarded-For: the only one that the proxy itself has written.
 */
export function callerAddress(c: Context, trustProxy: boolean): string | undefined {
  // `app.request()` has no socket, and then no bindings of the server.
  const bindings: unknown = c.env;
  if (typeof bindings !== 'object' || bindings === null || !('incoming' in bindings)) return undefined;
  const { address } = getConnInfo(c).remote;
  if (address === undefined) return undefined;
  if (trustProxy && isLoopback(address)) {
    const last = c.req.header('x-forwarded-for')?.split(',').at(-1)?.trim();
    if (last !== undefined && last !== '' && last.length <= 64) return addressGroup(last);
  }
  return addressGroup(address);
}
