import type { Libp2p } from '@libp2p/interface';
import { peerIdFromString } from '@libp2p/peer-id';
import { multiaddr } from '@multiformats/multiaddr';
import type { Env } from '../env.ts';
import { AgrinetError } from '../errors.ts';
import type { AddressBook } from './address-book.ts';
import { bareAddress } from './dial-rule.ts';
import { SelfDialError } from './supervisor.ts';
import type { Target } from './supervisor-core.ts';

/** Every so many failed dials of a peer the DHT is asked where it is now. */
const LOOK_UP_EVERY = 3;
/** The sustained interval of DHT lookups, however many peers are absent: a lookup costs dials and the work of other nodes. */
const LOOK_UP_AGAIN_MS = 10_000;
/** This many of them at once if there was no lookup for a while; the last ones are for peers that were not tried before. */
const LOOK_UP_BURST = 8;
const KEPT_FOR_NEW = 2;
/** One DHT lookup in addition to known addresses, which are dialled whatever its result. */
const LOOK_UP_MS = 2000;
/** Addresses of one peer that are tried. */
const ADDRESSES = 16;

export interface DialerParts {
  readonly env: Pick<Env, 'deadline' | 'monotonic'>;
  readonly libp2p: Libp2p;
  readonly book: AddressBook;
  readonly onDebug: (message: string, fields: Record<string, unknown>) => void;
}

/** Dials a target at the addresses that are known of it: the book's, the peer store's and, now and then, the DHT's. */
export class Dialer {
  readonly #parts: DialerParts;
  #looks = LOOK_UP_BURST;
  #looksAt = -Infinity;

  constructor(parts: DialerParts) {
    this.#parts = parts;
  }

  /** The peer id of the node that answered. Throws `no-address`, SelfDialError, and what libp2p throws. */
  async dial(target: Target, attempt: number, signal: AbortSignal): Promise<string> {
    const { libp2p, book } = this.#parts;
    const addresses =
      target.kind === 'bootstrap'
        ? [target.address]
        : await this.#addressesOf(target.peerId, attempt, signal);
    if (addresses.length === 0) throw new AgrinetError('no-address', 'no address of this peer is known');
    try {
      const connection = await libp2p.dial(
        addresses.map((address) => multiaddr(address)),
        { signal },
      );
      const peerId = connection.remotePeer.toString();
      if (connection.direction === 'outbound') book.reached(peerId, connection.remoteAddr.toString());
      return peerId;
    } catch (error) {
      if (error instanceof Error && error.message === 'Can not dial self')
        throw new SelfDialError(error.message);
      throw error;
    }
  }

  async #addressesOf(peerId: string, attempt: number, signal: AbortSignal): Promise<string[]> {
    const { env, libp2p, book, onDebug } = this.#parts;
    const id = peerIdFromString(peerId);
    const known = new Set(book.addressesOf(peerId));
    if (await libp2p.peerStore.has(id)) {
      for (const { multiaddr: address } of (await libp2p.peerStore.get(id)).addresses)
        known.add(bareAddress(address.toString()));
    }
    const wanted = known.size === 0 || attempt % LOOK_UP_EVERY === LOOK_UP_EVERY - 1;
    if (wanted && this.#mayLookUp(attempt)) {
      try {
        const within = AbortSignal.any([signal, env.deadline(LOOK_UP_MS)]);
        const peer = await libp2p.peerRouting.findPeer(id, { signal: within });
        for (const address of peer.multiaddrs) known.add(bareAddress(address.toString()));
      } catch (error) {
        onDebug('peer not found in the DHT', { peerId, err: error });
      }
    }
    return [...known].slice(0, ADDRESSES).map((address) => `${address}/p2p/${peerId}`);
  }
  #mayLookUp(attempt: number): boolean {
    const now = this.#parts.env.monotonic();
    this.#looks = Math.min(this.#looks + (now - this.#looksAt) / LOOK_UP_AGAIN_MS, LOOK_UP_BURST);
    this.#looksAt = now;
    if (this.#looks < (attempt === 0 ? 1 : 1 + KEPT_FOR_NEW)) return false;
    this.#looks--;
    return true;
  }
}
