import type { AddressPolicy } from '../../protocols/wire/address-policy.ts';
import { isLoopbackHost } from '../settings.ts';
import { bareHost, peerUrl } from './peer-addresses.ts';

/** The URL of a node in its one form: origin and path, without a slash at the end. Throws `address-refused`. */
export function baseUrl(text: string, policy: AddressPolicy): string {
  const url = peerUrl(text, policy);
  return (url.origin + url.pathname).replace(/\/+$/, '');
}

/** Whether two URLs are of one place; the names of loopback are one. */
export function samePlace(one: string, other: string): boolean {
  return placeOf(one) === placeOf(other);
}

function placeOf(text: string): string {
  const url = URL.parse(text);
  if (url === null) return text;
  const host = isLoopbackHost(bareHost(url)) ? 'loopback' : url.hostname;
  const port = url.port === '' ? (url.protocol === 'https:' ? '443' : '80') : url.port;
  return `${url.protocol}//${host}:${port}${url.pathname.replace(/\/+$/, '')}`;
}

/**
 * The URL this node gives to another: PUBLIC_URL, or where it listens when the other is on this machine too. Empty when
 * the other could not reach it.
 */
export function urlFor(target: string, own: { publicUrl: string | undefined; listening: string }): string {
  if (own.publicUrl !== undefined) return own.publicUrl;
  const url = URL.parse(own.listening);
  if (url === null) return '';
  const host = bareHost(url);
  const other = URL.parse(target);
  const near = other !== null && isLoopbackHost(bareHost(other));
  if (isLoopbackHost(host)) return near ? own.listening : '';
  return host === '0.0.0.0' || host === '::' ? '' : own.listening;
}
