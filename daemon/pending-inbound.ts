import type { MultiaddrConnection } from '@libp2p/interface';
import { AgrinetError } from '../protocols/errors.ts';
import { rangeOf } from '../protocols/wire/address-range.ts';

/** Inbound connections whose other side has not yet proven its identity. */
export const PENDING_LIMITS = {
  /** An open socket and some kilobytes each; an honest handshake takes four round trips and is done before its turn comes. */
  total: 256,
  /** Of one public range (/24, /48). */
  perRange: 64,
} as const;

/**
 * Sockets under handshake. Only after it is known who is registered, so nobody is refused here: when there are too many, the one
 * that has been silent longest in the most crowded range is dropped, so that an honest handshake succeeds.
 */
export class PendingInbound {
  readonly #pending = new Map<MultiaddrConnection, string>();

  arrived(connection: MultiaddrConnection): void {
    const { name, limited } = rangeOf(hostOf(connection));
    const release = (): void => this.release(connection);
    connection.addEventListener('close', release, { once: true });
    this.#pending.set(connection, name);
    const near = this.#of(name);
    if (limited && near.length > PENDING_LIMITS.perRange) this.#drop(near[0]);
    else if (this.#pending.size > PENDING_LIMITS.total) this.#drop(this.#of(this.#mostCrowded())[0]);
  }

  /** Proven, refused or gone. */
  release(connection: MultiaddrConnection): void {
    this.#pending.delete(connection);
  }

  get size(): number {
    return this.#pending.size;
  }

  /** Oldest first. */
  #of(range: string): MultiaddrConnection[] {
    return [...this.#pending].filter(([, name]) => name === range).map(([connection]) => connection);
  }

  #mostCrowded(): string {
    const counts = new Map<string, number>();
    for (const name of this.#pending.values()) counts.set(name, (counts.get(name) ?? 0) + 1);
    return [...counts].toSorted((a, b) => b[1] - a[1])[0]?.[0] ?? '';
  }

  #drop(connection: MultiaddrConnection | undefined): void {
    if (connection === undefined) return;
    this.release(connection);
    connection.abort(
      new AgrinetError('handshake-slow', 'others are waiting, and this one has been silent longest'),
    );
  }
}

/** The IP address behind a connection; empty for what has none. */
export function hostOf({ remoteAddr }: Pick<MultiaddrConnection, 'remoteAddr'>): string {
  return remoteAddr.getComponents().find(({ name }) => name === 'ip4' || name === 'ip6')?.value ?? '';
}
