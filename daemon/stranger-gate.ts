import type { Connection, ConnectionGater, MultiaddrConnection, PeerId } from '@libp2p/interface';
import type { Multiaddr } from '@multiformats/multiaddr';
import type { DialRule } from '../protocols/discovery/dial-rule.ts';
import { type Slot, slotFor, type Stranger } from '../protocols/discovery/stranger-slots.ts';
import type { Env } from '../protocols/env.ts';
import { AgrinetError } from '../protocols/errors.ts';
import { rangeOf } from '../protocols/wire/address-range.ts';
import { hostOf, PendingInbound } from './pending-inbound.ts';

export interface StrangerGateOptions {
  readonly env: Pick<Env, 'now'>;
  /** Called often, and at the moment of every decision: must be a lookup in memory. */
  readonly isRegistered: (peerId: string) => boolean;
  /** Connections strangers may hold, in both directions together; see `STRANGER_LIMITS`. */
  readonly strangerSlots: number;
  /** How long a stranger cannot be disconnected, milliseconds; for tests. */
  readonly strangerGraceMs?: number;
  /** Which addresses may be dialled, depending on who named them, and what a name may resolve to. */
  readonly rule?: Pick<DialRule, 'mayDial' | 'nameRefusal'>;
}

type Direction = Connection['direction'];

/** Protocols for strangers: while such a stream is open, the stranger waits for an answer. */
const ASKING = /\/(kad|peers)\//;

function asStranger(connection: Connection): Stranger {
  const { name, limited } = rangeOf(hostOf(connection));
  return {
    id: connection.id,
    peerId: connection.remotePeer.toString(),
    range: name,
    limited,
    direction: connection.direction,
    openedAt: connection.timeline.open,
    busy: connection.streams.some(({ protocol }) => ASKING.test(protocol)),
  };
}

/** Registered peers always pass; strangers while a slot is free, or another one can be disconnected. */
export class StrangerGate {
  readonly #options: StrangerGateOptions;
  readonly #connections: () => readonly Connection[];
  readonly #pending = new PendingInbound();

  constructor(options: StrangerGateOptions, connections: () => readonly Connection[]) {
    this.#options = options;
    this.#connections = connections;
  }

  /** libp2p's hooks at each stage of a connection. */
  get gater(): ConnectionGater {
    const { isRegistered, rule } = this.#options;
    const dialRules: ConnectionGater =
      rule === undefined
        ? {}
        : {
            denyDialMultiaddr: (address) => !rule.mayDial(address, peerIdIn(address)),
            filterMultiaddrForPeer: (peer, address) => rule.mayDial(address, peer.toString()),
          };
    return {
      ...dialRules,
      denyInboundConnection: (over) => {
        this.#pending.arrived(over);
        return false;
      },
      denyInboundEncryptedConnection: (peer, over) => {
        // A stranger stays pending until its connection is complete.
        if (isRegistered(peer.toString())) this.#pending.release(over);
        return this.#refuses(peer, 'inbound', over);
      },
      denyInboundUpgradedConnection: (peer, over) => {
        this.#pending.release(over);
        return !this.#takesSlot(peer, 'inbound', over);
      },
      denyOutboundEncryptedConnection: (peer, over) => this.#refuses(peer, 'outbound', over),
      denyOutboundUpgradedConnection: (peer, over) => !this.#takesSlot(peer, 'outbound', over),
      denyInboundRelayReservation: (peer) => !isRegistered(peer.toString()),
    };
  }

  /** Whether more strangers are connected than may be: handshakes that ran at the same moment may each have seen the last free slot. */
  get isOverfull(): boolean {
    return this.#strangers().length > this.#options.strangerSlots;
  }

  #strangers(): Connection[] {
    return this.#connections().filter(
      ({ status, remotePeer }) => status === 'open' && !this.#options.isRegistered(remotePeer.toString()),
    );
  }

  #slot(peer: PeerId, direction: Direction, over: MultiaddrConnection): Slot {
    const { env, strangerSlots, strangerGraceMs } = this.#options;
    const { name, limited } = rangeOf(hostOf(over));
    const newcomer = { peerId: peer.toString(), range: name, limited, direction };
    return slotFor(this.#strangers().map(asStranger), newcomer, strangerSlots, env.now(), strangerGraceMs);
  }

  #refuses(peer: PeerId, direction: Direction, over: MultiaddrConnection): boolean {
    return !this.#options.isRegistered(peer.toString()) && this.#slot(peer, direction, over) === 'none';
  }

  /** The final decision before a connection is established: the one to be replaced is closed now. */
  #takesSlot(peer: PeerId, direction: Direction, over: MultiaddrConnection): boolean {
    if (this.#options.isRegistered(peer.toString())) return true;
    const found = this.#slot(peer, direction, over);
    if (typeof found === 'object')
      this.#connections()
        .find(({ id }) => id === found.evict)
        ?.abort(new AgrinetError('slot-given-on', 'the slot of this stranger went to another'));
    return found !== 'none';
  }
}

function peerIdIn(address: Multiaddr): string | undefined {
  return address.getComponents().findLast((part) => part.name === 'p2p')?.value;
}
