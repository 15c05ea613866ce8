import { isIP } from 'node:net';
import { AgrinetError } from '../../protocols/errors.ts';
import { type AddressPolicy, refusalOf } from '../../protocols/wire/address-policy.ts';

/** Why an address may not be asked over this protocol of a URL, or undefined when it may. */
export function urlRefusal(address: string, protocol: string, policy: AddressPolicy): string | undefined {
  // URLs come with a key or from the operator.
  return refusalOf(address, protocol === 'https:' ? 'https' : 'http', policy, 'known');
}

/** The host of a URL without the brackets of IPv6. */
export function bareHost(url: URL): string {
  return url.hostname.replace(/^\[(.*)\]$/, '$1');
}

/**
 * Reads the URL of a peer; decimal, octal and hexadecimal hosts are normalised first. A name is checked later, by what
 * it resolves to inside the connection. Throws `address-refused`.
 */
export function peerUrl(text: string, policy: AddressPolicy): URL {
  const refused = (why: string): AgrinetError => new AgrinetError('address-refused', `url: ${why}`);
  const url = text.length > 2048 ? null : URL.parse(text);
  if (url === null) throw refused('not a URL such as https://node.example.org');
  if (url.protocol !== 'http:' && url.protocol !== 'https:')
    throw refused('it must start with https:// (or http://)');
  if (url.username !== '' || url.password !== '')
    throw refused('it must not contain a user name or password');
  const host = bareHost(url);
  if (host === '') throw refused('it has no host');
  const why = isIP(host) === 0 ? undefined : urlRefusal(host, url.protocol, policy);
  if (why !== undefined) throw refused(`${host} ${why}`);
  return url;
}
