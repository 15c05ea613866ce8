import type { Connection, Libp2p, PeerInfo } from '@libp2p/interface';
import type { KadDHT } from '@libp2p/kad-dht';
import { peerIdFromString } from '@libp2p/peer-id';
import { multiaddr } from '@multiformats/multiaddr';
import { AgrinetError } from '../errors.ts';
import type { AddressBook, AddressSource } from './address-book.ts';
import { bareAddress } from './dial-rule.ts';
import { createPeerExchange } from './peer-exchange.ts';
import { createRendezvous } from './rendezvous.ts';
import {
  createSupervisor,
  SelfDialError,
  type SupervisedPeer,
  type SupervisorComponents,
} from './supervisor.ts';
import type { Target } from './supervisor-core.ts';

/** How often one connected peer is asked for others, on average. Milliseconds. */
const EXCHANGE_EVERY_MS = 60_000;
/** Every so many failed dials of a peer the DHT is asked where it is now. */
const LOOK_UP_EVERY = 3;

export interface DiscoveryComponents {
  readonly libp2p: Libp2p;
  readonly dht: KadDHT;
  readonly book: AddressBook;
  /** One round trip over one connection. */
  readonly ping: (connection: Connection, signal: AbortSignal) => Promise<number>;
  /** Milliseconds, monotonic. */
  readonly now: () => number;
  readonly random: () => number;
  /** What fails in the ordinary course of things: a static message, and fields. */
  readonly onDebug: (message: string, fields: Record<string, unknown>) => void;
}

export interface DiscoveryOptions {
  readonly network: string;
  readonly region: string;
  /** Multiaddrs, with or without `/p2p/<peer id>`. */
  readonly bootstrap: readonly string[];
  /** Strangers are dialled while fewer peers than this are connected. */
  readonly targetDegree: number;
  /** Whether signed records are exchanged with connected peers; on unless set off. */
  readonly peerExchange?: boolean;
}

/** Finds peers and keeps them. What it finds are candidates, not members. */
export interface Discovery {
  start(): Promise<void>;
  stop(): Promise<void>;
  /** The peers that are redialled for ever; replaces the former list. */
  setRegistered(peerIds: readonly string[]): void;
  /** Notes where a peer is (registration, a peer's URL) and dials it: at once when it is registered. */
  addPeer(peerId: string, addresses: readonly string[], source: AddressSource): void;
  /** Dials a registered peer now. */
  dialNow(peerId: string): void;
  snapshot(): SupervisedPeer[];
  /** Peers in the routing table of the DHT. */
  tableSize(): number;
}

/** Composes supervisor, rendezvous and peer exchange over one libp2p node. */
export function createDiscovery(components: DiscoveryComponents, options: DiscoveryOptions): Discovery {
  const { libp2p, dht, book, now, random } = components;
  const self = libp2p.peerId.toString();
  const debug = components.onDebug;
  const asking = new Set<string>();
  let stopping = new AbortController();
  let timer: NodeJS.Timeout | undefined;

  const supervisor = createSupervisor(supervisorComponents(), {
    bootstrap: options.bootstrap,
    targetDegree: options.targetDegree,
  });
  const exchange = createPeerExchange(
    { libp2p, now, random, onFailure: (peer, error) => debug('peer exchange refused', { peer, err: error }) },
    { network: options.network },
  );
  const rendezvous = createRendezvous(
    {
      dht,
      tableSize: () => routingTableSize(dht),
      onFound: (peer) => found(peer, 'dht'),
      onFailure: (error) => debug('rendezvous failed', { err: error }),
      random,
    },
    options,
  );

  function supervisorComponents(): SupervisorComponents {
    return {
      self,
      now,
      random,
      dial,
      async ping(linkId, signal) {
        const connection = byId(linkId);
        if (connection !== undefined) await components.ping(connection, signal);
      },
      close: (linkId) => byId(linkId)?.abort(new AgrinetError('peer-silent', 'no answer to a ping')),
      watch(listener) {
        const onOpen = ({ detail }: CustomEvent<Connection>): void =>
          listener.opened(detail.id, detail.remotePeer.toString());
        const onClose = ({ detail }: CustomEvent<Connection>): void => listener.closed(detail.id);
        libp2p.addEventListener('connection:open', onOpen);
        libp2p.addEventListener('connection:close', onClose);
        for (const one of libp2p.getConnections()) listener.opened(one.id, one.remotePeer.toString());
        return () => {
          libp2p.removeEventListener('connection:open', onOpen);
          libp2p.removeEventListener('connection:close', onClose);
        };
      },
      onFailure: (what, subject, error) => debug('peer not reached', { what, subject, err: error }),
    };
  }

  function byId(linkId: string): Connection | undefined {
    return libp2p.getConnections().find((connection) => connection.id === linkId);
  }

  async function dial(target: Target, attempt: number, signal: AbortSignal): Promise<string> {
    const addresses =
      target.kind === 'bootstrap' ? [target.address] : await addressesOf(target.peerId, attempt, signal);
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

  async function addressesOf(peerId: string, attempt: number, signal: AbortSignal): Promise<string[]> {
    const id = peerIdFromString(peerId);
    const known = new Set(book.addressesOf(peerId));
    if (await libp2p.peerStore.has(id)) {
      for (const { multiaddr: address } of (await libp2p.peerStore.get(id)).addresses)
        known.add(bareAddress(address.toString()));
    }
    if (known.size === 0 || attempt % LOOK_UP_EVERY === LOOK_UP_EVERY - 1) {
      try {
        const peer = await libp2p.peerRouting.findPeer(id, {
          signal: AbortSignal.any([signal, AbortSignal.timeout(2000)]),
        });
        for (const address of peer.multiaddrs) known.add(bareAddress(address.toString()));
      } catch (error) {
        debug('peer not found in the DHT', { peerId, err: error });
      }
    }
    return [...known].slice(0, 16).map((address) => `${address}/p2p/${peerId}`);
  }

  function found(peer: PeerInfo, source: AddressSource): void {
    const peerId = peer.id.toString();
    if (peerId === self) return;
    if (book.add(peerId, peer.multiaddrs.map(String), source)) supervisor.addCandidate(peerId);
  }

  async function askFor(connection: Connection): Promise<void> {
    const peerId = connection.remotePeer.toString();
    if (options.peerExchange === false || asking.has(peerId) || asking.size >= 2) return;
    asking.add(peerId);
    try {
      for (const peer of await exchange.ask(connection, stopping.signal)) {
        if (peer.peerId !== self && book.add(peer.peerId, peer.addresses, 'exchange'))
          supervisor.addCandidate(peer.peerId);
      }
    } catch (error) {
      debug('peer exchange failed', { peer: peerId, err: error });
    } finally {
      asking.delete(peerId);
    }
  }

  function askSomebody(): void {
    const connections = libp2p.getConnections().filter((connection) => connection.status === 'open');
    const one = connections[Math.floor(random() * connections.length)];
    if (one !== undefined) void askFor(one);
    timer = setTimeout(askSomebody, EXCHANGE_EVERY_MS * (0.5 + random()));
    timer.unref();
  }

  const onIdentify: Parameters<typeof libp2p.addEventListener<'peer:identify'>>[1] = ({ detail }) => {
    if (detail.connection === undefined) return;
    const peerId = detail.peerId.toString();
    book.add(peerId, detail.listenAddrs.map(String), 'connected');
    supervisor.addCandidate(peerId);
    if (detail.protocols.includes(exchange.protocol)) void askFor(detail.connection);
  };
  const onDiscovered = ({ detail }: CustomEvent<PeerInfo>): void => found(detail, 'dht');
  const onConnected = (): void => {
    if (libp2p.getPeers().length <= 1) rendezvous.hurry();
  };

  return {
    async start() {
      stopping = new AbortController();
      if (options.peerExchange !== false) await exchange.start();
      libp2p.addEventListener('peer:identify', onIdentify);
      libp2p.addEventListener('peer:discovery', onDiscovered);
      libp2p.addEventListener('peer:connect', onConnected);
      supervisor.start();
      for (const { peerId } of book.entries()) supervisor.addCandidate(peerId);
      rendezvous.start();
      timer = setTimeout(askSomebody, EXCHANGE_EVERY_MS * random());
      timer.unref();
    },
    async stop() {
      stopping.abort();
      clearTimeout(timer);
      libp2p.removeEventListener('peer:identify', onIdentify);
      libp2p.removeEventListener('peer:discovery', onDiscovered);
      libp2p.removeEventListener('peer:connect', onConnected);
      await Promise.all([supervisor.stop(), rendezvous.stop(), exchange.stop()]);
      await book.stop();
    },
    setRegistered: (peerIds) => supervisor.setRegistered(peerIds),
    addPeer(peerId, addresses, source) {
      if (peerId === self) return;
      book.add(peerId, addresses, source);
      supervisor.addCandidate(peerId);
      supervisor.dialNow(peerId);
    },
    dialNow: (peerId) => supervisor.dialNow(peerId),
    snapshot: () => supervisor.snapshot(),
    tableSize: () => routingTableSize(dht),
  };
}

/** kad-dht's exported type leaves its routing table out. */
function routingTableSize(dht: KadDHT): number {
  const table: unknown = Reflect.get(dht, 'routingTable');
  const size: unknown = typeof table === 'object' && table !== null ? Reflect.get(table, 'size') : undefined;
  // unknown after an upgrade: then ask all the same, the rounds slow down by themselves
  return typeof size === 'number' ? size : 1;
}
