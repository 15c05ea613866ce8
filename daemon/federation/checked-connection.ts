import { constants } from 'node:crypto';
import { connect as netConnect, isIP, type Socket } from 'node:net';
import { connect as tlsConnect, type TLSSocket } from 'node:tls';
import { AgrinetError } from '../../protocols/errors.ts';
import type { AddressPolicy } from '../../protocols/wire/address-policy.ts';
import { checkedLookup, type Resolve } from '../checked-lookup.ts';
import { bareHost, urlRefusal } from './peer-addresses.ts';

export interface ConnectionOptions {
  readonly policy: AddressPolicy;
  /** For tests; the system's otherwise. */
  readonly resolve?: Resolve | undefined;
  /** Certificates trusted instead of the system's, PEM; for tests. */
  readonly ca?: string | undefined;
  readonly pin?: string | undefined;
  readonly anyCertificate?: boolean | undefined;
}

/**
 * A connection whose address was checked in the very look-up it was made with: what a name leads to a moment later is
 * of no importance. Nothing is sent before the certificate was compared. The caller destroys `pending` to give up.
 * Throws `address-refused`, `certificate-changed`, `peer-unreachable`.
 */
export function checkedConnection(
  url: URL,
  { policy, resolve, ca, pin, anyCertificate = false }: ConnectionOptions,
): { readonly pending: Socket; readonly ready: Promise<{ socket: Socket; tlsFingerprint: string }> } {
  const host = bareHost(url);
  const secure = url.protocol === 'https:';
  const lookup = checkedLookup((_, address) => urlRefusal(address, url.protocol, policy), resolve);
  const port = Number(url.port === '' ? (secure ? 443 : 80) : url.port);
  const target = { host, port, lookup, noDelay: true };
  if (!secure) {
    const socket = netConnect(target);
    return {
      pending: socket,
      ready: whenConnected(socket, 'connect', () => ({ socket, tlsFingerprint: '' })),
    };
  }
  const vouched = pin !== undefined || anyCertificate;
  const socket = tlsConnect({
    ...target,
    ...(isIP(host) === 0 ? { servername: host } : {}),
    ...(ca === undefined ? {} : { ca }),
    minVersion: 'TLSv1.2',
    // A pinned certificate is vouched for by the peer's node key, not by a CA.
    rejectUnauthorized: !vouched,
    ALPNProtocols: ['http/1.1'],
    // The certificate that was checked stays: no renegotiation on a connection in use.
    secureOptions: constants.SSL_OP_NO_RENEGOTIATION,
  });
  const ready = whenConnected(socket, 'secureConnect', () => {
    const tlsFingerprint = fingerprintOf(socket);
    if (pin !== undefined && tlsFingerprint !== pin.toLowerCase())
      throw new AgrinetError(
        'certificate-changed',
        `${url.origin} presents another TLS certificate than the one it registered with`,
      );
    return { socket, tlsFingerprint };
  });
  return { pending: socket, ready };
}

function whenConnected<T>(socket: Socket, event: 'connect' | 'secureConnect', value: () => T): Promise<T> {
  return new Promise((resolve, reject) => {
    const fail = (error: Error): void => reject(error);
    const closed = (): void => reject(new AgrinetError('peer-unreachable', 'the connection was closed'));
    socket.once('error', fail).once('close', closed);
    socket.once(event, () => {
      socket.off('error', fail).off('close', closed);
      try {
        resolve(value());
      } catch (error) {
        socket.destroy();
        reject(error);
      }
    });
  });
}

/** SHA-256 of the certificate that the other side showed, lower-case hex. Throws `certificate-changed` when there is none. */
function fingerprintOf(socket: TLSSocket): string {
  const certificate = socket.getPeerX509Certificate();
  if (certificate === undefined)
    throw new AgrinetError('certificate-changed', 'no TLS certificate was presented');
  return certificate.fingerprint256.replaceAll(':', '').toLowerCase();
}
