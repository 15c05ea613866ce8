import { kindOf } from './special-addresses.ts';

/** Which addresses a node may ask or dial. One policy for HTTP and libp2p; each has it with its own listening address. */
export interface AddressPolicy {
  /** ALLOW_PRIVATE_PEERS: private ranges and loopback, and plain http to anywhere. */
  readonly allowPrivate: boolean;
  /** This node itself listens on loopback: peers on this machine, over plain http too. */
  readonly allowLoopback?: boolean;
}

/** Over which an address is to be reached; libp2p encrypts by itself. */
export type Carrier = 'https' | 'http' | 'libp2p';

/**
 * Who named an address. The operator may write down any. A node that is registered, or has a key, may be on this machine; a
 * stranger's loopback address could be any service of ours.
 */
export type NamedBy = 'operator' | 'known' | 'stranger';

/** Why an IP address may not be asked or dialled, or undefined when it may. Names are checked by the addresses they resolve to, at the time. */
export function refusalOf(
  address: string,
  carrier: Carrier,
  { allowPrivate, allowLoopback = false }: AddressPolicy,
  by: NamedBy,
): string | undefined {
  switch (kindOf(address)) {
    case 'never':
      return 'leads to no address of a peer';
    case 'private':
      return allowPrivate || by === 'operator'
        ? undefined
        : 'is or leads to a private address; set ALLOW_PRIVATE_PEERS=on to allow it';
    case 'loopback':
      return allowPrivate || by === 'operator' || (allowLoopback && by === 'known')
        ? undefined
        : 'is or leads to this machine; set ALLOW_PRIVATE_PEERS=on to allow it';
    case 'public':
      return carrier !== 'http' || allowPrivate
        ? undefined
        : 'is to be asked over https; ALLOW_PRIVATE_PEERS=on allows plain http';
  }
}
